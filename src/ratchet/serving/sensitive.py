"""What is kept of fields that a task calls sensitive: a keyed hash, or nothing."""

import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ANSWER = ("label", "probability", "probabilities", "value", "fallback")  # what says no field again, as reasons may
WITHHELD = "(not kept: it quotes a sensitive field)"


@dataclass(frozen=True)
class Sensitive:
    """The fields of a task, and the key. entity: the column that names the entity."""

    fields: Mapping[str, Literal["drop", "hash"]]
    key: bytes
    entity: str | None = None

    def hashed(self, value: object) -> str | None:
        """Return 64 hex digits, the same for the same value; a missing one stays missing.

        A text and the number that it writes are the same, so that an entity may come as either.
        """
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return hmac.digest(self.key, text.encode("utf-8", "replace"), hashlib.sha256).hex()

    def inputs(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row as it may be kept."""
        if not self.fields:
            return row
        return {name: self.hashed(value) if name in self.fields else value for name, value in row.items()
                if self.fields.get(name) != "drop"}  # fmt: skip

    def entity_of(self, entity: str) -> str | None:
        """Return an entity as it is kept, in requests and in outcomes alike; None if it is not."""
        how = self.fields.get(self.entity or "")
        return entity if how is None else self.hashed(entity) if how == "hash" else None

    def answer(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an answer as it may be kept."""
        if not self.fields:
            return answer
        told = [warning for warning in answer.get("warnings", ()) if warning["column"] not in self.fields]
        return {name: answer[name] for name in ANSWER if name in answer} | ({"warnings": told} if told else {})

    def problem(self, problem: str, row: Mapping[str, Any], entity: str | None) -> str:
        """Return what the caller was told as it may be kept."""
        if not self.fields or not problem:
            return problem
        said = [row.get(name) for name in self.fields] + [entity if self.entity in self.fields else None]
        return WITHHELD if any(value not in (None, "") and str(value) in problem for value in said) else problem
