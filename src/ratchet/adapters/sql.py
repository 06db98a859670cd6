"""How SQL is written and run: names, literals, and faults in words."""

import re

import duckdb

from ratchet.errors import DataError


def quoted(name: str) -> str:
    """Return the column name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def in_short(error: Exception) -> str:
    """The first two lines that tell something and quote no row."""
    # What its writing threads ran into comes as JSON.
    inner = re.search(r'"exception_message":"(Could not write file \\".*?\\": [^"\\]*)"', str(error))
    lines = [line.strip() for line in (inner[1].replace('\\"', '"') if inner else str(error)).splitlines()]
    told = [line for line in lines if line.strip("^") and not line.startswith(("Original Line", "LINE "))]
    return " ".join(told[:2])[:300] or type(error).__name__


def run(db: duckdb.DuckDBPyConnection, sql: str, place: str) -> duckdb.DuckDBPyConnection:
    """Execute the statement; a fault of it becomes a DataError that names the place.

    Raises DataError.
    """
    try:
        return db.execute(sql)
    except duckdb.OutOfMemoryException as error:
        raise DataError(f"{place}: too little memory or disk: {in_short(error)}") from None
    except duckdb.Error as error:
        raise DataError(f"{place}: {in_short(error)}") from None
