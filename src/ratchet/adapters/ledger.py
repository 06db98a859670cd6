"""The ledger of stage changes, in the `ratchet` database: who may not append to it, cannot promote."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from ratchet.adapters import database, schema
from ratchet.errors import RatchetError, ServerError
from ratchet.settings import Settings, masked


@dataclass(frozen=True)
class Entry:
    """One change of stage."""

    task: str
    version: int
    from_stage: str
    to_stage: str
    by_whom: str


@contextmanager
def appended(settings: Settings, entry: Entry) -> Iterator[None]:
    """Append an entry while the change itself is made: it stays if that succeeds, and is taken back if not.

    A machine that is switched off between the change and the end of the block leaves a change without an entry.

    Raises RatchetError if the role may not append, ServerError if the database cannot be reached.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

    schema.ready(settings)
    address = database.url(settings)
    names = list(asdict(entry))
    insert = text(f"INSERT INTO ledger ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})")
    engine = database.engine(address)
    try:
        with engine.begin() as connection:
            try:
                connection.execute(insert, asdict(entry))
            except ProgrammingError as error:
                raise RatchetError(
                    f"{entry.task}: the database role of RATCHET_DATABASE_URL ({masked(address)}) may not append to the"
                    f" ledger, so it may not move a version to {entry.to_stage}; ask somebody with ratchet_promoter"
                ) from error
            yield
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0][:300]
        raise ServerError(f"RATCHET_DATABASE_URL ({masked(address)}): {reason}") from None
    finally:
        engine.dispose()
