"""DuckDB as the reader: sources become one table of rows, each with its side, in Parquet; and its profile.

DuckDB streams and spills to disk, so a file larger than memory passes. Once the sources are attached the
connection reads nothing but them: a query in a YAML file cannot reach other files, write, or load extensions.
"""

import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.adapters import columns, datecolumns, delimited, jsonfiles, partitions, parts
from ratchet.adapters.dates import UnreadDateError
from ratchet.adapters.sides import GROUP, PLACE, SIDE, SIDES, SOURCE, joined, key_columns, md5_number, side_of
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import escape_pattern, in_short, literal, parquet, quoted, replace_view, run
from ratchet.config import ColumnSplit, Data, GroupSplit, SourceSplit, Split, TimeSplit
from ratchet.errors import DataError, did_you_mean

MOST_ROWS, MOST_CELLS = 65_536, 4_000_000  # that are in memory at a time
MEMORY = "1GB"  # beyond it DuckDB spills to disk
MOST_DIGITS = 15  # of a number that a double holds exactly
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
           "FLOAT", "DOUBLE", "DECIMAL", "UHUGEINT")  # fmt: skip

Attaching = Callable[[duckdb.DuckDBPyConnection, Table], None]


@contextmanager
def workspace(
    folder: Path, tables: list[Table], from_sample: bool = False, attaching: "Attaching | None" = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection on which each table is a view, locked to the files of the tables and to the folder.

    from_sample: see `delimited.attach`; attaching: creates the view of each table instead of `attach`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _stoppable(), duckdb.connect(":memory:") as db:
        db.execute(f"SET temp_directory = {literal(str(folder / 'spill'))}; SET memory_limit = '{MEMORY}'")
        db.execute("SET enable_progress_bar = false; SET python_enable_replacements = false")
        # It trusts the range that a Parquet file states, which leaves NaN out: isnan() is false of every row then.
        db.execute("SET disabled_optimizers = 'statistics_propagation'")
        db.execute("SET TimeZone = 'UTC'")  # a time with a zone is text in a row's key, the same on every machine
        found = [file for table in tables for file in table.files]
        allowed = ", ".join(literal(name) for file in found for name in (str(file), escape_pattern(file)))
        db.execute(f"SET allowed_paths = [{allowed}]")
        db.execute(f"SET allowed_directories = [{literal(str(folder))}]")
        db.execute("SET enable_external_access = false; SET autoinstall_known_extensions = false")
        for table in tables:
            attaching(db, table) if attaching else attach(db, table, from_sample)
        db.execute("SET lock_configuration = true")
        try:
            yield db
        finally:
            shutil.rmtree(folder / "spill", ignore_errors=True)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn DuckDB's word for a Ctrl-C in the middle of a query back into Python's."""
    try:
        yield
    except RuntimeError as error:
        if "Query interrupted" in str(error):
            raise KeyboardInterrupt from None
        raise


def attach_as_text(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Create the view of a table that is scored: of a delimited file each cell as its text, of others as it is.

    Raises DataError.
    """
    if table.frame is not None:
        attach(db, table)
        return
    read = delimited.attach_as_text(db, table) if table.is_delimited else _attach_files(db, table, False)
    _compose(db, table.name)
    partitions.add_columns(db, read)


def attach_typed(db: duckdb.DuckDBPyConnection, table: Table, types: Mapping[str, str]) -> None:
    """Create the view of a table with the types that its columns had at train.

    Args:
        db: The connection.
        table: The table.
        types: DuckDB's, by column; a column that it does not name is seen from all rows.

    Raises:
        DataError: The table cannot be read so.
    """
    if table.is_delimited:
        # Numbers written for people and dates of a named form are text to the reader, and made of it below.
        read_as = {name: kind for name, kind in types.items() if name not in table.read.numbers}
        read = delimited.attach_typed(db, table, read_as | dict.fromkeys(table.read.dates, "VARCHAR"))
        _finish_view(db, table, read)
    else:
        attach(db, table)
    columns.cast_as_trained(db, table, types)


def types_of(db: duckdb.DuckDBPyConnection, table: Table) -> dict[str, str]:
    """Return DuckDB's types of a table's columns, as it is attached."""
    return columns.describe(db, table.name)


def select_all(db: duckdb.DuckDBPyConnection, query: str, name: str) -> None:
    """Create the view of a task's query over the tables that are attached.

    Raises DataError for a query that is no single SELECT, or does not fit the tables.
    """
    run(db, f"CREATE OR REPLACE VIEW {quoted(name)} AS SELECT * FROM ({_one_select(db, query)}\n)", "data.query")
    run(db, f"DESCRIBE {quoted(name)}", "data.query")


def attach(db: duckdb.DuckDBPyConnection, table: Table, from_sample: bool = False) -> None:
    """Create the view of a table, or make it anew, with dates where the task names how they are written.

    Raises DataError.
    """
    columns.clear_notes(db, table)
    if table.frame is None:
        _finish_view(db, table, _attach_files(db, table, from_sample))
        return
    db.register(table.name, table.frame)
    if table.read.dates:
        datecolumns.apply(db, table.name, table.read.dates)


def _finish_view(db: duckdb.DuckDBPyConnection, table: Table, read: Table) -> None:
    """Give the view its names, the columns of its folders, and the numbers and dates that are made of text.

    Args:
        db: The connection.
        table: The table.
        read: The table that the view reads, which may be a copy.
    """
    _compose(db, table.name)
    partitions.add_columns(db, read)
    columns.adapt(db, read)
    if table.read.dates:
        datecolumns.apply(db, table.name, table.read.dates)


def _attach_files(db: duckdb.DuckDBPyConnection, table: Table, from_sample: bool) -> Table:
    """Create the view of a table that lies in files; return the table that it reads."""
    if table.format == "delimited":
        return delimited.attach(db, datecolumns.as_text(table, table.read.dates), from_sample)
    if table.format == "json":
        jsonfiles.attach(db, table)
        return table
    # By name: without it the first part decides, and a 1.5 in the second is cut to the first one's whole number.
    reader = parquet(table.files, ", union_by_name = true" + partitions.filename(table))
    try:
        db.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS SELECT * FROM {reader}")
    except duckdb.Error as error:
        fault = f"{table.origin} cannot be read: {in_short(error)}"
        raise DataError(f"data.sources.{table.name}: {fault}") from None
    parts.note_differences(db, table)
    return table


def _compose(db: duckdb.DuckDBPyConnection, name: str) -> None:
    """Give the columns their names in composed form (NFC), which is how people type them into a task."""
    names = [column for column, *_ in db.execute(f"DESCRIBE {quoted(name)}").fetchall()]
    plain = [unicodedata.normalize("NFC", column) for column in names]
    if plain != names:
        shown = ", ".join(f"{quoted(old)} AS {quoted(new)}" for old, new in zip(names, plain, strict=True))
        replace_view(db, name, shown)


def gather(
    db: duckdb.DuckDBPyConnection,
    data: Data,
    split: Split,
    rows: Path,
    tables: Sequence[Table] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """Write all rows, each with its side, to one Parquet file; return the columns' kinds.

    The kinds are number, text, date and nested: a list or a record, which becomes its text. Numbers become DOUBLE and
    truth values text; the target keeps its own type. tables: those that were attached by a
    sample of their rows; they are attached again by all of them where the sample did not tell the types. tell: gets a
    sentence on how a text was read.
    """
    try:
        datecolumns.settle(db, data, split, tables, partial(attach, from_sample=True))
        return _gather(db, data, split, rows, tables, tell)
    except UnreadDateError:
        raise
    except DataError:
        if not tables:
            raise
    for table in tables:
        attach(db, table)
    datecolumns.settle(db, data, split, tables, attach)
    return _gather(db, data, split, rows, tables, tell)


def _gather(
    db: duckdb.DuckDBPyConnection,
    data: Data,
    split: Split,
    rows: Path,
    tables: Sequence[Table],
    tell: Callable[[str], None],
) -> dict[str, str]:
    columns = attach_all(db, data, split)
    if isinstance(split, TimeSplit) and (form := datecolumns.time_column(db, data, split, columns, tables)):
        columns = datecolumns.columns_of(db, "ratchet_rows")
        tell(f"{split.column}: its text is read as dates of the form {form}")
    for place, name in _named_columns(data, split):
        if name not in columns:
            hint = did_you_mean(name, columns) or f"; the columns are {', '.join(columns)}"[:300] + delimited.headless(
                columns
            )
            raise DataError(f"{place}: no column {name!r}{hint}")
    given = set(columns) - {SOURCE} if isinstance(split, SourceSplit) else columns
    if reserved := sorted(name for name in given if name.lower().startswith("ratchet_")):
        raise DataError(f"column {reserved[0]!r}: names beginning with ratchet_ are Ratchet's own; rename it")
    kinds = {name: _kind(kind) for name, kind in columns.items() if name in given}
    if data.id and _is_wide(columns[data.id]):
        kinds[data.id] = "text"
    if len(kinds) < 2:
        raise DataError(f"data: no column beside the target {data.target!r}; a wrong read.sep looks like this")
    shown = [_cast(name, columns[name], name in (data.target, data.id), data.id) for name in kinds]
    key = joined(key_columns(data, split, kinds), kinds, data.id, columns)
    target = _value(data.target, columns[data.target])
    extra = [f"{side_of(db, split, key, target, columns)} AS {SIDE}"]
    if isinstance(split, GroupSplit):
        extra.append(f"md5_number_lower({key}) AS {GROUP}")
    if not isinstance(split, TimeSplit) and split.stratify is not False:
        extra.append(f"{md5_number(key, split.salt)} AS {PLACE}")
    # Neither a join nor equal times have an order; training has to see the same one each time.
    order = [quoted(split.column)] if isinstance(split, TimeSplit) else []
    order += [f"md5({joined(list(kinds), kinds, None, columns)})"] if order or data.query else []
    select = f"SELECT {', '.join(shown + extra)} FROM ratchet_rows"
    select += f" ORDER BY {', '.join(order)}" if order else ""
    # It is read again at once and then removed: packing it would take longer than it saves.
    _write(db, select, rows, len(kinds), "data", "COMPRESSION uncompressed")
    return kinds


def attach_all(db: duckdb.DuckDBPyConnection, data: Data, split: Split) -> dict[str, str]:
    """Create the view `ratchet_rows`; return its columns with their DuckDB types."""
    if isinstance(split, SourceSplit):
        parts = (f"SELECT *, {literal(n)} AS {SOURCE} FROM {quoted(n)}" for n in (*split.train, *split.test))
        sql, place = " UNION ALL BY NAME ".join(parts), "data.sources"
    elif data.query and not data.asks_database:
        sql, place = f"SELECT * FROM ({_one_select(db, data.query)}\n)", "data.query"
    else:
        sql, place = f"SELECT * FROM {quoted(next(iter(data.sources)))}", "data.sources"
    run(db, f"CREATE OR REPLACE VIEW ratchet_rows AS {sql}", place)
    return {name: kind for name, kind, *_ in run(db, "DESCRIBE ratchet_rows", place).fetchall()}


def _write(
    db: duckdb.DuckDBPyConnection, select: str, path: Path, columns: int, place: str, more: str = "COMPRESSION snappy"
) -> None:
    """Write a query's rows to Parquet, in groups that fit into memory however many columns there are."""
    form = f"FORMAT parquet, ROW_GROUP_SIZE {rows_at_a_time(columns)}, {more}"
    run(db, f"COPY ({select}) TO {literal(str(path))} ({form})", place)


def rewrite(db: duckdb.DuckDBPyConnection, select: str, rows: Path, place: str) -> None:
    """Put the rows of a query over a Parquet file in that file's place. place: of the task, for a fault."""
    beside = rows.with_name("rewritten.parquet")
    _write(db, select, beside, len(pq.read_schema(rows)), place, "COMPRESSION uncompressed")
    beside.replace(rows)


def rows_at_a_time(columns: int) -> int:
    """Return how many rows of so many columns are held in memory at once."""
    return max(2_048, min(MOST_ROWS, MOST_CELLS // max(columns, 1)))


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
    if duckdb_type.endswith("]") or duckdb_type.startswith(("STRUCT", "MAP", "UNION", "JSON")):
        return "nested"
    if duckdb_type.startswith(NUMBERS):
        return "number"
    return "date" if duckdb_type.startswith(("DATE", "TIME")) else "text"


def _is_wide(duckdb_type: str) -> bool:
    """Whether numbers of the type have more digits than a double holds; as ids they are texts."""
    digits = re.match(r"DECIMAL\((\d+)", duckdb_type)
    return duckdb_type in ("HUGEINT", "UHUGEINT") or (digits is not None and int(digits[1]) > MOST_DIGITS)


def _value(name: str, duckdb_type: str) -> str:
    """SQL of the column's value; a NaN is a missing cell, as in pandas."""
    column = quoted(name)
    return f"nullif({column}, 'nan'::DOUBLE)" if duckdb_type in ("FLOAT", "DOUBLE") else column


def _cast(name: str, duckdb_type: str, keep: bool, id_column: str | None) -> str:
    kind, value = _kind(duckdb_type), _value(name, duckdb_type)
    if keep and _is_wide(duckdb_type) and name == id_column:
        return f"{value}::VARCHAR AS {quoted(name)}"
    inexact = kind == "number" and duckdb_type.startswith(("DECIMAL", "HUGEINT", "UHUGEINT"))
    if inexact or (kind == "number" and not keep):
        return f"{value}::DOUBLE AS {quoted(name)}"
    if kind in ("text", "nested") and duckdb_type != "VARCHAR":
        return f"{value}::VARCHAR AS {quoted(name)}"
    return f"{value} AS {quoted(name)}"


def write_sides(db: duckdb.DuckDBPyConnection, rows: Path, folder: Path) -> dict[str, int]:
    """Write train.parquet, valid.parquet and test.parquet; return the rows of each.

    Raises DataError if a side is empty.
    """
    counts = {}
    own = ", ".join(quoted(name) for name in pq.read_schema(rows).names if name not in (SIDE, PLACE))
    for side in SIDES:
        target = folder / f"{side}.parquet"
        select = f"SELECT {own} FROM {parquet(rows)} WHERE {SIDE} = '{side}'"
        _write(db, select, target, len(pq.read_schema(rows)), "split")
        counts[side] = pq.read_metadata(target).num_rows
        if not counts[side]:
            raise DataError(f"split: no row fell into {side}; enlarge its share or check the values it names")
    return counts


def sampled(rows: int, most: int) -> np.ndarray:
    """Return the places of a sample of so many rows in their order, shape (at most `most`,); the same one each time."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def read_side(folder: Path, side: str, columns: list[str] | None = None, most: int | None = None) -> pd.DataFrame:
    """Return one side of the split; shape (rows, columns), in the order in which it was written.

    Of more than `most` rows a sample is returned, the same one each time, never holding more than it in memory.
    """
    path = folder / f"{side}.parquet"
    rows = pq.read_metadata(path).num_rows
    if most is None or rows <= most:
        return pd.read_parquet(path, columns=columns)
    wanted = sampled(rows, most)
    taken, start = [], 0
    file = pq.ParquetFile(path)
    for batch in file.iter_batches(rows_at_a_time(len(columns or file.schema_arrow)), columns=columns):
        low, high = np.searchsorted(wanted, [start, start + len(batch)])
        taken.append(batch.take(pa.array(wanted[low:high] - start)))
        start += len(batch)
    return pa.Table.from_batches(taken).to_pandas()


def read_batches(folder: Path, side: str, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Yield the rows of a side in their order, some at a time."""
    with pq.ParquetFile(folder / f"{side}.parquet") as file:
        for batch in file.iter_batches(rows_at_a_time(len(columns)), columns=columns):
            yield batch.to_pandas()


def keep_targets(db: duckdb.DuckDBPyConnection, target: str, rows: Path) -> tuple[int, list[tuple[Any, int]]]:
    """Leave out the rows without a target; return how many they were, and the 1,001 most frequent values of it."""
    table, known = parquet(rows), quoted(target)
    missing = run(db, f"SELECT count(*) - count({known}) FROM {table}", "data.target").fetchall()[0][0]
    if missing:
        rewrite(db, f"SELECT * FROM {table} WHERE {known} IS NOT NULL", rows, "data")
    sql = f"SELECT {known}, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1001"
    return int(missing), [(value, int(count)) for value, count in run(db, sql, "data.target").fetchall()]
