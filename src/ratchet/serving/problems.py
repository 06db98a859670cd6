"""What a caller is told when there is no answer: problem+json, with the place of each fault in the body.

Source: RFC 9457, Problem Details for HTTP APIs.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

MOST_FAULTS = 20  # are told of one body
MOST_SHOWN = 60  # characters of what was sent
TYPE = b"application/problem+json"
# The words with which the place of a fault may begin; any other one is the caller's.
PLACES = frozenset({"dataframe_records", "dataframe_split", "inputs", "instances", "params", "parameters",
                    "outcomes", "request_id", "entity", "row", "label", "at"})  # fmt: skip


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


OF_LIBRARIES = ("not Parquet",)  # beginnings of details that go on with a library's own words, which may quote a cell
QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*('|$)|"(?:[^"\\]|\\.)*("|$)""", re.DOTALL)
PLACE = re.compile(r"(line \d+|[a-z_]+)((\[\d+\])*)(?:[.,] ?(.*))?", re.DOTALL)


def without_values(problem: Problem, names: Collection[str] = ()) -> str:
    """Return why there was no answer as it may be logged: nothing that the caller sent stands in it.

    Args:
        problem: What the caller was told, which quotes values and names of their body.
        names: The columns of the model, which may be named; any other name is left out.

    Returns:
        The status' phrase and, of the first fault, its place and text without what is quoted or follows ", got".
    """
    title = HTTPStatus(problem.status).phrase
    if not problem.faults:
        detail = problem.detail.partition(", got ")[0]
        for words in OF_LIBRARIES:
            detail = words if detail.startswith(words) else detail
        return f"{title}: {_without_quotes(detail, names)}"
    fault = problem.faults[0]
    text = re.split(r", got |; |: ", fault.text, maxsplit=1)[0]
    more = f" and {len(problem.faults) - 1} more" if len(problem.faults) > 1 else ""
    place = _known_place(fault.path, names)
    return f"{title}: {place}{': ' if place else ''}{_without_quotes(text, names)}{more}"


def _known_place(path: str, names: Collection[str]) -> str:
    """Return the place of a fault; what is no index and no column of the model is left out."""
    found = PLACE.fullmatch(path)
    if not found:
        return "…" if path else ""
    head, indices, name = found[1], found[2], found[4]
    if head not in PLACES and not head.startswith("line "):
        return head if head in names and not name else "…"
    return f"{head}{indices}" + ("" if name is None else f".{name if name in names else '…'}")


def _without_quotes(text: str, names: Collection[str]) -> str:
    return QUOTED.sub(lambda quoted: quoted[0] if quoted[0][1:-1] in names else "'…'", text)


def shown(value: object) -> str:
    """Return what was sent as it may be told to whoever sent it: on one line, not too long."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
