"""The tables of the `ratchet` database, Optuna's and ours: made, brought up to date, and whose rights on them."""

import logging
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ratchet.adapters import database
from ratchet.adapters.patience import is_away
from ratchet.errors import Away, ServerError
from ratchet.settings import Settings, masked

if TYPE_CHECKING:
    import sqlalchemy

MIGRATIONS = Path(__file__).parent / "migrations"
OURS, OPTUNAS = "ratchet_version", "alembic_version"  # who is at which revision, in the same database
SCIENTIST, PROMOTER = "ratchet_scientist", "ratchet_promoter"  # a promoter is a scientist too
GATEWAY = "ratchet_gateway"  # clusters of before have no such role, and need none until they serve with it
MIGRATION_S = 120
APPENDED = {"ledger", "deliveries"}  # to which a promoter appends
READ_ONLY = {OURS, OPTUNAS, "version_info", "ledger_0001"}
# A gateway's controller moves a rollout, and may not change by what it is judged.
ROLLOUT = ("SELECT, UPDATE (revision, state, percent, share_since, judged, verdict, reasons, updated_at,"
           " ledger_seen, silence, silence_at)")  # fmt: skip
CAPTURED = {"requests", "outcomes", "capture_losses"}  # to which the gateway appends, and which it empties in time


def migrate(address: str) -> None:
    """Make the tables, or bring those of an older release up to date; what is there stays.

    address: SQLAlchemy URL. Raises ServerError if the role may not.
    """
    import optuna
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    database.refuse_if_it_holds(address, "registered_models", "MLflow; give Ratchet")
    engine = database.engine(address)
    try:
        storage = optuna.storages.RDBStorage(address, skip_compatibility_check=True)
        if storage.get_current_version() != storage.get_head_version():
            storage.upgrade()
        with engine.begin() as connection:
            told = Config(attributes={"connection": connection, "version_table": OURS})
            told.set_main_option("script_location", str(MIGRATIONS))
            command.upgrade(told, "head")
            if engine.dialect.name == "postgresql":
                _grant(connection)
    except CommandError:
        raise ServerError(
            f"{masked(address)}: its tables were made by a newer release; use that one here too (make setup)"
        ) from None
    except ProgrammingError as error:
        raise ServerError(
            f"{masked(address)}: its tables are missing or old, and this role may not make them: whoever owns the"
            f" database runs `ratchet migrate` on it ({str(error).splitlines()[0][:200]})"
        ) from None
    except SQLAlchemyError as error:
        raise ServerError(f"RATCHET_DATABASE_URL ({masked(address)}): {str(error).splitlines()[0][:300]}") from None
    finally:
        engine.dispose()


@dataclass(frozen=True)
class State:
    """What a role finds: whether the tables are those of this release, and whether it may append to the ledger."""

    role: str
    is_newest: bool
    may_promote: bool


def state(settings: Settings) -> State:
    """Look at the database.

    Raises Away if it does not answer now, ServerError if it refuses us.
    """
    from sqlalchemy import inspect, text
    from sqlalchemy.exc import SQLAlchemyError

    address = database.url(settings)
    engine = database.engine(address)
    try:
        with engine.connect() as connection:
            is_newest = all(_is_newest(connection, *each) for each in ((OURS, MIGRATIONS), (OPTUNAS, _optunas())))
            if engine.dialect.name != "postgresql":
                return State("its owner", is_newest, True)
            right = text("SELECT has_table_privilege('ledger', 'INSERT')")
            may_promote = inspect(connection).has_table("ledger") and bool(connection.execute(right).scalar())
            return State(str(connection.execute(text("SELECT current_user")).scalar()), is_newest, may_promote)
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0][:300]
        fault = Away if is_away(error) else ServerError
        raise fault(f"RATCHET_DATABASE_URL ({masked(address)}): {reason}") from None
    finally:
        engine.dispose()


def _is_newest(connection: "sqlalchemy.Connection", table: str, scripts: Path) -> bool:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection, opts={"version_table": table}).get_current_revision() == _head(
        scripts
    )


@cache
def _head(scripts: Path) -> str | None:
    """The newest revision of the scripts; finding it imports each of them."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(scripts)).get_current_head()


def _optunas() -> Path:
    """Optuna's own migrations, found without the half second that importing it takes."""
    (package,) = find_spec("optuna").submodule_search_locations  # type: ignore[union-attr, misc]
    return Path(package) / "storages" / "_rdb" / "alembic"


def ready(settings: Settings) -> None:
    """Bring the database up to date if it is not: the embedded one by itself, a team's by whoever owns it.

    Raises ServerError that says who is to do it.
    """
    if not state(settings).is_newest:
        with database.lock(settings, "migration", MIGRATION_S):
            if not state(settings).is_newest:
                migrate(database.url(settings))


def _grant(connection: "sqlalchemy.Connection") -> None:
    """Give the roles of deploy/postgres/init.sh, where they are there, their rights on each table."""
    from sqlalchemy import inspect, text

    found = connection.execute(text("SELECT rolname FROM pg_roles")).scalars().all()
    if not {SCIENTIST, PROMOTER} <= set(found):
        return
    roles = [role for role in (SCIENTIST, PROMOTER, GATEWAY) if role in found]
    for table in inspect(connection).get_table_names():
        if table == "ledger_0001":  # what a promoter could append to before
            connection.execute(text(f"REVOKE INSERT ON {table} FROM {PROMOTER}"))
        for role, right in rights_of(table).items():
            if role in roles:
                connection.execute(text(f'GRANT {right} ON "{table}" TO {role}'))
    for role in roles:
        connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"))


def rights_of(table: str) -> dict[str, str]:
    """Return what each role may do with a table: role -> rights as in GRANT. A promoter has a scientist's too."""
    if table in CAPTURED:
        return {SCIENTIST: "SELECT", PROMOTER: "DELETE", GATEWAY: "SELECT, INSERT, DELETE"}
    if table == "rollouts":
        return {SCIENTIST: "SELECT", PROMOTER: "INSERT, UPDATE", GATEWAY: ROLLOUT}
    if table in ("rollout_steps", "rollout_looks"):
        return {SCIENTIST: "SELECT", PROMOTER: "INSERT, UPDATE", GATEWAY: "SELECT, INSERT"}
    if table in APPENDED:
        return {SCIENTIST: "SELECT", PROMOTER: "INSERT", GATEWAY: "SELECT"}
    if table in READ_ONLY:
        return {SCIENTIST: "SELECT", GATEWAY: "SELECT"}
    return {SCIENTIST: "SELECT, INSERT, UPDATE, DELETE"}
