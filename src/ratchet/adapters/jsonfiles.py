"""JSON as DuckDB's reader takes it: a record a line (.jsonl, .ndjson), or a list of records (.json)."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import duckdb

from ratchet.adapters import columns, partitions
from ratchet.adapters.lineends import open_bytes
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import file_list, in_short, literal, quoted
from ratchet.errors import DataError

RECORD_BYTES = 64_000_000  # the longest record
EXPLAINED_BYTES = 200_000_000  # of a list of records that is read again to say what is wrong with it


def attach(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Create the view of a table of JSON records; types hold for all of them.

    Texts stay texts, also those of digits; a column of values of several kinds is text, one with lists or records among
    them stays JSON.

    Raises:
        DataError: the file and line of what is no JSON; a file that holds no records.
    """
    for file in table.files:
        if not file.stat().st_size:
            raise DataError(f"data.sources.{table.name}: {file}: is empty")
    _create(db, table, {})
    _require_records(db, table)
    own = columns.describe(db, table.name)
    if mixed := [name for name, kind in own.items() if kind == "JSON"]:
        tests = ", ".join(f"bool_or(json_type({quoted(name)}) IN ('OBJECT', 'ARRAY'))" for name in mixed)
        nested = db.execute(f"SELECT {tests} FROM {quoted(table.name)}").fetchall()[0]
        if texts := [name for name, is_nested in zip(mixed, nested, strict=True) if not is_nested]:
            _create(db, table, dict.fromkeys(texts, "VARCHAR"))
    columns.keep_wide_as_text(db, table, partial(_create, db, table))


def _create(db: duckdb.DuckDBPyConnection, table: Table, types: Mapping[str, str]) -> None:
    """Create the view anew; types: of columns that keep none of the types that it has, or is seen to have."""
    given = ""
    if types:
        own = {name: kind for name, kind in columns.describe(db, table.name).items() if name != partitions.FILE}
        shape = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in (own | dict(types)).items())
        given = f", columns = {{{shape}}}"
    options = "hive_partitioning = false, sample_size = -1, union_by_name = true, convert_strings_to_integers = false"
    options += f", maximum_object_size = {RECORD_BYTES}{partitions.filename(table)}{given}"
    reader = f"read_json({file_list(table.files)}, {options})"
    try:
        db.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS SELECT * FROM {reader}")
        columns.describe(db, table.name)
    except duckdb.Error as error:
        fault = (
            next(filter(None, map(_fault_in, table.files)), "") or f"{table.origin} cannot be read: {in_short(error)}"
        )
        raise DataError(f"data.sources.{table.name}: {fault}") from None


def _require_records(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Refuse one object that holds the columns as lists or objects, as pandas writes it by default."""
    kinds = [kind for name, kind in columns.describe(db, table.name).items() if name != partitions.FILE]
    if all(kind.endswith("]") or kind.startswith(("STRUCT", "MAP")) for kind in kinds):
        rows = db.execute(f"SELECT count(*) FROM (SELECT 1 FROM {quoted(table.name)} LIMIT 2)").fetchall()[0][0]
        if rows == 1:
            raise DataError(
                f"data.sources.{table.name}: {table.origin}: is one object, not a list of records; write a record a"
                " row: df.to_json(…, orient='records', lines=True)"
            )


def _fault_in(file: Path) -> str:
    """Return the first line of a file that is no JSON, and why; empty if Python finds none."""
    try:
        with open_bytes(file) as raw:
            if file.name.removesuffix(".gz").endswith(".json"):
                if file.stat().st_size < EXPLAINED_BYTES:
                    json.load(raw)
                return ""
            for number, line in enumerate(raw, 1):
                try:
                    json.loads(line if line.strip() else b"{}")
                except ValueError as error:
                    return f"{file.name}: line {number}: no JSON: {getattr(error, 'msg', error)}"
    except json.JSONDecodeError as error:
        return f"{file.name}: line {error.lineno}, column {error.colno}: no JSON: {error.msg}"
    except (OSError, EOFError, ValueError) as error:
        return f"{file.name}: cannot be read: {error}"
    return ""
