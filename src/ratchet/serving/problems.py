"""What a caller is told when there is no answer: problem+json, with the place of each fault in the body.

Source: RFC 9457, Problem Details for HTTP APIs.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MOST_FAULTS = 20  # are told of one body
MOST_SHOWN = 60  # characters of what was sent
TYPE = b"application/problem+json"


@dataclass(frozen=True)
class Fault:
    """One bad place of a body. path: as `dataframe_records[3].AGE`, empty for the whole of it."""

    path: str
    text: str

    @property
    def sentence(self) -> str:
        """Path and text as people read them."""
        return f"{self.path}: {self.text}" if self.path else self.text


class Problem(Exception):
    """No answer: the status, why, and what is wrong where. closes: nothing more is read of the connection."""

    def __init__(self, status: int, detail: str, faults: tuple[Fault, ...] = (), retry_s: int | None = None,
                 closes: bool = False) -> None:  # fmt: skip
        super().__init__(detail)
        self.status, self.detail, self.faults, self.retry_s, self.closes = status, detail, faults, retry_s, closes

    @classmethod
    def of(cls, faults: list[Fault]) -> "Problem":
        """A body that is not as it must be: 400."""
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        return cls(400, faults[0].sentence + more, tuple(faults[:MOST_FAULTS]))

    def body(self, request_id: str) -> bytes:
        """Return the JSON of it."""
        told: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:request:{request_id}",
        }
        if self.faults:
            told["errors"] = [{"path": fault.path, "detail": fault.text} for fault in self.faults]
        return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")


def shown(value: object) -> str:
    """Return what was sent as it may be told to whoever sent it: on one line, not too long."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
