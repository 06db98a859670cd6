"""Rows whose side is named by a value: which cells a value of the task means, whatever type the column has."""

import re
from collections.abc import Mapping

import duckdb

from ratchet.adapters.sql import literal, quoted, run
from ratchet.config import ColumnSplit
from ratchet.errors import DataError

SHOWN = 6
WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,37}))(?:\.0+)?")
REAL = re.compile(r"-?[0-9]+\.[0-9]+")


def conditions(db: duckdb.DuckDBPyConnection, split: ColumnSplit, types: Mapping[str, str]) -> tuple[str, str]:
    """Return the SQL of the rows that the task names for train, and for test.

    Args:
        types: the columns of `ratchet_rows` with their DuckDB types.

    Raises:
        DataError: If a value is in no row, told with what the column holds; or a row is named for both.
    """
    column, kind = quoted(split.column), types[split.column]
    named = [("train", value, _is(column, kind, str(value))) for value in split.train]
    named += [("test", value, _is(column, kind, str(value))) for value in split.test]
    train, test = (" OR ".join(sql for of, _, sql in named if of == side) for side in ("train", "test"))
    counts = ", ".join(f"count(*) FILTER ({sql})" for _, _, sql in named)
    asked = f"SELECT {counts}, count(*) FILTER (({train}) AND ({test})) FROM ratchet_rows"
    *rows, both = run(db, asked, "split.column").fetchall()[0]
    for (side, value, _), count in zip(named, rows, strict=True):
        if not count:
            raise DataError(f"split.{side}: {value!r} is in no row of {split.column!r}, which {_held(db, column)}")
    if both:
        raise DataError(f"split: train and test both name {both:,} rows of {split.column!r}; name each value for one")
    return train, test


def _is(column: str, kind: str, value: str) -> str:
    """SQL of whether a cell is the value that the task names."""
    whole = WHOLE.fullmatch(value)
    if kind == "BOOLEAN":
        truth = {"true": "true", "1": "true", "false": "false", "0": "false"}.get(value.lower())
        return f"{column} IS {truth}" if truth else "false"
    if kind.startswith(("DATE", "TIMESTAMP")):
        return _is_moment(column, value)
    if kind == "VARCHAR" or kind.startswith("ENUM"):
        text = f"{column}::VARCHAR"
        if value.lower() in ("true", "false"):
            return f"lower({text}) = {literal(value.lower())}"
        also = f" OR regexp_full_match({text}, {literal(f'{whole[1]}([.]0+)?')})" if whole else ""
        return f"({text} = {literal(value)}{also})"
    if whole:
        return f"{column} = {whole[1]}"
    if REAL.fullmatch(value):
        return f"{column}::DOUBLE = {literal(value)}::DOUBLE"
    return f"{column}::VARCHAR = {literal(value)}"


def _is_moment(column: str, value: str) -> str:
    """SQL of whether a date or time is the year, the month, the day or the moment that the task names."""
    for form, length in (("%Y", 4), ("%Y-%m", 7), ("%Y-%m-%d", 10)):
        if len(value) == length and re.fullmatch("[0-9]{4}(-[0-9]{2}){0,2}", value):
            return f"strftime({column}, {literal(form)}) = {literal(value)}"
    return f"{column}::TIMESTAMP = TRY_CAST({literal(value)} AS TIMESTAMP)"


def _held(db: duckdb.DuckDBPyConnection, column: str) -> str:
    """Say what the column holds, the most frequent first."""
    asked = f"SELECT {column}::VARCHAR, count(*) FROM ratchet_rows WHERE {column} IS NOT NULL"
    rows = run(db, f"{asked} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {SHOWN + 1}", "split.column").fetchall()
    if not rows:
        return "holds no value at all"
    shown = ", ".join(f"{value.removesuffix('.0')[:40]!r} ({count:,} rows)" for value, count in rows[:SHOWN])
    return f"holds {shown}" + (", …" if len(rows) > SHOWN else "")
