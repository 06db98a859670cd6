"""Rollouts in the `ratchet` database. Whoever changes one names the state of it that they had read: one of two wins."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ratchet.adapters.captured import RefusedError, connected
from ratchet.errors import RatchetError

if TYPE_CHECKING:
    import sqlalchemy

RUNNING, PAUSED, WAITING, PROMOTING, ABORTED, DONE = "running", "paused", "waiting", "promoting", "aborted", "done"
ENDED = (ABORTED, DONE)
UNDER_WAY = (
    "{}: a rollout is under way already: `ratchet rollout status -c FILE` shows it, `ratchet rollout abort -c FILE"
    " --comment …` ends it"
)


@dataclass(frozen=True)
class Rollout:
    """A rollout. terms, judged: JSON; percent: the challenger's share now; share_since: since when, empty before that.

    state: running; paused (by hand: the share stays, and no step is made); waiting (at 100 %, for its promotion);
    promoting (under the lock of the model); aborted, done. ledger_seen: the newest entry of the task's ledger when a
    promotion was refused, -1 if none was; revision: counts changes; run: of MLflow, where its plots are.
    silence: why the challenger does not answer, as a gateway said it at silence_at; empty if it does.
    """

    task: str
    champion: int
    challenger: int
    terms: str
    salt: str
    by: str
    started_at: str
    run: str = ""
    id: int = 0
    revision: int = 1
    state: str = PAUSED
    percent: float = 0
    share_since: str = ""
    judged: str = ""
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    updated_at: str = ""
    ledger_seen: int = -1
    silence: str = ""
    silence_at: str = ""


@dataclass(frozen=True)
class Step:
    """What was done: start, step, pause, resume, abort or done. entry: its number on the ledger, None until it is."""

    at: str
    action: str
    percent: float
    why: str
    by: str
    sequence: int = 0
    entry: int | None = None


@dataclass(frozen=True)
class Looked:
    """What was known at a look, in the metric's unit; None for what is not known."""

    at: str
    percent: float
    champion_rows: int
    challenger_rows: int
    difference: float | None
    low: float | None
    high: float | None
    verdict: str


def begin(engine: "sqlalchemy.Engine", rollout: Rollout, step: Step) -> Rollout:
    """Put a new one on record.

    Raises RatchetError if the task has one already; else as `connected`.
    """
    row = _row(rollout)
    row.pop("id")
    try:
        with connected(engine) as connection:
            number = connection.execute(_insert("rollouts", row, "id"), row).scalar_one()
            _append_step(connection, number, step)
    except RefusedError:
        raise RatchetError(UNDER_WAY.format(rollout.task)) from None
    return replace(rollout, id=number)


def open_of(engine: "sqlalchemy.Engine", task: str) -> Rollout | None:
    """Return the rollout of a task that is under way."""
    return _found(engine, "WHERE task = :task AND state NOT IN ('aborted', 'done')", {"task": task})


def newest(engine: "sqlalchemy.Engine", task: str) -> Rollout | None:
    """Return the last rollout of a task, also where it has ended."""
    return _found(engine, "WHERE task = :task ORDER BY id DESC LIMIT 1", {"task": task})


def changed(
    engine: "sqlalchemy.Engine", was: Rollout, values: Mapping[str, Any], step: Step | None = None,
    looked: Looked | None = None,
) -> Rollout | None:  # fmt: skip
    """Change a rollout, and put on record what was done or seen; None, and nothing, if another changed it before.

    values: from the state on to the end of `Rollout`. Raises as `connected`.
    """
    from sqlalchemy import text

    now = replace(was, **values, revision=was.revision + 1)
    row = {name: _row(now)[name] for name in (*values, "revision")}
    places = ", ".join(f"{name} = :{name}" for name in row)
    update = text(f"UPDATE rollouts SET {places} WHERE id = :id AND revision = :was")
    with connected(engine) as connection:
        if not connection.execute(update, row | {"id": was.id, "was": was.revision}).rowcount:
            return None
        if step:
            _append_step(connection, was.id, step)
        if looked:
            told = {"rollout": was.id, **vars(looked)}
            connection.execute(_insert("rollout_looks", told), told)
    return now


def steps(engine: "sqlalchemy.Engine", rollout: int) -> list[Step]:
    """Return what was done, in its order."""
    names = ", ".join(f'"{name}"' for name in Step.__dataclass_fields__)
    return [Step(**row) for row in _rows(engine, f"SELECT {names} FROM rollout_steps", rollout)]


def owed(engine: "sqlalchemy.Engine", task: str) -> list[tuple[Rollout, Step]]:
    """Return what is not on the ledger yet, of all rollouts of a task, in its order."""
    from sqlalchemy import text

    query = text("SELECT DISTINCT r.id FROM rollouts r JOIN rollout_steps s ON s.rollout = r.id"
                 " WHERE r.task = :task AND s.entry IS NULL ORDER BY r.id")  # fmt: skip
    with connected(engine) as connection:
        numbers = list(connection.execute(query, {"task": task}).scalars())
    found = [(_found(engine, "WHERE id = :id", {"id": number}), number) for number in numbers]
    return [(rollout, step) for rollout, number in found if rollout
            for step in steps(engine, number) if step.entry is None]  # fmt: skip


def is_owed(engine: "sqlalchemy.Engine", task: str) -> bool:
    """Whether anything is not on the ledger yet."""
    from sqlalchemy import text

    query = text("SELECT 1 FROM rollout_steps s JOIN rollouts r ON r.id = s.rollout"
                 " WHERE r.task = :task AND s.entry IS NULL LIMIT 1")  # fmt: skip
    with connected(engine) as connection:
        return connection.execute(query, {"task": task}).first() is not None


def entered(engine: "sqlalchemy.Engine", step: int, entry: int) -> None:
    """Note that a step is on the ledger."""
    from sqlalchemy import text

    with connected(engine) as connection:
        connection.execute(text("UPDATE rollout_steps SET entry = :entry WHERE sequence = :step"),
                           {"entry": entry, "step": step})  # fmt: skip


def looks(engine: "sqlalchemy.Engine", rollout: int) -> list[Looked]:
    """Return what was seen, in its order."""
    names = ", ".join(f'"{name}"' for name in Looked.__dataclass_fields__)
    return [Looked(**row) for row in _rows(engine, f"SELECT {names} FROM rollout_looks", rollout)]


def last_look(engine: "sqlalchemy.Engine", rollout: int) -> Looked | None:
    """Return the last one that was kept."""
    names = ", ".join(f'"{name}"' for name in Looked.__dataclass_fields__)
    found = _rows(engine, f"SELECT {names} FROM rollout_looks", rollout, "DESC LIMIT 1")
    return Looked(**found[0]) if found else None


def ledger_head(engine: "sqlalchemy.Engine", task: str) -> int:
    """Return the number of the newest entry of a task's ledger that is not about a rollout; 0 if there is none."""
    from sqlalchemy import text

    query = "SELECT coalesce(max(sequence), 0) FROM ledger WHERE task = :task AND action NOT LIKE 'rollout-%'"
    with connected(engine) as connection:
        return int(connection.execute(text(query), {"task": task}).scalar_one())


def ledger_rows(engine: "sqlalchemy.Engine", task: str) -> list[dict[str, Any]]:
    """Return the rows of a task's ledger; see `ledger.rows`, which also looks after the tables."""
    from sqlalchemy import text

    with connected(engine) as connection:
        query = text("SELECT * FROM ledger WHERE task = :task ORDER BY sequence")
        return [dict(row) for row in connection.execute(query, {"task": task}).mappings()]


def _rows(engine: "sqlalchemy.Engine", select: str, rollout: int, order: str = "") -> Sequence[Mapping[str, Any]]:
    from sqlalchemy import text

    with connected(engine) as connection:
        query = text(f"{select} WHERE rollout = :rollout ORDER BY sequence {order}")
        return [dict(row) for row in connection.execute(query, {"rollout": rollout}).mappings()]


def _found(engine: "sqlalchemy.Engine", condition: str, told: Mapping[str, Any]) -> Rollout | None:
    from sqlalchemy import text

    with connected(engine) as connection:
        row = connection.execute(text(f"SELECT * FROM rollouts {condition}"), told).mappings().first()
    return None if row is None else Rollout(**{**row, "reasons": tuple(json.loads(row["reasons"] or "[]"))})


def _row(rollout: Rollout) -> dict[str, Any]:
    return vars(rollout) | {"reasons": json.dumps(rollout.reasons, ensure_ascii=False)}


def _append_step(connection: "sqlalchemy.Connection", rollout: int, step: Step) -> None:
    row = {"rollout": rollout, **vars(step)}
    row.pop("sequence")
    connection.execute(_insert("rollout_steps", row), row)


def _insert(table: str, row: Mapping[str, Any], returning: str = "") -> "sqlalchemy.TextClause":
    from sqlalchemy import text

    names, places = (", ".join(form.format(name) for name in row) for form in ('"{}"', ":{}"))
    return text(f"INSERT INTO {table} ({names}) VALUES ({places})" + (f" RETURNING {returning}" if returning else ""))
