"""The `ratchet` database: its address, its tables' home, and the lock that a stage change holds."""

import re
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from ratchet.config import Settings
from ratchet.errors import ServerError

LOCK_WAIT_S = 30


def url(settings: Settings) -> str:
    """Return the SQLAlchemy URL, after making the folder of an SQLite file.

    `postgresql://` means another driver to SQLAlchemy 2.1 than the one that is installed, so the driver is named.
    """
    address = re.sub("^postgres(ql)?://", "postgresql+psycopg2://", settings.database_url)
    if address.startswith("sqlite:///"):
        Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return address


@contextmanager
def lock(settings: Settings, name: str) -> Iterator[None]:
    """Hold the named lock: an advisory lock on PostgreSQL, an exclusive transaction on SQLite.

    Raises ServerError if another holds it for longer than LOCK_WAIT_S.
    """
    address = url(settings)
    holder = _advisory_lock(address, name) if address.startswith("postgresql") else _file_lock(settings, name)
    with holder:
        yield


@contextmanager
def _file_lock(settings: Settings, name: str) -> Iterator[None]:
    """A database of its own per lock, so that studies go on while a stage changes."""
    settings.home.mkdir(parents=True, exist_ok=True)
    path = settings.home / f"{name}.lock"
    with ExitStack() as stack:
        try:
            connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
            stack.enter_context(closing(connection)).execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise ServerError(f"{path}: cannot be locked: {error}") from None
            raise ServerError(f"{name}: another promotion is under way since {LOCK_WAIT_S} s; try again") from None
        yield


@contextmanager
def _advisory_lock(address: str, name: str) -> Iterator[None]:
    from sqlalchemy import create_engine, text

    engine = create_engine(address)
    try:
        with engine.connect() as connection:
            number = zlib.crc32(f"ratchet:{name}".encode())
            deadline = time.monotonic() + LOCK_WAIT_S
            while not connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": number}).scalar():
                if time.monotonic() > deadline:
                    raise ServerError(f"{name}: another promotion is under way since {LOCK_WAIT_S} s; try again")
                time.sleep(0.1)
            yield
    finally:
        engine.dispose()
