"""Whether our role in the `ratchet` database may record what a gateway records, and the mend where it may not."""

import re
from typing import TYPE_CHECKING

from ratchet.adapters import database, schema
from ratchet.adapters.patience import is_away
from ratchet.errors import Away, ServerError
from ratchet.settings import Settings, masked

if TYPE_CHECKING:
    import sqlalchemy

RIGHT = re.compile(r"(\w+)(?: \(([^)]*)\))?")  # such as INSERT, or UPDATE (state, percent)
BY_ENVIRONMENT = ("run the gateway as ratchet_gateway: `source .ratchet/stack/environment.gateway` (make stack),"
                  " `source <(deploy/environment.sh gateway)` (make up), or with the address that docs/accounts.md"
                  " gives it")  # fmt: skip
BY_MIGRATION = "whoever owns the database runs `ratchet migrate` on it, which grants them"


def require_recording(settings: Settings) -> None:
    """Check that our role may keep requests and outcomes and move a rollout; the embedded database is made first.

    Args:
        settings: Where the database is, and as whom it is asked.

    Raises:
        Away: The database does not answer now, so nobody can tell.
        ServerError: The role may not, or the tables are not there; the message names the mend.
    """
    from sqlalchemy.exc import SQLAlchemyError

    schema.ready(settings)
    address = database.url(settings)
    engine = database.engine(address)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                missing, mend = _missing(connection), _mend(connection)
            else:
                _require_writable(connection)
                return
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0][:300]
        fault = Away if is_away(error) else ServerError
        raise fault(f"RATCHET_DATABASE_URL ({masked(address)}): {reason}") from None
    finally:
        engine.dispose()
    if missing:
        shown = ", ".join(missing[:4]) + (", …" if len(missing) > 4 else "")
        raise ServerError(f"RATCHET_DATABASE_URL ({masked(address)}): its role may not record requests and outcomes"
                          f" (it lacks {shown}); {mend}; or set serving.capture: false in the task")  # fmt: skip


def may_record(settings: Settings) -> bool:
    """Return whether our role may record requests and outcomes.

    Raises:
        Away: The database does not answer now.
    """
    try:
        require_recording(settings)
    except Away:
        raise
    except ServerError:
        return False
    return True


def _missing(connection: "sqlalchemy.Connection") -> list[str]:
    """Return the rights of a gateway that the role lacks, as "INSERT on requests"."""
    from sqlalchemy import inspect, text

    missing = []
    has_table = text("SELECT has_table_privilege(:table, :right)")
    has_columns = text("SELECT bool_and(has_column_privilege(:table, name, :right)) FROM unnest(:columns) AS name")
    for table in inspect(connection).get_table_names():
        for right, columns in RIGHT.findall(schema.rights_of(table).get(schema.GATEWAY, "")):
            values = {"table": table, "right": right, "columns": re.findall(r"\w+", columns)}
            if not connection.execute(has_columns if columns else has_table, values).scalar():
                missing.append(f"{right} on {table}")
    return sorted(missing, key=lambda each: (not each.startswith("INSERT"), each))  # what is shown first matters most


def _mend(connection: "sqlalchemy.Connection") -> str:
    """Say how the role of a connection comes to the rights of a gateway."""
    from sqlalchemy import text

    role = str(connection.execute(text("SELECT current_user")).scalar())
    roles = set(connection.execute(text("SELECT rolname FROM pg_roles")).scalars())
    if role in (schema.SCIENTIST, schema.PROMOTER):
        return BY_ENVIRONMENT
    if schema.GATEWAY not in roles:
        return f'make the role {schema.GATEWAY} ("Database roles" in docs/accounts.md), and {BY_ENVIRONMENT}'
    is_one = text("SELECT pg_has_role(current_user, :role, 'USAGE')")
    if connection.execute(is_one, {"role": schema.GATEWAY}).scalar():
        return BY_MIGRATION
    return f'{BY_ENVIRONMENT}; or as the superuser `psql -c "GRANT {schema.GATEWAY} TO {role}"`'


def _require_writable(connection: "sqlalchemy.Connection") -> None:
    """Begin a transaction that writes, as far as SQLite lets; it writes nothing."""
    from sqlalchemy import text

    connection.execute(text("BEGIN IMMEDIATE"))
    connection.rollback()
