"""What the rows look like: one pass of DuckDB per question, figures out."""

import math
from pathlib import Path
from typing import Any

import duckdb

from ratchet.adapters.sides import SIDE
from ratchet.adapters.sql import literal, quoted

BINS = 20
LEVELS = 20


def columns(db: duckdb.DuckDBPyConnection, rows: Path, kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Describe each column: kind, missing (share), distinct, range and a histogram or the most frequent levels."""
    table = f"read_parquet({literal(str(rows))})"
    total = db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    asked = [part for name, kind in kinds.items() for part in _aggregates(quoted(name), kind)]
    figures = iter(db.execute(f"SELECT {', '.join(asked)} FROM {table}").fetchall()[0]) if asked else iter(())
    described = []
    for name, kind in kinds.items():
        present, distinct, low, high, mean = (next(figures) for _ in range(5))
        entry: dict[str, Any] = {
            "name": name,
            "kind": kind,
            "missing": 1 - present / total if total else 0.0,
            "distinct": min(distinct, present),
            "minimum": _plain(low),
            "maximum": _plain(high),
            "mean": _plain(mean),
        }
        described.append(entry | _distribution(db, table, entry))
    return described


def _aggregates(column: str, kind: str) -> list[str]:
    mean = f"avg({column}) FILTER (isfinite({column}))" if kind == "number" else "NULL"
    # Up to a few levels the count has to be exact: a constant column is one with a single value.
    several = f"greatest(approx_count_distinct({column}), 2)"
    constant = f"min({column}) IS NOT DISTINCT FROM max({column})"
    distinct = f"CASE WHEN {constant} THEN least(count({column}), 1) ELSE {several} END"
    # A date as text: one with a zone would need a package of its own to become a Python value.
    shown = "::VARCHAR" if kind == "date" else ""
    return [f"count({column})", distinct, f"min({column}){shown}", f"max({column}){shown}", mean]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value[:100] if isinstance(value, str) else value if value is None or isinstance(value, int) else str(value)


def _distribution(db: duckdb.DuckDBPyConnection, table: str, entry: dict[str, Any]) -> dict[str, Any]:
    column, low, high = quoted(entry["name"]), entry["minimum"], entry["maximum"]
    if entry["kind"] == "number":
        if low is None or high is None or not 0 < (width := (high - low) / BINS) < math.inf:
            return {}
        # In doubles: the difference of two whole numbers, and a decimal literal, may not fit their own types.
        bin_of = f"least(floor(({column}::DOUBLE - '{low!r}'::DOUBLE) / '{width!r}'::DOUBLE), {BINS - 1})::INTEGER"
        sql = f"SELECT {bin_of}, count(*) FROM {table} WHERE isfinite({column}) GROUP BY 1"
        found = dict(db.execute(sql).fetchall())
        return {
            "edges": [low + i * width for i in range(BINS + 1)],
            "counts": [found.get(i, 0) for i in range(BINS)],
        }
    if entry["kind"] == "text" and entry["distinct"] <= 10_000:
        # By place, not by a name: a column may be called anything.
        counted = f"SELECT {column}, count(*) FROM {table} WHERE {column} IS NOT NULL GROUP BY 1"
        found = db.execute(f"{counted} ORDER BY 2 DESC, 1 LIMIT {LEVELS}").fetchall()
        return {"levels": [str(level)[:60] for level, _ in found], "counts": [count for _, count in found]}
    return {}


def far_values(db: duckdb.DuckDBPyConnection, rows: Path, kinds: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Return, by column, the share of values far outside the rest, and the most frequent of them.

    Far: more than ten times the distance between the quartiles beyond them, as a code for missing often is.
    """
    table, found = f"read_parquet({literal(str(rows))})", {}
    for name in (name for name, kind in kinds.items() if kind == "number"):
        column = quoted(name)
        quartiles = f"SELECT quantile_cont({column}, 0.25), quantile_cont({column}, 0.75) FROM {table}"
        low, high = db.execute(quartiles).fetchall()[0]
        if low is None or not low < high:
            continue
        reach = 10 * (float(high) - float(low))
        far = f"{column} > '{high + reach!r}'::DOUBLE OR {column} < '{low - reach!r}'::DOUBLE"
        sql = f"SELECT count(*) / (SELECT count(*) FROM {table}), mode({column}) FROM {table} WHERE {far}"
        share, value = db.execute(sql).fetchall()[0]
        if share:
            found[name] = (float(share), float(value))
    return found


def count(db: duckdb.DuckDBPyConnection, rows: Path) -> int:
    """Count the rows."""
    return int(db.execute(f"SELECT count(*) FROM read_parquet({literal(str(rows))})").fetchall()[0][0])


def length(db: duckdb.DuckDBPyConnection, rows: Path, entry: dict[str, Any]) -> float:
    """Return the mean number of characters of a text column; 0 for other kinds."""
    if entry["kind"] != "text":
        return 0.0
    sql = f"SELECT avg(length({quoted(entry['name'])})) FROM read_parquet({literal(str(rows))})"
    return float(db.execute(sql).fetchall()[0][0] or 0)


def doubles(db: duckdb.DuckDBPyConnection, rows: Path, features: list[str]) -> dict[str, int]:
    """Count rows that repeat an earlier one, and feature rows that stand on two sides of the split."""
    table = f"read_parquet({literal(str(rows))})"
    row = f"hash({', '.join(quoted(name) for name in features)})"
    sql = (
        f"SELECT coalesce(sum(n - 1), 0)::BIGINT, coalesce(sum(n) FILTER (sides > 1), 0)::BIGINT"
        f" FROM (SELECT count(*) AS n, count(DISTINCT {SIDE}) AS sides FROM {table} GROUP BY {row})"
    )
    repeated, on_two_sides = db.execute(sql).fetchall()[0]
    return {"repeated_rows": int(repeated), "rows_on_two_sides": int(on_two_sides)}


def ids(db: duckdb.DuckDBPyConnection, rows: Path, name: str) -> dict[str, int]:
    """Count ids that are missing and ids that occur again."""
    column = quoted(name)
    asked = f"count(*) - count({column}), count({column}) - count(DISTINCT {column})"
    missing, repeated = db.execute(f"SELECT {asked} FROM read_parquet({literal(str(rows))})").fetchall()[0]
    return {"missing_ids": int(missing), "repeated_ids": int(repeated)}
