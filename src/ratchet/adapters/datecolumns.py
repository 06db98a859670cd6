"""Which columns of dates a task depends on, and how their text becomes dates before a query or a split sees it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import duckdb

from ratchet.adapters import dates
from ratchet.adapters.dateforms import COMPACT
from ratchet.adapters.dates import Place, UnreadDateError, parsed
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import literal, quoted, run
from ratchet.config import ColumnSplit, Data, Split, TimeSplit
from ratchet.errors import DataError, did_you_mean

TEXT, ROWS = "ratchet_text_", "ratchet_rows"
WHOLE_NUMBERS = ("INTEGER", "BIGINT", "UINTEGER", "UBIGINT", "HUGEINT")
Attach = Callable[[duckdb.DuckDBPyConnection, Table], None]


def columns_of(db: duckdb.DuckDBPyConnection, view: str) -> dict[str, str]:
    """Return the columns of a view with their DuckDB types."""
    return {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {quoted(view)}").fetchall()}


def as_text(table: Table, names: Iterable[str]) -> Table:
    """Return the delimited table with columns read as text."""
    types = {**table.read.types, **dict.fromkeys(names, "text")}
    return replace(table, read=table.read.model_copy(update={"types": types}))


def apply(db: duckdb.DuckDBPyConnection, name: str, forms: Mapping[str, str]) -> None:
    """Make dates of the columns of a view whose form is known; a cell that does not fit is missing (see `check`)."""
    columns = columns_of(db, name)
    if known := {column: form for column, form in forms.items() if column in columns}:
        shown = ", ".join(f"{parsed(_text(c), form)} AS {quoted(c)}" for c, form in known.items())
        _wrap(db, name, f"SELECT * REPLACE ({shown}) FROM {quoted(TEXT + name)}")


def _text(column: str) -> str:
    return f"{quoted(column)}::VARCHAR"


def _wrap(db: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    """Give a view's name to a query over what it has been."""
    db.execute(f"DROP VIEW IF EXISTS {quoted(TEXT + name)}")
    db.execute(f"ALTER VIEW {quoted(name)} RENAME TO {quoted(TEXT + name)}")
    db.execute(f"CREATE VIEW {quoted(name)} AS {select}")


def settle(db: duckdb.DuckDBPyConnection, data: Data, split: Split, tables: Sequence[Table], attach: Attach) -> None:
    """Check the forms that the task names, and those that DuckDB guessed where the split or the query needs them.

    Raises:
        UnreadDateError: If a named form does not fit a cell, or a date can be read in two ways.
    """
    for table in tables:
        _check_named(db, table)
        columns = columns_of(db, table.name)
        guessed = [
            name
            for name, kind in columns.items()
            if kind in ("DATE", "TIMESTAMP") and name not in table.read.dates and _is_needed(name, data, split)
        ]
        if not table.is_delimited:
            continue
        if isinstance(split, TimeSplit) and columns.get(split.column) == "DOUBLE" and _may_be_months(db, table, split):
            guessed.append(split.column)
        if not guessed:
            continue
        attach(db, as_text(replace(table, read=table.read.model_copy(update={"dates": {}})), guessed))
        forms = {}
        for name in guessed:
            if columns[name] == "DOUBLE":
                forms[name] = "%Y.%m" if _are_months(db, table, name) else ""
                continue
            key = "split.column" if name == getattr(split, "column", None) else f"data.sources.{table.name}"
            place = Place(key, name, table.name, has_na=True)
            forms[name] = dates.find(db, quoted(table.name), _text(name), place)
        found = {name: form for name, form in forms.items() if form}
        read = table.read.model_copy(update={"dates": {**table.read.dates, **found}})
        attach(db, replace(table, read=read))


def _may_be_months(db: duckdb.DuckDBPyConnection, table: Table, split: TimeSplit) -> bool:
    """Whether a column of numbers may hold months behind a dot: as a number 2014.10 is 2014.1, and after 2014.9."""
    column = quoted(split.column)
    odd = f"count(*) FILTER (NOT {column} BETWEEN 1900 AND 2101 OR {column} % 1 > 0.125 AND {column} * 10 % 1 > 0.001)"
    parts = f"count(*) FILTER ({column} % 1 > 0)"
    asked = f"SELECT {odd}, {parts} FROM {quoted(table.name)}"
    try:
        strange, fractions = run(db, asked, "split.column").fetchall()[0]
    except DataError:  # a later cell is no number: then all cells are looked at as text
        return False
    return bool(fractions and not strange)


def _are_months(db: duckdb.DuckDBPyConnection, table: Table, name: str) -> bool:
    """Whether each cell is a year and a month, and some month has two digits, so that it is no part of a year."""
    text = _text(name)
    odd = f"count({text}) FILTER (NOT regexp_full_match({text}, '[0-9]{{4}}[.](0?[1-9]|1[0-2])'))"
    two = f"count({text}) FILTER (regexp_full_match({text}, '[0-9]{{4}}[.](0[1-9]|1[0-2])'))"
    strange, several = run(db, f"SELECT {odd}, {two} FROM {quoted(table.name)}", "split.column").fetchall()[0]
    return bool(several and not strange)


def _is_needed(name: str, data: Data, split: Split) -> bool:
    # SQL does not tell names apart by case; a part of another word is no name.
    in_query = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", data.query or "", re.IGNORECASE)
    return (isinstance(split, TimeSplit | ColumnSplit) and name == split.column) or in_query is not None


def _check_named(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    if not table.read.dates:
        return
    columns = columns_of(db, table.name)
    key = f"data.sources.{table.name}.read.dates"
    for name, form in table.read.dates.items():
        if name not in columns:
            raise UnreadDateError(f"{key}: no column {name!r}{did_you_mean(name, columns)}")
        place = Place(key, name, table.name, has_na=table.is_delimited)
        dates.check(db, quoted(TEXT + table.name), _text(name), form, place)


def time_column(
    db: duckdb.DuckDBPyConnection, data: Data, split: TimeSplit, columns: Mapping[str, str], tables: Sequence[Table]
) -> str:
    """Make a date, or a number, of the column that a split by time goes by, where the rows hold it as text.

    Args:
        columns: the columns of the view `ratchet_rows` with their DuckDB types.
        tables: the sources, where they are known.

    Returns:
        How its dates are written; empty where they were dates or numbers before.

    Raises:
        UnreadDateError: If its text is no date, or can be read in two ways.
    """
    name, kind = split.column, columns.get(split.column, "")
    text = f"lpad({_text(name)}, 8, '0')" if kind in WHOLE_NUMBERS else _text(name)
    is_text = kind == "VARCHAR" or kind.startswith("ENUM")
    if not (is_text or (kind in WHOLE_NUMBERS and _is_day_first(db, text))):
        return ""
    if is_text and _is_number(db, text) and not _is_day_first(db, text):
        as_number = f"TRY_CAST({text} AS DOUBLE)"
        exact = f"TRY_CAST({text} AS HUGEINT)"
        whole = f"count({text}) FILTER ({exact} IS NULL OR {text} LIKE '%.%')"
        is_whole = not run(db, f"SELECT {whole} FROM {ROWS}", "split.column").fetchall()[0][0]
        _wrap(db, ROWS, f"SELECT * REPLACE ({exact if is_whole else as_number} AS {quoted(name)}) FROM {TEXT}{ROWS}")
        return ""
    form = dates.find(db, ROWS, text, _place(data, name, tables, db))
    if form:
        _wrap(db, ROWS, f"SELECT * REPLACE ({parsed(text, form)} AS {quoted(name)}) FROM {quoted(TEXT + ROWS)}")
    return form


def _place(data: Data, name: str, tables: Sequence[Table], db: duckdb.DuckDBPyConnection) -> Place:
    """Where the column can be given a form: at its source, or, where the query makes it, in the query."""
    for source in [table.name for table in tables] or list(data.sources):
        kind = columns_of(db, source).get(name, "")
        if kind == "VARCHAR" or (kind and not data.query):
            table = next((each for each in tables if each.name == source), None)
            return Place("split.column", name, source, table is not None and table.is_delimited)
    return Place("split.column", name)


def _is_number(db: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether each cell is a plain number."""
    odd = f"count({text}) FILTER (NOT regexp_full_match({text}, '-?[0-9]+([.][0-9]+)?'))"
    return not run(db, f"SELECT {odd} FROM {ROWS}", "split.column").fetchall()[0][0]


def _is_day_first(db: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Whether each cell is eight digits that tell a day with its year behind, as 31012024, and not with it in front."""
    counts = [f"count({text}) FILTER ({parsed(text, form)} IS NULL)" for form in COMPACT]
    counts += [f"count({text}) FILTER (NOT regexp_full_match({text}, {literal('[0-9]{8}')}))", f"count({text})"]
    first = f"(SELECT * FROM {ROWS} LIMIT 1000)"  # most columns of numbers fail at once
    for rows in (first, ROWS):
        year_first, *behind, odd, cells = run(db, f"SELECT {', '.join(counts)} FROM {rows}", "split.column").fetchall()[
            0
        ]
        if not cells or odd or not year_first or all(behind):
            return False
    return True
