"""The `ratchet` database: its address, its tables' home, and the lock that a stage change holds."""

import re
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.errors import Away, ServerError
from ratchet.settings import Settings, masked

if TYPE_CHECKING:
    import sqlalchemy

LOCK_WAIT_S, POLL_S = 30, 0.02


def url(settings: Settings) -> str:
    """Return the SQLAlchemy URL, after making the folder of an SQLite file.

    Raises ServerError for an address of another kind.
    """
    address = with_driver(settings.database_url)
    if address.startswith("sqlite:///"):
        Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    elif not address.startswith("postgresql"):
        raise ServerError(
            f"RATCHET_DATABASE_URL ({masked(address)}): give it as sqlite:///FILE or postgresql://HOST/NAME"
        )
    return address


def with_driver(address: str) -> str:
    """Return an address that names the driver: to SQLAlchemy 2.1 `postgresql://` means one that is not installed."""
    return re.sub("^postgres(ql)?://", "postgresql+psycopg2://", address)


def engine(address: str, **how: Any) -> "sqlalchemy.Engine":
    """Return SQLAlchemy's engine for an address.

    Raises ServerError if it is none.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError

    try:
        return create_engine(address, **how)
    except (ArgumentError, ValueError):  # its words may hold a part of the password
        raise ServerError(
            f"{masked(address)}: is no address of a database: postgresql://ROLE:…@HOST:PORT/NAME"
        ) from None


def refuse_if_it_holds(address: str, table: str, whose: str) -> None:
    """Refuse a database that is another program's, before anything is made in it.

    Raises ServerError that says whose it is; a database that cannot be reached is for its next reader to tell.
    """
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    found = engine(address)
    try:
        if inspect(found).has_table(table):
            raise ServerError(f"{masked(address)}: it holds the tables of {whose} a database of its own")
    except SQLAlchemyError:
        return
    finally:
        found.dispose()


@contextmanager
def lock(settings: Settings, name: str, wait_s: float | None = None) -> Iterator[None]:
    """Hold the named lock: an advisory lock on PostgreSQL, an exclusive transaction on SQLite.

    It is let go when its process ends, however it ends. Raises ServerError if another holds it for longer than wait_s
    (unset: LOCK_WAIT_S).
    """
    address, wait_s = url(settings), wait_s or LOCK_WAIT_S
    is_postgres = address.startswith("postgresql")
    holder = _advisory_lock(address, name, wait_s) if is_postgres else file_lock(address, name, wait_s)
    with holder:
        yield


@contextmanager
def file_lock(address: str, name: str, wait_s: float) -> Iterator[None]:
    """Hold a database of its own per lock, beside the SQLite one that it guards: studies go on while a stage changes.

    Raises ServerError if another holds it for longer than wait_s.
    """
    path = Path(address.removeprefix("sqlite:///")).with_name(f"{name}.lock")
    deadline = time.monotonic() + wait_s
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(_unshared(path)))
            while not _begun(connection):
                if time.monotonic() > deadline:
                    raise Away(f"{name}: another process is at it since {wait_s:g} s; try again")
                time.sleep(POLL_S)  # SQLite's own waiting hears no Ctrl-C
        except sqlite3.DatabaseError as error:
            raise ServerError(f"{path}: cannot be locked: {error}") from None
        yield


def _unshared(path: Path) -> sqlite3.Connection:
    """A connection that says at once what it cannot do; another thread may let it go."""
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def _begun(connection: sqlite3.Connection) -> bool:
    """Whether the exclusive transaction could begin."""
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


@contextmanager
def _advisory_lock(address: str, name: str, wait_s: float) -> Iterator[None]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    number, deadline = zlib.crc32(f"ratchet:{name}".encode()), time.monotonic() + wait_s
    with ExitStack() as stack:
        try:
            # Outside a transaction: one that idles for minutes may be ended by the server, and the lock with it.
            engine = create_engine(address, isolation_level="AUTOCOMMIT")
            stack.callback(engine.dispose)
            connection = stack.enter_context(engine.connect())
            while not connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": number}).scalar():
                if time.monotonic() > deadline:
                    raise Away(f"{name}: another process is at it since {wait_s:g} s; try again")
                time.sleep(POLL_S)
        except (SQLAlchemyError, ImportError, ValueError) as error:  # also a driver that is not here, or no port
            fault = Away if isinstance(error, OperationalError) else ServerError
            raise fault(f"{masked(address)}: cannot be locked: {str(error).splitlines()[0][:300]}") from None
        yield
