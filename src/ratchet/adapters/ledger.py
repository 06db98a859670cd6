"""The ledger in the `ratchet` database: its rows are read, and appended to. Who may not append, cannot promote."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters import database, schema
from ratchet.errors import Away, RatchetError, ServerError
from ratchet.settings import Settings, masked

if TYPE_CHECKING:
    import sqlalchemy

EMBEDDED = "embedded"  # the role where the database is a file of one's own
TRIES = 100  # to be the next one, where several append at once


@dataclass(frozen=True)
class Tail:
    """Where the next row comes: the number and the hash of the newest one (0 and none at first), who asks, and when."""

    sequence: int
    hash: str | None
    role: str
    at: str


def rows(settings: Settings) -> list[dict[str, Any]]:
    """Return all rows, by their number; a database of one's own that is not made yet has none.

    Raises ServerError if the database cannot be reached.
    """
    from sqlalchemy import text

    address = database.url(settings)
    if address.startswith("sqlite:") and not Path(address.removeprefix("sqlite:///")).exists():
        return []
    schema.ready(settings)
    with _connected(settings) as connection:
        found = connection.execute(text("SELECT * FROM ledger ORDER BY sequence")).mappings().all()
    return [dict(row) for row in found]


def append(settings: Settings, make: Callable[[Tail], Mapping[str, Any]]) -> None:
    """Append the row that `make` returns for the place; called again where another one came first.

    Raises RatchetError if the role may not append, ServerError if the database refuses it or cannot be reached.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    schema.ready(settings)
    for _ in range(TRIES):
        with _connected(settings) as connection:
            row = make(_tail(connection))
            places = ", ".join(f":{name}" for name in row)
            try:
                connection.execute(text(f"INSERT INTO ledger ({', '.join(row)}) VALUES ({places})"), dict(row))
                connection.commit()
                return
            except IntegrityError:
                connection.rollback()
                if row["intent"] and _is_ended(connection, row["intent"]):
                    raise RatchetError(
                        f"the ledger: another command has ended entry {row['intent']} in the meantime; look with"
                        " `ratchet reconcile -c FILE`"
                    ) from None
                continue
            except ProgrammingError as error:
                raise RatchetError(
                    f"{row['task']}: the database role of RATCHET_DATABASE_URL ({masked(database.url(settings))}) may"
                    f" not append to the ledger, so it may not {row['action']} a version; ask somebody with"
                    " ratchet_promoter"
                ) from error
    raise Away("the ledger: others append to it all the time; try again")


def role(settings: Settings) -> str:
    """Return the role by which the database knows who asks; EMBEDDED where it is a file of one's own.

    Raises ServerError if it cannot be reached.
    """
    from sqlalchemy import text

    if database.url(settings).startswith("sqlite:"):
        return EMBEDDED
    with _connected(settings) as connection:
        return str(connection.execute(text("SELECT session_user")).scalar())


def _is_ended(connection: "sqlalchemy.Connection", intent: int) -> bool:
    from sqlalchemy import text

    return bool(connection.execute(text("SELECT 1 FROM ledger WHERE intent = :intent"), {"intent": intent}).scalar())


def _tail(connection: "sqlalchemy.Connection") -> Tail:
    from sqlalchemy import text

    newest = connection.execute(text("SELECT sequence, hash FROM ledger ORDER BY sequence DESC LIMIT 1")).first()
    sequence, digest = newest or (0, None)
    if connection.dialect.name != "postgresql":
        return Tail(sequence, digest, EMBEDDED, _written(datetime.now(UTC)))
    role, now = connection.execute(text("SELECT session_user, clock_timestamp()")).one()
    return Tail(sequence, digest, role, _written(now))


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@contextmanager
def _connected(settings: Settings) -> Iterator["sqlalchemy.Connection"]:
    from sqlalchemy.exc import SQLAlchemyError

    address = database.url(settings)
    engine = database.engine(address)
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0][:300]
        raise ServerError(f"RATCHET_DATABASE_URL ({masked(address)}): {reason}") from None
    finally:
        engine.dispose()


def first(settings: Settings) -> str:
    """Return the hash of the first row, by which a ledger is told from others; empty if there is none."""
    from sqlalchemy import text

    with _connected(settings) as connection:
        return str(connection.execute(text("SELECT hash FROM ledger WHERE sequence = 1")).scalar() or "")


def newest(settings: Settings) -> int:
    """Return the number of the newest row; 0 if there is none. One short statement, for who asks again and again.

    Raises ServerError if the database cannot be reached.
    """
    from sqlalchemy import text

    schema.ready(settings)
    with _connected(settings) as connection:
        return int(connection.execute(text("SELECT max(sequence) FROM ledger")).scalar() or 0)


def begin_deliveries(settings: Settings) -> None:
    """Have the webhook told of what comes after this, if it never was told of anything."""
    from sqlalchemy import text

    schema.ready(settings)
    with _connected(settings) as connection:
        known = connection.execute(text("SELECT max(sequence) FROM deliveries")).scalar()
        newest = connection.execute(text("SELECT max(sequence) FROM ledger")).scalar()
    if known is None and newest is not None:
        delivered(settings, newest)


def undelivered(settings: Settings) -> list[dict[str, Any]]:
    """Return the rows that the webhook has not had yet, oldest first."""
    from sqlalchemy import text

    with _connected(settings) as connection:
        since = connection.execute(text("SELECT max(sequence) FROM deliveries")).scalar() or 0
        found = connection.execute(text("SELECT * FROM ledger WHERE sequence > :since ORDER BY sequence"),
                                   {"since": since}).mappings().all()  # fmt: skip
    return [dict(row) for row in found]


def delivered(settings: Settings, sequence: int) -> None:
    """Note that the webhook has had a row."""
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError

    with _connected(settings) as connection:
        try:
            connection.execute(text("INSERT INTO deliveries (sequence) VALUES (:n)"), {"n": sequence})
            connection.commit()
        except IntegrityError:
            pass  # another command sent it too
