"""DuckDB as the reader: sources become one table of rows, each with its side, in Parquet; and its profile.

DuckDB streams and spills to disk, so a file larger than memory passes. Once the sources are attached the
connection reads nothing but them: a query in a YAML file cannot reach other files, write, or load extensions.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq

from ratchet.adapters.sides import GROUP, SIDE, SIDES, SOURCE, joined, key_columns, side_of
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import in_short, literal, quoted, run
from ratchet.config import ColumnSplit, Data, GroupSplit, SourceSplit, Split, TimeSplit
from ratchet.errors import DataError, did_you_mean

ROW_GROUP = 65_536
QUOTE = '"'
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
           "FLOAT", "DOUBLE", "DECIMAL", "UHUGEINT")  # fmt: skip
DUCKDB_TYPES = {"number": "DOUBLE", "text": "VARCHAR", "date": "TIMESTAMP"}


@contextmanager
def workspace(folder: Path, tables: list[Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection on which each table is a view, locked to the files of the tables and to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(":memory:") as db:
        db.execute(f"SET temp_directory = {literal(str(folder / 'spill'))}")
        db.execute("SET enable_progress_bar = false; SET python_enable_replacements = false")
        # It trusts the range that a Parquet file states, which leaves NaN out: isnan() is false of every row then.
        db.execute("SET disabled_optimizers = 'statistics_propagation'")
        db.execute("SET TimeZone = 'UTC'")  # a time with a zone is text in a row's key, the same on every machine
        found = [file for table in tables for file in table.files]
        allowed = ", ".join(literal(name) for file in found for name in (str(file), _pattern(file)))
        db.execute(f"SET allowed_paths = [{allowed}]")
        db.execute(f"SET allowed_directories = [{literal(str(folder))}]")
        db.execute("SET enable_external_access = false; SET autoinstall_known_extensions = false")
        for table in tables:
            _attach(db, table)
        db.execute("SET lock_configuration = true")
        try:
            yield db
        finally:
            shutil.rmtree(folder / "spill", ignore_errors=True)


def _pattern(file: Path) -> str:
    """The file's name as DuckDB's glob, which would take the file `a 1.csv` for `a [1].csv`."""
    return re.sub(r"([*?\[])", r"[\1]", str(file))


def _attach(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    if table.frame is not None:
        db.register(table.name, table.frame)
        return
    files = "[" + ", ".join(literal(_pattern(file)) for file in table.files) + "]"
    # By name: without it the first part decides, and a 1.5 in the second is cut to the first one's whole number.
    parquet = f"read_parquet({files}, union_by_name = true)"
    reader = parquet if table.is_parquet else f"read_csv({files}{_csv_options(table)})"
    try:
        db.execute(f"CREATE VIEW {quoted(table.name)} AS SELECT * FROM {reader}")
    except duckdb.Error as error:
        hint = "" if table.is_parquet else "; name its read.sep, read.quote or read.encoding"
        fault = f"{table.origin} cannot be read: {in_short(error)}{hint}"
        raise DataError(f"data.sources.{table.name}: {fault}") from None


def _csv_options(table: Table) -> str:
    """The options of read_csv; `store_rejects` is off, so that a row it cannot read is an error, not a loss."""
    read = table.read
    options = [
        f"nullstr = [{', '.join(literal(cell) for cell in read.na)}]",
        "sample_size = -1",
        "header = true",
        # What DuckDB sees by itself here can lose rows: lines that begin with #, cells that begin with '.
        "comment = ''",
        "skip = 0",
        f"quote = {literal(QUOTE if read.quote is None else read.quote)}",
    ]
    # Without BOOLEAN: a column of Yes and No stays what callers will send.
    options.append("auto_type_candidates = ['NULL', 'BIGINT', 'DOUBLE', 'DATE', 'TIMESTAMP', 'VARCHAR']")
    if read.sep is not None:
        options.append(f"delim = {literal(read.sep)}")
    if read.quote == "":
        options.append("escape = ''")
    if read.types:
        types = ", ".join(f"{literal(name)}: {literal(DUCKDB_TYPES[kind])}" for name, kind in read.types.items())
        options.append(f"types = {{{types}}}")
    return "".join(f", {option}" for option in options)


def gather(db: duckdb.DuckDBPyConnection, data: Data, split: Split, rows: Path) -> dict[str, str]:
    """Write all rows that have a target, each with its side, to one Parquet file; return the columns' kinds.

    Numbers become DOUBLE and truth values text; the target keeps its own type. Column kinds: number, text, date.
    """
    columns = attach_all(db, data, split)
    for place, name in _named_columns(data, split):
        if name not in columns:
            hint = did_you_mean(name, columns) or f"; the columns are {', '.join(columns)}"[:300]
            raise DataError(f"{place}: no column {name!r}{hint}")
    given = set(columns) - {SOURCE} if isinstance(split, SourceSplit) else columns
    if reserved := sorted(name for name in given if name.lower().startswith("ratchet_")):
        raise DataError(f"column {reserved[0]!r}: names beginning with ratchet_ are Ratchet's own; rename it")
    kinds = {name: _kind(kind) for name, kind in columns.items() if name in given}
    if len(kinds) < 2:
        raise DataError(f"data: no column beside the target {data.target!r}; a wrong read.sep looks like this")
    shown = [_cast(name, columns[name], keep=name in (data.target, data.id)) for name in kinds]
    key = joined(key_columns(data, split, kinds), kinds, data.id)
    target = _value(data.target, columns[data.target])
    extra = [f"{side_of(db, split, key, target)} AS {SIDE}"]
    if isinstance(split, GroupSplit):
        extra.append(f"md5_number_lower({key}) AS {GROUP}")
    # Neither a join nor equal times have an order; training has to see the same one each time.
    order = [quoted(split.column)] if isinstance(split, TimeSplit) else []
    order += [f"md5({joined(list(kinds), kinds)})"] if order or data.query else []
    select = f"SELECT {', '.join(shown + extra)} FROM ratchet_rows WHERE {target} IS NOT NULL"
    select += f" ORDER BY {', '.join(order)}" if order else ""
    run(db, f"COPY ({select}) TO {literal(str(rows))} (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})", "data")
    return kinds


def attach_all(db: duckdb.DuckDBPyConnection, data: Data, split: Split) -> dict[str, str]:
    """Create the view `ratchet_rows`; return its columns with their DuckDB types."""
    if isinstance(split, SourceSplit):
        parts = (f"SELECT *, {literal(n)} AS {SOURCE} FROM {quoted(n)}" for n in (*split.train, *split.test))
        sql, place = " UNION ALL BY NAME ".join(parts), "data.sources"
    elif data.query:
        sql, place = f"SELECT * FROM ({_one_select(db, data.query)}\n)", "data.query"
    else:
        sql, place = f"SELECT * FROM {quoted(next(iter(data.sources)))}", "data.sources"
    run(db, f"CREATE VIEW ratchet_rows AS {sql}", place)
    return {name: kind for name, kind, *_ in run(db, "DESCRIBE ratchet_rows", place).fetchall()}


def _one_select(db: duckdb.DuckDBPyConnection, query: str) -> str:
    try:
        statements = db.extract_statements(query)
    except duckdb.Error as error:
        raise DataError(f"data.query: {in_short(error)}") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise DataError("data.query: it has to be one SELECT and nothing else")
    return str(statements[0].query).rstrip().rstrip(";")


def _named_columns(data: Data, split: Split) -> Iterator[tuple[str, str]]:
    yield "data.target", data.target
    for key in ("id", "truth"):
        if name := getattr(data, key):
            yield f"data.{key}", name
    yield from (("data.drop", name) for name in data.drop)
    if isinstance(split, TimeSplit | ColumnSplit):
        yield "split.column", split.column
    if isinstance(split, GroupSplit):
        yield from (("split.columns", name) for name in split.columns)


def _kind(duckdb_type: str) -> str:
    if duckdb_type.endswith("]"):  # a list
        return "text"
    if duckdb_type.startswith(NUMBERS):
        return "number"
    return "date" if duckdb_type.startswith(("DATE", "TIME")) else "text"


def _value(name: str, duckdb_type: str) -> str:
    """SQL of the column's value; a NaN is a missing cell, as in pandas."""
    column = quoted(name)
    return f"nullif({column}, 'nan'::DOUBLE)" if duckdb_type in ("FLOAT", "DOUBLE") else column


def _cast(name: str, duckdb_type: str, keep: bool) -> str:
    kind, value = _kind(duckdb_type), _value(name, duckdb_type)
    inexact = kind == "number" and duckdb_type.startswith(("DECIMAL", "HUGEINT", "UHUGEINT"))
    if inexact or (kind == "number" and not keep):
        return f"{value}::DOUBLE AS {quoted(name)}"
    if kind == "text" and duckdb_type != "VARCHAR":
        return f"{value}::VARCHAR AS {quoted(name)}"
    return f"{value} AS {quoted(name)}"


def write_sides(db: duckdb.DuckDBPyConnection, rows: Path, folder: Path) -> dict[str, int]:
    """Write train.parquet, valid.parquet and test.parquet; return the rows of each.

    Raises DataError if a side is empty.
    """
    counts = {}
    for side in SIDES:
        target = folder / f"{side}.parquet"
        select = f"SELECT * EXCLUDE ({SIDE}) FROM read_parquet({literal(str(rows))}) WHERE {SIDE} = '{side}'"
        run(
            db,
            f"COPY ({select}) TO {literal(str(target))} (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})",
            "split",
        )
        counts[side] = pq.read_metadata(target).num_rows
        if not counts[side]:
            raise DataError(f"split: no row fell into {side}; enlarge its share or check the values it names")
    return counts


def sample(db: duckdb.DuckDBPyConnection, rows: Path, columns: list[str], limit: int) -> pd.DataFrame:
    """Return some rows of train, the same ones each time, wherever they stand in the file."""
    shown = ", ".join(quoted(name) for name in dict.fromkeys(columns))
    table = f"read_parquet({literal(str(rows))})"
    sql = f"SELECT {shown} FROM {table} WHERE {SIDE} = 'train' ORDER BY md5(({shown})::VARCHAR) LIMIT {limit}"
    return db.sql(sql).to_arrow_table().to_pandas()


def read_side(folder: Path, side: str, columns: list[str] | None = None) -> pd.DataFrame:
    """Return one side of the split; shape (rows, columns), in the order in which it was written."""
    return pd.read_parquet(folder / f"{side}.parquet", columns=columns)


def count_targets(db: duckdb.DuckDBPyConnection, target: str, rows: Path) -> tuple[int, list[tuple[Any, int]]]:
    """Return how many rows lack a target, and the 1,001 most frequent values of it with their counts."""
    column = quoted(target)
    table = f"read_parquet({literal(str(rows))})"
    lost = f"SELECT (SELECT count(*) FROM ratchet_rows) - (SELECT count(*) FROM {table})"
    missing = run(db, lost, "data.target").fetchall()[0][0]
    sql = f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1001"
    return int(missing), [(value, int(count)) for value, count in run(db, sql, "data.target").fetchall()]
