"""Which side of the split a row falls on, as SQL; by md5, which no release of DuckDB will change."""

from collections.abc import Mapping

import duckdb

from ratchet.adapters import splitvalues
from ratchet.adapters.sql import literal, quoted, run
from ratchet.config import Data, GroupSplit, HashSplit, SourceSplit, Split, TimeSplit
from ratchet.errors import DataError

SIDES = ("train", "valid", "test")
WIDE = ("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT", "DECIMAL")  # beyond what a double holds
SIDE, GROUP, SOURCE, PLACE = "ratchet_side", "ratchet_group", "ratchet_source", "ratchet_place"


def key_columns(data: Data, split: Split, kinds: dict[str, str]) -> list[str]:
    """Return the columns that decide a row's side: its group's, its id, or without one all but the target."""
    if isinstance(split, GroupSplit):
        return list(split.columns)
    return [data.id] if data.id else [name for name in kinds if name != data.target]


def joined(
    names: list[str], kinds: Mapping[str, str], id_column: str | None = None, types: Mapping[str, str] | None = None
) -> str:
    """SQL of one text of several cells. A number is written the same whether its column holds whole ones or not.

    types: the columns' DuckDB types: a number that a double does not hold exactly is written with all its digits.
    """

    def text(name: str) -> str:
        column, kind = quoted(name), (types or {}).get(name, "")
        if kinds[name] != "number" or name == id_column:
            return f"{column}::VARCHAR"
        as_double = f"{column}::DOUBLE::VARCHAR"
        if not kind.startswith(WIDE):
            return as_double
        is_held = f"TRY_CAST({column}::DOUBLE AS HUGEINT) = {column}::HUGEINT"
        if kind.startswith("DECIMAL"):  # of a part it is the text that counts: no double is 0.1
            is_held = f"CASE WHEN {column} % 1 = 0 THEN {is_held} ELSE TRY_CAST({as_double} AS {kind}) = {column} END"
        digits = f"regexp_replace({column}::VARCHAR, '[.]0+$', '')"
        return f"CASE WHEN {is_held} THEN {as_double} ELSE {digits} END"

    return "concat_ws(chr(31), " + ", ".join(f"coalesce({text(name)}, chr(30))" for name in names) + ")"


def md5_number(key: str, salt: str) -> str:
    """SQL of a whole number below 16**15 by md5, which no release of DuckDB will change."""
    return f"('0x' || substr(md5({literal(salt)} || '|' || {key}), 1, 15))::UBIGINT"


def share(key: str, salt: str) -> str:
    """SQL of a number in [0, 1) by md5; its test has the twin in Python."""
    return f"{md5_number(key, salt)} / {16**15}.0"


def side_of(db: duckdb.DuckDBPyConnection, split: Split, key: str, target: str, types: Mapping[str, str]) -> str:
    """SQL of the side of a row. types: the columns of `ratchet_rows` with their DuckDB types."""
    if isinstance(split, HashSplit | GroupSplit):
        part, cuts = share(key, split.salt), (split.train, split.train + split.valid)
        return f"CASE WHEN {part} < {cuts[0]} THEN 'train' WHEN {part} < {cuts[1]} THEN 'valid' ELSE 'test' END"
    if isinstance(split, TimeSplit):
        return _by_time(db, split, target)
    if isinstance(split, SourceSplit):
        train, test = (f"{SOURCE} IN ({', '.join(map(literal, names))})" for names in (split.train, split.test))
    else:
        train, test = splitvalues.conditions(db, split, types)
    held_out = f"CASE WHEN {share(key, split.salt)} < {split.valid} THEN 'valid' ELSE 'train' END"
    return f"CASE WHEN {test} THEN 'test' WHEN {train} THEN {held_out} END"


def _by_time(db: duckdb.DuckDBPyConnection, split: TimeSplit, target: str) -> str:
    column = quoted(split.column)
    shares = [split.train, split.train + split.valid]
    # As text: a time with a zone would need a package of its own to become a Python value.
    sql = f"SELECT quantile_disc({column}, {shares})::VARCHAR[] FROM ratchet_rows WHERE {target} IS NOT NULL"
    cuts = run(db, sql, "split.column").fetchall()[0][0]
    if cuts is None:
        raise DataError(f"split.column: {split.column!r} has no value in any row")
    first, second = (f"{column} < {literal(cut)}" for cut in cuts)
    return f"CASE WHEN {column} IS NULL THEN NULL WHEN {first} THEN 'train' WHEN {second} THEN 'valid' ELSE 'test' END"
