"""The rows of a file that is scored: as they are, and what the model reads of them, by its signature.

Nothing is seen from the rows themselves, so an answer never depends on which other rows are in the file.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from ratchet.adapters import columns, delimited, files
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import literal, quoted
from ratchet.errors import DataError, did_you_mean

READ = "ratchet_read_"
ROWS = "ratchet_scored"  # the view of the rows
NATIVE = ("VARCHAR", "BOOLEAN", "DOUBLE", "FLOAT", "DECIMAL")  # which reach the model as they are


@dataclass(frozen=True)
class Scored:
    """What is scored, and by what.

    tables: the file first, then the further sources of the query; query: run over them, or None; types: DuckDB's, of
    each source at train; encoder: the model's; missing: texts that mean missing in this file; unknown: those of them
    that the model does not know by itself; as_csv: whether the rows are handed back as text; mend: what to do where a
    column is absent.
    """

    tables: list[Table]
    query: str | None
    types: Mapping[str, Mapping[str, str]]
    encoder: Any
    missing: frozenset[str]
    unknown: frozenset[str]
    as_csv: bool
    mend: str = ""

    @property
    def table(self) -> Table:
        """The file."""
        return self.tables[0]


@contextmanager
def opened(scored: Scored, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection on which the view ROWS has the rows.

    Raises DataError if the file cannot be read, the query does not fit it or a column is absent.
    """
    if scored.query is None:
        attaching: files.Attaching = files.attach_as_text
    else:
        attaching = partial(_attach_typed, types=scored.types)
    with files.workspace(folder, scored.tables, attaching=attaching) as db:
        files.select_all(db, scored.query or f"SELECT * FROM {quoted(scored.table.name)}", ROWS)
        names = [name for name, *_ in db.execute(f"DESCRIBE {ROWS}").fetchall()]
        if absent := [name for name in scored.encoder.inputs if name not in names]:
            hint = did_you_mean(absent[0], names)
            raise DataError(f"{scored.table.origin}: no column {absent[0]!r}, which the model reads{hint}{scored.mend}")
        yield db


def _attach_typed(db: duckdb.DuckDBPyConnection, table: Table, types: Mapping[str, Mapping[str, str]]) -> None:
    files.attach_typed(db, table, types.get(table.name, {}))


def batches(db: duckdb.DuckDBPyConnection, scored: Scored, rows: int) -> Iterator[tuple[pa.Table, pd.DataFrame]]:
    """Yield so many rows at a time: as they are, and the columns that the model reads, in kinds that it takes.

    Raises DataError that names the first cell which is no number where one is read.
    """
    types = {name: str(kind) for name, kind, *_ in db.execute(f"DESCRIBE {ROWS}").fetchall()}
    given = [
        f"{_shown(name, kind) if scored.as_csv else quoted(name)} AS {quoted(name)}" for name, kind in types.items()
    ]
    read = [f"{_read(scored, name, types[name])} AS {quoted(READ + name)}" for name in scored.encoder.inputs]
    try:
        for batch in db.sql(f"SELECT {', '.join(given + read)} FROM {ROWS}").to_arrow_reader(rows):
            whole = pa.Table.from_batches([batch])
            inputs = whole.select(whole.column_names[len(given) :]).rename_columns(list(scored.encoder.inputs))
            yield whole.select(list(range(len(given)))), inputs.to_pandas()
    except (duckdb.Error, OSError) as error:  # in the middle of a stream pyarrow raises DuckDB's as its own
        odd = _odd_cell(db, scored, types) or _fault(db, scored)
        raise DataError(f"{scored.table.origin}: {odd or _first_line(error)}") from None


def _first_line(error: Exception) -> str:
    """Return the first line of an error of DuckDB, without its kind where the words are our own."""
    return str(error).splitlines()[0].removeprefix("Invalid Input Error: ")


def _shown(name: str, kind: str) -> str:
    """SQL of a column as a CSV file can hold it: lists, structs and maps as JSON, bytes as escaped text."""
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT")):
        return f"to_json({quoted(name)})::VARCHAR"
    numeric = kind.endswith(("INT", "INTEGER")) or kind in ("DOUBLE", "FLOAT", "VARCHAR")
    return quoted(name) if numeric else f"{quoted(name)}::VARCHAR"


def _read(scored: Scored, name: str, kind: str) -> str:
    """SQL of a column as the model takes it."""
    column, words = quoted(name), scored.unknown
    if scored.encoder.inputs[name] == "number":
        if kind == "VARCHAR" and name in scored.table.read.numbers:
            return columns.written_number(scored.table, name)
        return delimited.number_of(column, scored.missing) if kind == "VARCHAR" else f"{column}::DOUBLE"
    if kind == "VARCHAR":
        return f"CASE WHEN {column} NOT IN ({_listed(words)}) THEN {column} END" if words else column
    # Whole numbers as text: where one is missing pandas would make doubles of them, and round those beyond 2^53.
    return column if kind.startswith(NATIVE) else f"{column}::VARCHAR"


def _listed(words: frozenset[str]) -> str:
    return ", ".join(map(literal, sorted(words)))


def _odd_cell(db: duckdb.DuckDBPyConnection, scored: Scored, types: Mapping[str, str]) -> str:
    """Name the first cell that is no number where the model reads one; empty if there is none."""
    found = None
    for name in (name for name, kind in scored.encoder.inputs.items() if kind == "number"):
        cell, number = quoted(name), _read(scored, name, types[name])
        odd = f"TRY({number}) IS NULL AND {cell} IS NOT NULL"
        if types[name] == "VARCHAR":
            odd += f" AND trim({cell}) NOT IN ({_listed(scored.missing | {''})})"
        sql = f"SELECT ratchet_row, {cell} FROM (SELECT *, row_number() OVER () AS ratchet_row FROM {ROWS}) WHERE {odd}"
        with suppress(duckdb.Error):
            found = db.execute(f"{sql} LIMIT 1").fetchone()
        if found:
            shown = str(found[1])[:80]
            return f"row {found[0]:,}: {name!r} is {shown!r}, not a number; if it is missing, leave it empty"
    return ""


def _fault(db: duckdb.DuckDBPyConnection, scored: Scored) -> str:
    """Name what is wrong with the file itself, with its line; empty if it is not found."""
    if not scored.table.is_delimited:
        return ""
    with suppress(duckdb.Error):
        return delimited.fault_of(db, scored.table)
    return ""
