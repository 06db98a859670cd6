"""Which tables a database has, and the query that reads one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ratchet.adapters import warehouse
from ratchet.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from sqlalchemy import Engine

OWN_SCHEMAS = ("information_schema", "pg_catalog", "pg_toast", "sys", "mysql", "performance_schema")
MAX_LISTED = 12


def list_tables(uri: str, place: str) -> list[str]:
    """Return the tables and views of a database, by name; those outside its default schema as SCHEMA.TABLE.

    Args:
        uri: An address of SQLAlchemy, with `${NAME}` for an environment variable.
        place: What an error names.

    Raises:
        DataError: If the database cannot be reached.
    """
    from sqlalchemy import inspect

    with _opened(uri, place) as engine:
        catalog = inspect(engine)
        names = [*catalog.get_table_names(), *catalog.get_view_names()]
        if engine.dialect.name == "postgresql":
            for schema in catalog.get_schema_names():
                if schema not in OWN_SCHEMAS and schema != catalog.default_schema_name:
                    names += [f"{schema}.{name}" for name in catalog.get_table_names(schema)]
                    names += [f"{schema}.{name}" for name in catalog.get_view_names(schema)]
        return sorted(names)


def query_for(uri: str, table: str, place: str) -> str:
    """Return the query that reads a table or view, its name quoted as the database does.

    Raises:
        DataError: If the database has no such table, with those that it has.
    """
    tables = list_tables(uri, place)
    if table not in tables:
        raise DataError(f"--table: no table {table!r}{did_you_mean(table, tables)}; {describe_tables(tables)}")
    with _opened(uri, place) as engine:
        quote = engine.dialect.identifier_preparer.quote
        parts = table.split(".") if engine.dialect.name == "postgresql" else [table]
        return f"SELECT * FROM {'.'.join(map(quote, parts))}"


def describe_tables(tables: list[str]) -> str:
    """Return the tables in words."""
    if not tables:
        return "the database holds no table that this account sees"
    more = f" and {len(tables) - MAX_LISTED} more" if len(tables) > MAX_LISTED else ""
    return f"the tables are {', '.join(tables[:MAX_LISTED])}{more}"


@contextmanager
def _opened(uri: str, place: str) -> Iterator["Engine"]:
    from sqlalchemy.exc import SQLAlchemyError

    engine = warehouse.open_engine(uri, place)
    try:
        yield engine
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0][:300]
        raise DataError(f"{place}: {uri}: {reason}") from None
    finally:
        engine.dispose()
