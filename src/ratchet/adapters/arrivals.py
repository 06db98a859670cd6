"""What has come of a rollout since a place: rows that were answered, and rows whose outcome came or was corrected.

A row that the champion answered because the challenger had failed is the challenger's, and is left out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ratchet.adapters import joined
from ratchet.adapters.captured import connected
from ratchet.adapters.joined import Place, truth_of

if TYPE_CHECKING:
    import sqlalchemy

MOST_ROWS = 1_000  # requests and outcomes at a time
# Calls of one request have its moment too: an id that callers hand on from service to service may come again.
NO_FALLBACK = """NOT (r.arm = 'champion' AND EXISTS (SELECT 1 FROM requests c WHERE c.task = r.task
    AND c.request_id = r.request_id AND c."row" = r."row" AND c.at = r.at AND c.arm = 'challenger'))"""
# The champion is asked after the challenger where a request has rows of both: its time is then that of both.
IS_MIXED = """CASE WHEN r.arm = 'champion' AND EXISTS (SELECT 1 FROM requests c WHERE c.task = r.task
    AND c.request_id = r.request_id AND c.at = r.at AND c.arm = 'challenger') THEN 1 ELSE 0 END"""
OF_ROLLOUT = f"r.task || '' = :task AND r.rollout = :rollout AND {NO_FALLBACK}"
NEW = f"""
WITH found AS (SELECT r.*, {IS_MIXED} AS mixed, {truth_of("outcomes_to", "requests_to")} AS truth
  FROM requests r WHERE {OF_ROLLOUT} AND {joined.NEW})
SELECT found.request_id, found.at, found.arm, found.status, found.latency_ms, found.answer, found.mixed,
  t.label, t.received_at FROM found LEFT JOIN outcomes t ON t.sequence = found.truth ORDER BY found.sequence"""
OLD = f"""
WITH found AS (SELECT r.sequence, r.at, r.arm, r.answer, {truth_of("outcomes_to", "requests_to")} AS truth,
    {truth_of("outcomes", "requests")} AS former
  FROM requests r WHERE {OF_ROLLOUT} AND r.sequence <= :requests AND {joined.OLD})
SELECT found.at, found.arm, found.answer, t.label, t.received_at, f.label AS former
  FROM found LEFT JOIN outcomes t ON t.sequence = found.truth LEFT JOIN outcomes f ON f.sequence = found.former
  WHERE coalesce(found.truth, 0) <> coalesce(found.former, 0) ORDER BY found.truth, found.sequence"""
PAIRS = """
SELECT c.answer, s.answer FROM requests s JOIN requests c ON c.task = s.task AND c.request_id = s.request_id
  AND c."row" = s."row" AND c.at = s.at AND c.arm = 'champion' AND c.rollout = s.rollout
WHERE s.task || '' = :task AND s.rollout = :rollout AND s.arm = 'shadow'
  AND s.sequence <= :requests_to AND c.sequence <= :requests_to AND (s.sequence > :requests OR c.sequence > :requests)
"""


@dataclass(frozen=True)
class Call:
    """A call to a version. answers: of its rows, empty where it failed; latency_ms: None where it tells nothing."""

    at: str
    arm: str
    status: int
    latency_ms: float | None
    answers: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Row:
    """A row that was answered. label: what came true, None while nothing is known; former: what was known before.

    is_new: it was not there before; received_at: when the outcome came.
    """

    at: str
    arm: str
    answer: Mapping[str, Any] | None
    label: Any
    received_at: str | None
    former: Any = None
    is_new: bool = True


@dataclass(frozen=True)
class Arrived:
    """What has come, up to a place. pairs: what the champion and its shadow answered to the same row."""

    to: Place
    calls: Sequence[Call] = ()
    rows: Sequence[Row] = ()
    pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]] = ()


def since(
    engine: "sqlalchemy.Engine", task: str, rollout: int, place: Place, is_shadow: bool = False, most: int = MOST_ROWS
) -> Arrived:
    """Return what has come since a place, some at a time; nothing is left once that is where it began.

    A row is told again when what is known of it changes, with what was known at the place before: that is a function
    of the numbers up to there, so nobody has to remember what was counted. Raises as `connected`.
    """
    from sqlalchemy import text

    with connected(engine) as connection:
        to = joined.ends(connection, place, most)
        if to == place:
            return Arrived(to)
        told = {"task": task, "rollout": rollout, "requests": place.requests, "requests_to": to.requests,
                "outcomes": place.outcomes, "outcomes_to": to.outcomes}  # fmt: skip
        new = connection.execute(text(NEW), told).all()
        old = connection.execute(text(OLD), told).all()
        pairs = connection.execute(text(PAIRS), told).all() if is_shadow else []
    rows = [Row(at, arm, _read(answer), _read(label), received_at)
            for _, at, arm, _, _, answer, _, label, received_at in new]  # fmt: skip
    calls = _calls([(*row, read.answer) for row, read in zip(new, rows, strict=True)])
    rows += [Row(at, arm, _read(answer), _read(label), received_at, _read(former), False)
             for at, arm, answer, label, received_at, former in old]  # fmt: skip
    return Arrived(to, calls, rows, [(_read(one), _read(other)) for one, other in pairs if one and other])


def _calls(rows: Sequence[Any]) -> list[Call]:
    """Rows of one call lie together, and came in one transaction."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows:
        found.setdefault((row[0], row[1], row[2]), []).append(row)
    calls = []
    for (_, at, arm), of in found.items():
        status, latency_ms, mixed = max(row[3] for row in of), of[0][4], of[0][6]
        answers = [row[-1] for row in of]
        known = answers if all(answer is not None for answer in answers) else []
        calls.append(Call(at, arm, status, None if mixed else latency_ms, known))
    return calls


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)
