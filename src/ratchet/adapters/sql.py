"""How SQL is written and run: names, literals, and faults in words."""

import re
from collections.abc import Iterable
from pathlib import Path

import duckdb

from ratchet.errors import DataError

RAW = "ratchet_raw_"


def quoted(name: str) -> str:
    """Return the column name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def escape_pattern(file: Path) -> str:
    """Return the file's name as DuckDB's glob, which would take the file `a 1.csv` for `a [1].csv`."""
    return re.sub(r"([*?\[])", r"[\1]", str(file))


def file_list(files: Iterable[Path]) -> str:
    """Return the files as an SQL list."""
    return "[" + ", ".join(literal(escape_pattern(file)) for file in files) + "]"


def parquet(files: Path | Iterable[Path], options: str = "") -> str:
    """Return SQL that reads Parquet files by their own columns alone.

    DuckDB by itself takes a folder `KEY=VALUE` anywhere above a file for a column, in place of the file's own.
    """
    listed = file_list([files] if isinstance(files, Path) else files)
    return f"read_parquet({listed}, hive_partitioning = false{options})"


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
        text = in_short(error)
        own = text.partition("Error: data.sources.")[2]  # what a cell is not, in our own words
        raise DataError(f"data.sources.{own}" if own else f"{place}: {text}") from None


def replace_view(db: duckdb.DuckDBPyConnection, name: str, columns: str) -> None:
    """Put a view in the place of another one, which it reads.

    Args:
        db: the connection.
        name: of the view.
        columns: SQL of what the new one selects of the old one.
    """
    layers = f"SELECT count(*) FROM duckdb_views() WHERE starts_with(view_name, {literal(RAW)})"
    below = f"{RAW}{db.execute(layers).fetchall()[0][0]}_{name}"
    db.execute(f"ALTER VIEW {quoted(name)} RENAME TO {quoted(below)}")
    db.execute(f"CREATE VIEW {quoted(name)} AS SELECT {columns} FROM {quoted(below)}")
