"""Predictions with what came true of them, from the `ratchet` database.

An outcome of a request's row is that row's. An outcome of an entity is that of the entity's last answered request at or
before it. A row's own outcome wins over its entity's; among those of a kind the latest `at` counts, and of equal ones
the last that came.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ratchet.adapters.captured import connected

if TYPE_CHECKING:
    import sqlalchemy

LATEST = "ORDER BY o.at DESC, o.sequence DESC LIMIT 1"


def truth_of(outcomes: str = "", requests: str = "") -> str:
    """Return the SQL of the number of the outcome of a request `r`.

    outcomes, requests: the parameters up to whose numbers those tables are looked at; unset: all.
    """
    outcome = f"AND o.sequence <= :{outcomes}" if outcomes else ""
    request = f"AND later.sequence <= :{requests}" if requests else ""
    own = f"""SELECT o.sequence FROM outcomes o
    WHERE o.task = r.task AND o.request_id = r.request_id AND o."row" = r."row" {outcome} {LATEST}"""
    # A request that failed was no decision: what came true is of the last one that was.
    entitys = f"""SELECT o.sequence FROM outcomes o
    WHERE r.answer IS NOT NULL AND o.task = r.task AND o.entity = r.entity AND o.at >= r.at {outcome} AND NOT EXISTS (
      SELECT 1 FROM requests later WHERE later.task = r.task AND later.entity = r.entity {request}
      AND later.at > r.at AND later.at <= o.at AND later.answer IS NOT NULL) {LATEST}"""
    return f"coalesce(({own}), ({entitys}))"


JOIN = f"""
WITH found AS MATERIALIZED (SELECT r.*, {truth_of()} AS truth FROM requests r WHERE %s)
SELECT found.*, t.label AS outcome, t.at AS outcome_at FROM found LEFT JOIN outcomes t ON t.sequence = found.truth
ORDER BY found.sequence"""
# What may have changed since a place: new requests; those that an outcome has come for; and, where a request came
# after an outcome that is later than itself, the others of its entity. By number: an index by task, which both
# databases would rather take, has all rows of the task in it.
NEW = "r.sequence > :requests AND r.sequence <= :requests_to"
TOUCHED = """
    SELECT p.sequence FROM outcomes o JOIN requests p ON p.task = o.task AND p.request_id = o.request_id
      WHERE o.task || '' = :task AND o.sequence > :outcomes AND o.sequence <= :outcomes_to
    UNION SELECT p.sequence FROM outcomes o JOIN requests p ON p.task = o.task AND p.entity = o.entity
      WHERE o.task || '' = :task AND o.sequence > :outcomes AND o.sequence <= :outcomes_to
    UNION SELECT p.sequence FROM requests late JOIN requests p ON p.task = late.task AND p.entity = late.entity
      WHERE late.task || '' = :task AND late.sequence > :requests AND late.sequence <= :requests_to AND EXISTS (
        SELECT 1 FROM outcomes o WHERE o.task = late.task AND o.entity = late.entity AND o.at >= late.at)"""
OLD = f"r.sequence <= :requests_to AND r.sequence IN ({TOUCHED})"
MOST_ROWS = 2_000  # new requests, and new outcomes, at a time


@dataclass(frozen=True)
class Place:
    """How far a reader is: the numbers of the last request and of the last outcome that it has seen."""

    requests: int = 0
    outcomes: int = 0


@dataclass(frozen=True)
class Prediction:
    """One row of a request to one version, and what came true of it (outcome_at: None while nothing is known).

    sequence: its number, the same each time it is read; inputs and answer: None where nothing was kept or answered.
    """

    sequence: int
    request_id: str
    row: int
    at: str
    entity: str | None
    version: int
    arm: str
    rollout: int | None
    status: int
    latency_ms: float
    inputs: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
    problem: str
    outcome: Any = None
    outcome_at: str | None = None


def now(engine: "sqlalchemy.Engine") -> Place:
    """Return the place after everything there is now."""
    from sqlalchemy import text

    with connected(engine) as connection:
        query = "SELECT coalesce(max(sequence), 0) FROM {}"
        found = [connection.execute(text(query.format(table))).scalar_one() for table in ("requests", "outcomes")]
        return Place(*found)


def ends(connection: "sqlalchemy.Connection", since: Place, most: int) -> Place:
    """Return the place after the next requests and outcomes, so many of each, of whatever task."""
    return Place(_end(connection, "requests", since.requests, most), _end(connection, "outcomes", since.outcomes, most))


def _end(connection: "sqlalchemy.Connection", table: str, place: int, most: int) -> int:
    """The number of the last row of a table's next ones."""
    from sqlalchemy import text

    query = f"""SELECT coalesce(max(sequence), :place) FROM (SELECT sequence FROM {table}
        WHERE sequence > :place ORDER BY sequence LIMIT :most) AS next"""
    return int(connection.execute(text(query), {"place": place, "most": most}).scalar_one())


def between(
    engine: "sqlalchemy.Engine", task: str, since: str = "", until: str = "~", only_known: bool = False
) -> Iterator[list[Prediction]]:
    """Yield the predictions whose `at` is from since to before until, some at a time, in the order of their numbers.

    only_known: those of which something came true. Raises as `captured.connected`.
    """
    from sqlalchemy import text

    condition = "r.task = :task AND r.sequence IN (SELECT sequence FROM requests WHERE task = :task"
    condition += " AND sequence > :place AND at >= :since AND at < :until ORDER BY sequence LIMIT :most)"
    place, most = 0, MOST_ROWS
    while True:
        told = {"task": task, "place": place, "since": since, "until": until, "most": most}
        with connected(engine) as connection:
            found = [_prediction(row) for row in connection.execute(text(JOIN % condition), told).mappings()]
        if not found:
            return
        place = found[-1].sequence
        if chosen := [row for row in found if row.outcome_at or not only_known]:
            yield chosen


def _prediction(row: "sqlalchemy.RowMapping") -> Prediction:
    found = {name: row[name] for name in Prediction.__dataclass_fields__}
    return Prediction(**found | {name: None if found[name] is None else json.loads(found[name])
                                 for name in ("inputs", "answer", "outcome")})  # fmt: skip
