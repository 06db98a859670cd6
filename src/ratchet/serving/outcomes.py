"""What came true, as callers say it: each fault with its place, and kept where the predictions are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ratchet.adapters import captured
from ratchet.adapters.captured import Outcome
from ratchet.core.labels import ClassIndex
from ratchet.errors import RatchetError, did_you_mean
from ratchet.serving.recorder import Recorder

MOST, LONGEST, MOST_FAULTS = 1_000, 200, 20
FIELDS = ("request_id", "entity", "row", "label", "at")
AHEAD_S = 300  # so much a clock may be fast
LARGEST_ROW, FIRST_YEAR = 2**31 - 1, 1970
Tell = Callable[[str, str], None]


class FaultyError(RatchetError):
    """Outcomes that are not kept. faults: (path, text), as ("outcomes[3].label", "is missing")."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {text}" if path else text for path, text in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Labels:
    """What a label may be. classes: of the model, none where they are not known; is_number: it is a value instead.

    merged: the class that stands for those that the task merged (data.rare_classes), so for a label of no other class.
    """

    classes: tuple[Any, ...] = ()
    is_number: bool = False
    merged: Any = None


def keep(recorder: Recorder, body: object, labels: Labels = Labels()) -> dict[str, int]:
    """Keep the outcomes of a body, all or none; return {accepted, corrected, repeated}. It waits for the database.

    Raises FaultyError for a body that is wrong; Away or ServerError where nothing could be kept.
    """
    rare = recorder.task.data.rare_classes
    outcomes = checked(body, replace(labels, merged=rare.into if rare else None), datetime.now(UTC))
    hide = recorder.sensitive.entity_of
    hidden = [each if each.entity is None else replace(each, entity=hide(each.entity)) for each in outcomes]
    is_list = isinstance(body, list)
    if faults := [(_path(n, is_list, "entity"), "is not kept (serving.sensitive); send the request_id")
                  for n, each in enumerate(hidden) if each.entity is None and each.request_id is None]:  # fmt: skip
        raise FaultyError(faults[:MOST_FAULTS])
    return asdict(captured.append_outcomes(recorder.engine(), recorder.task.name, hidden))


def checked(body: object, labels: Labels, now: datetime) -> list[Outcome]:
    """Return the outcomes of a body: one object, or a list of them.

    Raises FaultyError with the first faults.
    """
    if not isinstance(body, dict | list):
        raise FaultyError([("", "expected an object with request_id or entity, and label; or a list of them")])
    is_list = isinstance(body, list)
    if is_list and not 1 <= len(body) <= MOST:
        raise FaultyError([("outcomes", f"a list of {len(body)}; send 1 to {MOST:,}")])
    faults: list[tuple[str, str]] = []
    found = []
    for n, value in enumerate(body if isinstance(body, list) else [body]):

        def tell(field: str, text: str, n: int = n) -> None:
            faults.append((_path(n, is_list, field), text))

        outcome = _outcome(value, labels, now, tell)
        if len(faults) >= MOST_FAULTS:
            break
        if outcome:
            found.append(outcome)
    if faults:
        raise FaultyError(faults[:MOST_FAULTS])
    return found


def _path(n: int, is_list: bool, field: str) -> str:
    return ".".join(part for part in (f"outcomes[{n}]" if is_list else "", field) if part)


def _outcome(value: object, labels: Labels, now: datetime, tell: Tell) -> Outcome | None:
    if not isinstance(value, dict):
        tell("", "expected an object")
        return None
    for name in value:
        if name not in FIELDS:
            tell("", f"no field {str(name)[:60]!r}{did_you_mean(str(name), FIELDS)}")
    of_request, of_entity = (_name(value, field, tell) for field in ("request_id", "entity"))
    if ("request_id" in value) == ("entity" in value):
        tell("", "expected either request_id or entity")
    row = value.get("row", 0)
    if "row" in value and ("entity" in value or isinstance(row, bool) or not isinstance(row, int)
                           or not 0 <= row <= LARGEST_ROW):  # fmt: skip
        tell("row", "is for a request_id: the place of the row in it, 0 for the first")
    label = _label(value, labels, tell)
    at = _moment(value, now, tell)
    if of_request is not None:
        return Outcome(label, at, of_request, row, is_timed="at" in value)
    return Outcome(label, at, entity=of_entity, is_timed="at" in value)


def _name(value: dict[str, Any], field: str, tell: Tell) -> str | None:
    if field not in value:
        return None
    found = value[field]
    if field == "entity" and isinstance(found, int) and not isinstance(found, bool):
        found = str(found)  # as the gateway reads it in a row
    if not isinstance(found, str) or not 1 <= len(found) <= LONGEST or not _is_text(found):
        tell(field, f"expected a text of 1 to {LONGEST} characters")
        return None
    return found


def _is_text(value: str) -> bool:
    """Whether a database keeps it as it is."""
    return "\0" not in value and value.encode("utf-8", "replace").decode() == value


def _label(value: dict[str, Any], labels: Labels, tell: Tell) -> Any:
    """Return the label as the model's answers have it."""
    found = value.get("label")
    if found is None:
        tell("label", "is missing")
    elif labels.is_number:
        if isinstance(found, bool) or not isinstance(found, int | float) or not _is_finite(found):
            tell("label", "expected a number")
    elif labels.classes:
        known = ClassIndex(labels.classes)
        place = known.find(found)
        if place is None and not isinstance(found, dict | list):
            place = known.find(labels.merged)
        if place is None:
            shown = ", ".join(str(each) for each in labels.classes[:20])
            tell("label", f"expected one of {shown}")
        return None if place is None else labels.classes[place]
    elif isinstance(found, dict | list) or (isinstance(found, float) and not math.isfinite(found)):
        tell("label", "expected a text, a number, true or false")
    elif isinstance(found, str) and not (len(found) <= LONGEST and _is_text(found)):
        tell("label", f"expected a text of at most {LONGEST} characters")
    return found


def _is_finite(found: float) -> bool:
    try:
        return math.isfinite(float(found))
    except OverflowError:
        return False


def _moment(value: dict[str, Any], now: datetime, tell: Tell) -> datetime:
    if "at" not in value:
        return now
    said = value["at"]
    try:
        found = datetime.fromisoformat(said) if isinstance(said, str) else None
        found = found.astimezone(UTC) if found and found.tzinfo else None
    except (ValueError, OverflowError):
        found = None
    if found is None:
        tell("at", "expected a time with its offset, as 2026-05-03T14:00:00Z")
    elif found > now + timedelta(seconds=AHEAD_S):
        tell("at", f"is more than {AHEAD_S // 60} minutes in the future")
    elif found.year < FIRST_YEAR:
        tell("at", f"is before {FIRST_YEAR}")
    return found or now
