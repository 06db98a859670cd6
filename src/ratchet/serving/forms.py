"""Forms without script: the fields that a signature makes, and what a browser posts of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import parse_qsl

from ratchet.serving.problems import Problem
from ratchet.serving.routes import Backend, Signature

TYPE = b"application/x-www-form-urlencoded"
CELL = "cell."  # before a column's name, so that no column is taken for a field of the page itself
MOST_FIELDS = 5_000
RECORD = "dataframe_records[0]."  # where the gateway sees the form's cells


@dataclass(frozen=True)
class Field:
    """One column as people fill it in. options: values that sample rows have; fault: what is wrong with `value`."""

    id: str
    column: str
    kind: str
    required: bool
    value: str
    options: tuple[str, ...] = ()
    fault: str = ""

    @property
    def name(self) -> str:
        """Its name in the form."""
        return CELL + self.column


def require_from_here(headers: Mapping[bytes, bytes]) -> None:
    """Raise Problem for a form that another site's page has sent; no browser at all is let in.

    A browser says where a form comes from in Sec-Fetch-Site; over plain HTTP from another machine only in Origin.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        is_ours = site in (b"same-origin", b"none")  # none: typed, reloaded or restored by the person
    else:
        is_ours = origin is None or origin.partition(b"://")[2].lower() == headers.get(b"host", b"").lower()
    if not is_ours:
        raise Problem(403, "a form of another site is not taken; open this page itself")


def read(headers: Mapping[bytes, bytes], body: bytes) -> dict[str, str]:
    """Return the fields of a posted form, lines ended by one sign as in the text that was typed.

    Raises Problem.
    """
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != TYPE:
        raise Problem(415, f"this address takes forms: {TYPE.decode()}; programs send JSON to /invocations")
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise Problem(400, f"a form has at most {MOST_FIELDS:,} fields") from None
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a sample row as its form would be posted."""
    return {CELL + name: cell(value) for name, value in row.items()}


def cell(value: Any) -> str:
    """Return a cell as a person would type it; a missing one is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


def record(signature: Signature, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the row that a form asks about: an empty field is missing, and what is no number stays as it was typed."""
    given = {name: form.get(CELL + name, "") for name in signature.inputs}
    kinds = {name: kind for name, (kind, _) in signature.inputs.items()}
    numeric = ("number", "numeral")
    return {name: number(text) if kinds[name] in numeric else text for name, text in given.items() if text.strip()}


def number(text: str) -> float | str:
    """Return the number that was typed, or the text where it is none."""
    try:
        value = float(text) if "_" not in text else float("nan")
    except ValueError:
        return text
    return value if isfinite(value) else text


def fields(backend: Backend, form: Mapping[str, str], problem: Problem | None) -> list[Field]:
    """Return the fields of a version's form, filled in with what a form had, and what is wrong with it."""
    faults = {fault.path.removeprefix(RECORD): fault.text for fault in problem.faults} if problem else {}
    found = list[Field]()
    for place, (name, (kind, required)) in enumerate(backend.signature.inputs.items()):
        seen = [cell(row.get(name)) for row in backend.sample] if kind not in ("number", "numeral") else []
        options = tuple(dict.fromkeys(value for value in seen if value))
        field = Field(f"field-{place}", name, kind, required, form.get(CELL + name, ""), options, faults.get(name, ""))
        found.append(field)
    return found
