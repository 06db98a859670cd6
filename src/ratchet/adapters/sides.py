"""Which side of the split a row falls on, as SQL; by md5, which no release of DuckDB will change."""

import duckdb

from ratchet.adapters.sql import literal, quoted, run
from ratchet.config import Data, GroupSplit, HashSplit, SourceSplit, Split, TimeSplit
from ratchet.errors import DataError

SIDES = ("train", "valid", "test")
SIDE, GROUP, SOURCE, PLACE = "ratchet_side", "ratchet_group", "ratchet_source", "ratchet_place"


def key_columns(data: Data, split: Split, kinds: dict[str, str]) -> list[str]:
    """Return the columns that decide a row's side: its group's, its id, or without one all but the target."""
    if isinstance(split, GroupSplit):
        return list(split.columns)
    return [data.id] if data.id else [name for name in kinds if name != data.target]


def joined(names: list[str], kinds: dict[str, str], id_column: str | None = None) -> str:
    """SQL of one text of several cells. A number is written the same whether its column holds whole ones or not."""

    def text(name: str) -> str:
        as_number = kinds[name] == "number" and name != id_column
        return f"{quoted(name)}::DOUBLE::VARCHAR" if as_number else f"{quoted(name)}::VARCHAR"

    return "concat_ws(chr(31), " + ", ".join(f"coalesce({text(name)}, chr(30))" for name in names) + ")"


def md5_number(key: str, salt: str) -> str:
    """SQL of a whole number below 16**15 by md5, which no release of DuckDB will change."""
    return f"('0x' || substr(md5({literal(salt)} || '|' || {key}), 1, 15))::UBIGINT"


def share(key: str, salt: str) -> str:
    """SQL of a number in [0, 1) by md5; its test has the twin in Python."""
    return f"{md5_number(key, salt)} / {16**15}.0"


def side_of(db: duckdb.DuckDBPyConnection, split: Split, key: str, target: str) -> str:
    """SQL of the side of a row."""
    if isinstance(split, HashSplit | GroupSplit):
        part, cuts = share(key, split.salt), (split.train, split.train + split.valid)
        return f"CASE WHEN {part} < {cuts[0]} THEN 'train' WHEN {part} < {cuts[1]} THEN 'valid' ELSE 'test' END"
    if isinstance(split, TimeSplit):
        return _by_time(db, split, target)
    column = SOURCE if isinstance(split, SourceSplit) else f"{quoted(split.column)}::VARCHAR"
    train, test = (", ".join(literal(str(value)) for value in values) for values in (split.train, split.test))
    held_out = f"CASE WHEN {share(key, split.salt)} < {split.valid} THEN 'valid' ELSE 'train' END"
    return f"CASE WHEN {column} IN ({test}) THEN 'test' WHEN {column} IN ({train}) THEN {held_out} END"


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
