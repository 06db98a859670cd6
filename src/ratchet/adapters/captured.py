"""What was asked, answered and came true, in the `ratchet` database: appended to, and deleted in time.

Numbers (`sequence`) appear in their order also where several gateways append: each holds a lock to the end of its
transaction, so that whoever has read up to a number has missed none before it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from ratchet.adapters import database, schema
from ratchet.errors import Away, ServerError
from ratchet.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy

KINDS = {"task": "text", "request_id": "text", "row": "int", "at": "text", "entity": "text", "version": "int",
         "arm": "text", "rollout": "int", "status": "int", "latency_ms": "float8", "inputs": "text", "answer": "text",
         "problem": "text"}  # fmt: skip
COLUMNS = ", ".join(f'"{name}"' for name in KINDS)
TYPED = ", ".join(f'"{name}" {kind}' for name, kind in KINDS.items())
FIELDS = ", ".join(f"json_extract(value, '$.{name}')" for name in KINDS)
# The database itself reads the lines: parsed in Python they would hold up those who wait for an answer.
APPEND = {
    "postgresql": f"INSERT INTO requests ({COLUMNS}) SELECT {COLUMNS}"
    f" FROM json_to_recordset(CAST(:lines AS json)) AS line({TYPED}) ON CONFLICT DO NOTHING",
    "sqlite": f"INSERT INTO requests ({COLUMNS}) SELECT {FIELDS} FROM json_each(:lines) WHERE true"
    " ON CONFLICT DO NOTHING",
}
# A server that is gone without a word is noticed in seconds, not in the hours that TCP takes by itself.
IMPATIENT = {"connect_timeout": 10, "tcp_user_timeout": 20_000}
BLANK = "\N{REPLACEMENT CHARACTER}"
ORDER = 6_170_003  # the advisory lock that appenders hold, one after the other
FORGOTTEN = {"requests": "at", "outcomes": "received_at", "capture_losses": "at"}
FORGET_ROWS = 5_000  # in one transaction


FORBIDDEN = "42501"  # PostgreSQL's code for a right that a role lacks
NOT_ALLOWED = "`ratchet doctor` says what this role may do, docs/accounts.md which role does what"


class RefusedError(ServerError):
    """The database takes not what it was given, and never will."""


@dataclass(frozen=True)
class Outcome:
    """What came true. Of a request's row, or else of an entity; label: a JSON scalar; at: when it was known.

    is_timed: whether whoever says it said when; else `at` is when it came.
    """

    label: Any
    at: datetime
    request_id: str | None = None
    row: int | None = None
    entity: str | None = None
    is_timed: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Kept:
    """What became of outcomes. accepted: of what none was known; corrected: beside an earlier one; repeated: known."""

    accepted: int
    corrected: int
    repeated: int


def written(moment: datetime) -> str:
    """Return a moment as the tables have it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def engine(settings: Settings) -> "sqlalchemy.Engine":
    """Return SQLAlchemy's engine of the database, whose tables are there.

    Raises ServerError that says who is to make them, Away if it cannot be reached.
    """
    schema.ready(settings)
    address = database.url(settings)
    how = {"connect_args": IMPATIENT} if address.startswith("postgresql") else {}
    return database.engine(address, pool_pre_ping=True, **how)


@contextmanager
def connected(engine: "sqlalchemy.Engine", appends: bool = False) -> Iterator["sqlalchemy.Connection"]:
    """Have one transaction. appends: nobody else appends until its end.

    Raises Away if the database is away for now, RefusedError for what it was given, ServerError for what else it says.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with engine.begin() as connection:
            if appends and engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:order)"), {"order": ORDER})
            yield connection
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0][:300]
        mend = f"; {NOT_ALLOWED}" if getattr(getattr(error, "orig", None), "pgcode", "") == FORBIDDEN else ""
        raise _kind(error)(f"RATCHET_DATABASE_URL ({engine.url.render_as_string()}): {reason}{mend}") from error


def _kind(error: Exception) -> type[ServerError]:
    from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError

    if isinstance(error, DataError | IntegrityError) or "malformed JSON" in str(error):
        return RefusedError
    return Away if isinstance(error, OperationalError | InterfaceError) else ServerError


def append(engine: "sqlalchemy.Engine", lines: Sequence[bytes]) -> int:
    """Append rows of requests, as `line` writes them; return how many were not there yet.

    Raises as `connected`.
    """
    from sqlalchemy import text

    if not lines:
        return 0
    with connected(engine, appends=True) as connection:
        told = {"lines": f"[{b','.join(lines).decode('utf-8', 'replace')}]"}
        return int(connection.execute(text(APPEND[engine.dialect.name]), told).rowcount)


def line(row: Mapping[str, Any], begin: bytes = b"{") -> bytes:
    """Return a row as a line of JSON that both databases read: without NaN, NUL and half a character.

    row and begin together have the fields of KINDS. row: inputs and answer are objects, or null; in the line they are
    texts of JSON, which a database takes as they are. begin: what lines have in common (`beginning`).
    """
    try:
        made = begin + _with_texts(row)[1:]
        if b"\\u0000" not in made:
            return made
    except ValueError:  # half a character, which JSON may hold and UTF-8 may not
        pass
    return begin + _with_texts(_plain(row))[1:]


def beginning(fields: Mapping[str, Any]) -> bytes:
    """Return how lines begin that have these fields in common."""
    return _json(_plain(fields))[:-1] + b","


def _with_texts(row: Mapping[str, Any]) -> bytes:
    inputs, answer = row["inputs"], row["answer"]
    return _json({**row, "inputs": None if inputs is None else _json(inputs),
                  "answer": None if answer is None else _json(answer)})  # fmt: skip


def _json(value: Any) -> bytes:
    return to_json(value, inf_nan_mode="null", fallback=str)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", BLANK).encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_plain(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def append_loss(engine: "sqlalchemy.Engine", task: str, lost: int, why: str, source: str) -> None:
    """Note that rows of requests are not on record. source: names this loss, which is noted once however often told."""
    from sqlalchemy import text

    row = {"task": task, "at": written(datetime.now(UTC)), "lost": lost, "why": why, "source": source}
    with connected(engine) as connection:
        connection.execute(
            text("INSERT INTO capture_losses (task, at, lost, why, source) VALUES (:task, :at, :lost, :why, :source)"
                 " ON CONFLICT DO NOTHING"), row)  # fmt: skip


def losses(engine: "sqlalchemy.Engine", task: str) -> list[dict[str, Any]]:
    """Return what was lost of a task's requests: when (of the note), how many rows, and why."""
    from sqlalchemy import text

    query = text("SELECT at, lost, why FROM capture_losses WHERE task = :task ORDER BY sequence")
    with connected(engine) as connection:
        return [dict(row) for row in connection.execute(query, {"task": task}).mappings()]


def append_outcomes(engine: "sqlalchemy.Engine", task: str, outcomes: Sequence[Outcome]) -> Kept:
    """Append what came true, in the order given; one that is known already is not appended again.

    Of a request the same label without a time is known already; of an entity it may be about a later request.
    Raises as `connected`.
    """
    from sqlalchemy import text

    of_entity, of_request = (text(f"SELECT label FROM outcomes WHERE task = :task AND {whose}"
                                  " ORDER BY at DESC, sequence DESC LIMIT 1")
                             for whose in ("entity = :entity", "request_id = :request_id AND row = :row"))  # fmt: skip
    names = ("task", "request_id", "row", "entity", "label", "at", "received_at", "digest")
    insert = text(f"INSERT INTO outcomes ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
                  " ON CONFLICT DO NOTHING")  # fmt: skip
    found = {"accepted": 0, "corrected": 0, "repeated": 0}
    now = written(datetime.now(UTC))
    with connected(engine, appends=True) as connection:
        for outcome in outcomes:
            row = _row(task, outcome, now)
            known = connection.execute(of_entity if outcome.entity else of_request, row).scalar()
            is_same = known == row["label"] and not outcome.is_timed and not outcome.entity
            is_new = not is_same and connection.execute(insert, row).rowcount
            found["repeated" if not is_new else "corrected" if known is not None else "accepted"] += 1
    return Kept(**found)


def _row(task: str, outcome: Outcome, now: str) -> dict[str, Any]:
    label = json.dumps(outcome.label, ensure_ascii=False)
    named = [task, outcome.request_id, outcome.row, outcome.entity, label, written(outcome.at)]
    digest = hashlib.sha256(json.dumps(named, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()
    return {
        "task": task, "request_id": outcome.request_id, "row": outcome.row, "entity": outcome.entity, "label": label,
        "at": written(outcome.at), "received_at": now, "digest": digest,
    }  # fmt: skip


def forget(engine: "sqlalchemy.Engine", task: str, before: datetime, most: int = FORGET_ROWS) -> int:
    """Delete what is older, some rows at a time; return how many they were. Outcomes are as old as they are here.

    Raises as `connected`.
    """
    from sqlalchemy import text

    count, told = 0, {"task": task, "before": written(before), "most": most}
    for table, time in FORGOTTEN.items():
        delete = text(f"DELETE FROM {table} WHERE sequence IN (SELECT sequence FROM {table} WHERE task = :task"
                      f" AND {time} < :before ORDER BY {time} LIMIT :most)")  # fmt: skip
        deleted = most
        while deleted == most:
            with connected(engine, appends=True) as connection:
                deleted = connection.execute(delete, told).rowcount
            count += deleted
    return count
