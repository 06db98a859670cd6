"""Rare classes: spread over the sides of the split by their share, merged into one class, or left out."""

import math
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ratchet.adapters import files
from ratchet.adapters.sides import PLACE, SIDE, SIDES
from ratchet.adapters.sql import literal, parquet, quoted, run
from ratchet.config import GroupSplit, HashSplit, RareClasses, Split, TimeSplit
from ratchet.errors import DataError

FEW = 5  # with fewer rows of a class no figure of a side says much about it
MOST_RARE, NAMED = 10_000, 5


def merge_rare(
    db: duckdb.DuckDBPyConnection, rare: RareClasses, target: str, rows: Path
) -> tuple[list[tuple[Any, int]], str]:
    """Merge the rare classes of the rows in a Parquet file into one, or leave their rows out.

    Args:
        rare: which classes are rare, and what becomes of them.
        target: the column of classes; it has no missing cell any more.
        rows: the file, which is written anew.

    Returns:
        The 1,001 most frequent classes with their rows, and a sentence on what was done; empty if none is rare.

    Raises:
        DataError: If the merged class does not go with the others, or there are too many rare ones.
    """
    table, column = parquet(rows), quoted(target)
    asked = f"SELECT {column}, count(*) FROM {table} GROUP BY 1 HAVING count(*) < {rare.under} ORDER BY 2 DESC, 1"
    found = run(db, f"{asked} LIMIT {MOST_RARE + 1}", "data.target").fetchall()
    if len(found) > MOST_RARE:
        raise DataError(f"data.target: {target!r} has more than {MOST_RARE:,} rare classes; does it name the rows?")
    sentence = ""
    if found:
        is_text = any(isinstance(name, str) for name, _ in found)
        if not is_text and isinstance(rare.into, str):
            raise DataError(f"data.rare_classes.into: {target!r} holds numbers; name a number, as in into: -1")
        names = ", ".join(literal(name) if is_text else repr(name) for name, _ in found)
        into = literal(str(rare.into)) if is_text else str(rare.into)
        merged = f"SELECT * REPLACE (CASE WHEN {column} IN ({names}) THEN {into} ELSE {column} END AS {column})"
        sql = f"SELECT * FROM {table} WHERE {column} NOT IN ({names})" if rare.drop else f"{merged} FROM {table}"
        files.rewrite(db, sql, rows, "data.rare_classes")
        sentence = _merged(rare, found)
    sql = f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1001"
    return [(name, int(count)) for name, count in run(db, sql, "data.target").fetchall()], sentence


def _merged(rare: RareClasses, found: list[tuple[Any, int]]) -> str:
    count = sum(rows for _, rows in found)
    shown = ", ".join(f"{name} ({rows})" for name, rows in found[:NAMED]) + (", …" if len(found) > NAMED else "")
    became = "were left out" if rare.drop else f"are {rare.into!r} now"
    rows = f"{count:,} rows in all"
    return f"data.rare_classes: {len(found):,} classes with fewer than {rare.under:,} rows {became}, {rows}: {shown}"


def planned(rows: int, shares: dict[str, float]) -> dict[str, int]:
    """Return how many of so many rows of a class each side gets: by its share, and at least one if there are enough.

    Args:
        rows: of the class.
        shares: of the sides; what train is short of goes to it last, so that it is never empty.
    """
    counts, left = {}, rows
    others = sorted((side for side in shares if side != "train"), key=SIDES.index, reverse=True)  # test before valid
    for place, side in enumerate(others):
        spare = left - 1 - (len(others) - 1 - place if rows >= len(shares) else 0)
        counts[side] = max(0, min(max(1, math.floor(rows * shares[side] + 0.5)), spare))
        left -= counts[side]
    return {side: counts.get(side, left) for side in shares}


def spread(db: duckdb.DuckDBPyConnection, split: Split, target: str, rows: Path) -> tuple[bool, str]:
    """Give each side its share of the classes that it would hold too few rows of, or of all of them.

    What stays together (rows of an id, of a group, equal rows) counts as one, by the rarest class in it, and is placed
    in the order of its md5: the same on every machine.

    Args:
        split: `stratify` says whether: unset, for classes of which a side holds fewer than 5 rows and would get more.
        target: the column of classes; it has no missing cell any more.
        rows: the Parquet file of the rows with their sides, which is written anew.

    Returns:
        Whether any class was spread, and a sentence on it where the task did not ask for it.
    """
    if isinstance(split, TimeSplit) or split.stratify is False:
        return False, ""
    shares = (
        {"train": split.train, "valid": split.valid, "test": split.test}
        if isinstance(split, HashSplit | GroupSplit)
        else {"valid": split.valid, "train": 1 - split.valid}
    )
    table, column = parquet(rows), quoted(target)
    sides = f"{SIDE} IN ({', '.join(literal(side) for side in shares)})"
    asked = f"SELECT {column}, {SIDE}, count(*) FROM {table} WHERE {sides} GROUP BY ALL"
    held: dict[Any, dict[str, int]] = {}
    for name, side, count in run(db, asked, "split").fetchall():
        held.setdefault(name, dict.fromkeys(shares, 0))[side] = count
    if split.stratify is None and all(min(counts.values()) >= FEW for counts in held.values()):
        return False, ""
    names = sorted(held, key=lambda name: (sum(held[name].values()), str(name)))  # the rarest first
    units = _units(db, table, column, names, sides)
    plans = {rank: planned(sum(counts.values()), shares) for rank, counts in units.items()}
    chosen = [
        rank for rank, plan in plans.items()
        if split.stratify or any(held[names[rank]][s] < FEW and units[rank].get(s, 0) < plan[s] for s in shares)
    ]  # fmt: skip
    if not chosen:
        return False, ""
    _place(db, rows, {rank: plans[rank] for rank in chosen})
    return True, "" if split.stratify else _told([(names[rank], held[names[rank]]) for rank in sorted(chosen)])


def _units(
    db: duckdb.DuckDBPyConnection, table: str, column: str, names: list[Any], sides: str
) -> dict[int, dict[str, int]]:
    """Write what stays together with the rank of its rarest class to `ratchet_units`; count it by rank and side."""
    db.execute("CREATE OR REPLACE TEMP TABLE ratchet_ranks (rank INTEGER, name VARCHAR)")
    db.executemany("INSERT INTO ratchet_ranks VALUES (?, ?)", [[n, str(name)] for n, name in enumerate(names)])
    text = f"{column}::VARCHAR"
    unit = f"{PLACE}, min(rank) AS rank, any_value({SIDE}) AS side"
    run(db, f"CREATE OR REPLACE TEMP TABLE ratchet_units AS SELECT {unit} FROM {table} "
            f"JOIN ratchet_ranks ON {text} = name WHERE {sides} GROUP BY {PLACE}", "split")  # fmt: skip
    counts: dict[int, dict[str, int]] = {}
    for rank, side, count in db.execute("SELECT rank, side, count(*) FROM ratchet_units GROUP BY ALL").fetchall():
        counts.setdefault(rank, {})[side] = count
    return counts


def _place(db: duckdb.DuckDBPyConnection, rows: Path, plans: dict[int, dict[str, int]]) -> None:
    """Write the sides anew: within a class in the order of md5, as the hash alone would place them."""
    ends = []
    for rank, plan in plans.items():
        end = 0
        for side, count in plan.items():
            end += count
            ends.append(f"({rank}, {end - count}, {end}, {literal(side)})")
    placed = (
        f"SELECT {PLACE} AS unit, new_side FROM (SELECT *, row_number() OVER (PARTITION BY rank ORDER BY {PLACE}) - 1"
        f" AS nth FROM ratchet_units) u JOIN (VALUES {', '.join(ends)}) e(rank, low, high, new_side)"
        " ON u.rank = e.rank AND nth >= low AND nth < high"
    )
    table = parquet(rows, ", file_row_number = true")
    names = [name for name in pq.read_schema(rows).names if name != SIDE]
    columns = ", ".join(quoted(name) for name in names)
    # A row that was on no side stays there: its unit is not among those placed.
    sql = f"SELECT {columns}, coalesce(new_side, {SIDE}) AS {SIDE} FROM {table} LEFT JOIN ({placed}) ON {PLACE} = unit"
    sql += f" AND {SIDE} IN ({', '.join(sorted({literal(side) for plan in plans.values() for side in plan}))})"
    files.rewrite(db, f"{sql} ORDER BY file_row_number", rows, "split")


def _told(classes: list[tuple[Any, dict[str, int]]]) -> str:
    name, counts = classes[0]
    side = min(counts, key=lambda side: counts[side])
    more = f" (and {len(classes) - 1} more)" if len(classes) > 1 else ""
    return (
        f"split: {side} would hold {counts[side]} of {sum(counts.values())} rows of class {name!r}{more}, so each side"
        " gets its share of them; split.stratify: true does so for all classes, false for none"
    )
