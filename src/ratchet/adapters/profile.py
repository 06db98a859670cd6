"""What the rows look like: one pass of DuckDB per question, figures out."""

import math
from pathlib import Path
from typing import Any

import duckdb

from ratchet.adapters.sides import SIDE
from ratchet.adapters.sql import parquet, quoted

BINS = 20
LEVELS = 20
AT_ONCE, HISTOGRAMS_AT_ONCE = 300, 40  # a histogram takes megabytes, however few rows there are


def columns(db: duckdb.DuckDBPyConnection, rows: Path, kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Describe each column.

    By column: kind, missing (share), distinct, range, cells with a NUL byte, and a histogram or the most frequent
    levels.
    """
    table = parquet(rows)
    total = db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    asked = [part for name, kind in kinds.items() for part in _aggregates(quoted(name), kind)]
    figures = iter(_ask(db, table, asked))
    described: list[dict[str, Any]] = []
    for name, kind in kinds.items():
        present, distinct, low, high, mean, nul = (next(figures) for _ in range(6))
        entry: dict[str, Any] = {
            "name": name,
            "kind": kind,
            "missing": 1 - present / total if total else 0.0,
            "distinct": min(distinct, present),
            "minimum": _plain(low),
            "maximum": _plain(high),
            "mean": _plain(mean),
            "nul": int(nul or 0),
        }
        if kind == "number" and present and mean is None:  # an infinite value is no part of the mean
            sql = f"SELECT avg({quoted(name)}) FILTER (isfinite({quoted(name)})) FROM {table}"
            entry["mean"] = _plain(db.execute(sql).fetchall()[0][0])
        described.append(entry)
    histograms = _histograms(db, table, described)
    return [entry | (histograms.get(entry["name"]) or _levels(db, table, entry)) for entry in described]


def _ask(db: duckdb.DuckDBPyConnection, table: str, asked: list[str], at_once: int = AT_ONCE) -> list[Any]:
    """Return the figures, asking for some at a time, so that a table of thousands of columns fits into memory."""
    found: list[Any] = []
    for start in range(0, len(asked), at_once):
        found += db.execute(f"SELECT {', '.join(asked[start : start + at_once])} FROM {table}").fetchall()[0]
    return found


def _aggregates(column: str, kind: str) -> list[str]:
    mean = "NULL"
    if kind == "number":  # the filter takes longer than all the rest, so it is for columns that need it
        mean = f"CASE WHEN isfinite(min({column}) + max({column})) THEN avg({column}) END"
    # Up to a few levels the count has to be exact: a constant column is one with a single value.
    several = f"greatest(approx_count_distinct({column}), 2)"
    constant = f"min({column}) IS NOT DISTINCT FROM max({column})"
    distinct = f"CASE WHEN {constant} THEN least(count({column}), 1) ELSE {several} END"
    # A date as text: one with a zone would need a package of its own to become a Python value.
    shown = "::VARCHAR" if kind == "date" else ""
    nul = f"count(*) FILTER (contains({column}, chr(0)))" if kind == "text" else "0"
    return [f"count({column})", distinct, f"min({column}){shown}", f"max({column}){shown}", mean, nul]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value[:100] if isinstance(value, str) else value if value is None or isinstance(value, int) else str(value)


def _histograms(
    db: duckdb.DuckDBPyConnection, table: str, described: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Count the values of each column of numbers in bins of equal width, in one pass."""
    asked, edges = [], {}
    for entry in described:
        column, low, high = quoted(entry["name"]), entry["minimum"], entry["maximum"]
        if (
            entry["kind"] != "number"
            or low is None
            or high is None
            or not 0 < (width := (high - low) / BINS) < math.inf
        ):
            continue
        # In doubles: the difference of two whole numbers, and a decimal literal, may not fit their own types.
        place = f"floor(({column}::DOUBLE - '{low!r}'::DOUBLE) / '{width!r}'::DOUBLE)"
        asked.append(f"histogram(least({place}, {BINS - 1})::INTEGER) FILTER (isfinite({column}))")
        edges[entry["name"]] = [low + i * width for i in range(BINS + 1)]
    counts = _ask(db, table, asked, HISTOGRAMS_AT_ONCE)
    return {
        name: {"edges": edges[name], "counts": [int((found or {}).get(i, 0)) for i in range(BINS)]}
        for name, found in zip(edges, counts, strict=True)
    }


def _levels(db: duckdb.DuckDBPyConnection, table: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Count the most frequent texts of a column that has few enough of them."""
    if entry["kind"] != "text" or entry["distinct"] > 10_000:
        return {}
    # By place, not by a name: a column may be called anything.
    counted = f"SELECT {quoted(entry['name'])}, count(*) FROM {table} WHERE {quoted(entry['name'])} IS NOT NULL"
    found = db.execute(f"{counted} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {LEVELS}").fetchall()
    return {"levels": [str(level)[:60] for level, _ in found], "counts": [count for _, count in found]}


def count(db: duckdb.DuckDBPyConnection, rows: Path) -> int:
    """Count the rows."""
    return int(db.execute(f"SELECT count(*) FROM {parquet(rows)}").fetchall()[0][0])


def length(db: duckdb.DuckDBPyConnection, rows: Path, entry: dict[str, Any]) -> float:
    """Return the mean number of characters of a text column; 0 for other kinds."""
    if entry["kind"] != "text":
        return 0.0
    sql = f"SELECT avg(length({quoted(entry['name'])})) FROM {parquet(rows)}"
    return float(db.execute(sql).fetchall()[0][0] or 0)


def doubles(db: duckdb.DuckDBPyConnection, rows: Path, features: list[str]) -> dict[str, int]:
    """Count rows that repeat an earlier one, and feature rows that stand on two sides of the split."""
    table = parquet(rows)
    row = f"hash({', '.join(quoted(name) for name in features)})"
    side = f"CASE {SIDE} WHEN 'train' THEN 1 WHEN 'valid' THEN 2 WHEN 'test' THEN 4 ELSE 0 END"
    sql = (
        f"SELECT coalesce(sum(n - 1), 0)::BIGINT, coalesce(sum(n) FILTER (bit_count(sides) > 1), 0)::BIGINT"
        f" FROM (SELECT count(*) AS n, bit_or({side}) AS sides FROM {table} GROUP BY {row})"
    )
    repeated, on_two_sides = db.execute(sql).fetchall()[0]
    return {"repeated_rows": int(repeated), "rows_on_two_sides": int(on_two_sides)}


def combinations(db: duckdb.DuckDBPyConnection, rows: Path, features: list[str], target: str) -> dict[str, int]:
    """Count how many different combinations the features have, and the rows whose twins differ in the target."""
    row, value = f"hash({', '.join(quoted(name) for name in features)})", quoted(target)
    counted = f"SELECT count(*) AS n, min({value}) IS DISTINCT FROM max({value}) AS differ"
    sql = f"{counted} FROM {parquet(rows)} GROUP BY {row}"
    asked = f"SELECT count(*), coalesce(sum(n) FILTER (differ), 0)::BIGINT FROM ({sql})"
    different, mixed = db.execute(asked).fetchall()[0]
    return {"different_rows": int(different), "rows_of_mixed_twins": int(mixed)}


def ids(db: duckdb.DuckDBPyConnection, rows: Path, name: str) -> dict[str, int]:
    """Count ids that are missing and ids that occur again."""
    column = quoted(name)
    asked = f"count(*) - count({column}), count({column}) - count(DISTINCT {column})"
    missing, repeated = db.execute(f"SELECT {asked} FROM {parquet(rows)}").fetchall()[0]
    return {"missing_ids": int(missing), "repeated_ids": int(repeated)}
