"""What is made of the columns of a source when it is read: named types, numbers as people write them, wide numbers."""

from collections.abc import Callable, Mapping, Sequence

import duckdb

from ratchet.adapters.partitions import NAMED
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import literal, quoted, replace_view, run
from ratchet.config import numbers
from ratchet.errors import DataError, did_you_mean

EXACT = 2**53  # beyond it neighbouring whole numbers are one double
WHOLE = ("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT", "DECIMAL")
NOTES = "ratchet_notes"
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
            "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")  # fmt: skip
REAL = ("FLOAT", "DOUBLE", "DECIMAL")
NESTED = ("STRUCT", "MAP", "UNION", "VARIANT", "JSON", '"NULL"', "NULL")  # and columns of nothing but missing cells


def describe(db: duckdb.DuckDBPyConnection, view: str) -> dict[str, str]:
    """Return the columns of a view with their DuckDB types."""
    return {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {quoted(view)}").fetchall()}


def add_note(db: duckdb.DuckDBPyConnection, table: Table, text: str) -> None:
    """Keep a sentence about how a table was read, for `notes`."""
    db.execute(f"CREATE TABLE IF NOT EXISTS {NOTES} (source VARCHAR, note VARCHAR)")
    db.execute(f"INSERT INTO {NOTES} VALUES ({literal(table.name)}, {literal(text)})")


def clear_notes(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Forget the sentences about a table, which is read anew."""
    db.execute(f"CREATE TABLE IF NOT EXISTS {NOTES} (source VARCHAR, note VARCHAR)")
    db.execute(f"DELETE FROM {NOTES} WHERE source = {literal(table.name)}")


def notes(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Return one sentence per thing that a user should know about how the sources were read."""
    return [note for (note,) in db.execute(f"SELECT note FROM {NOTES}").fetchall()]


def check_named(db: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> None:
    """Refuse columns of `read.types` and `read.numbers` that a source does not have.

    Raises:
        DataError: which one, and which was meant.
    """
    for table in tables:
        own = describe(db, table.name)
        for key in ("types", "numbers"):
            for name in getattr(table.read, key):
                if name not in own:
                    raise DataError(
                        f"data.sources.{table.name}.read.{key}: no column {name!r}{did_you_mean(name, own)}"
                    )


def adapt(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Replace the view of a table by one whose columns are read as the task says.

    The types of delimited text are named to its reader; those of other formats are cast here. Whole numbers beyond
    2^53 of formats that have types become text.
    """
    own, shown = describe(db, table.name), []
    wide = [] if table.format == "delimited" else find_wide(db, table, own)
    for name, kind in own.items():
        named = table.read.types.get(name)
        if name in table.read.numbers and kind == "VARCHAR":
            shown.append(f"{written_number(table, name)} AS {quoted(name)}")
        elif named and table.format != "delimited" and kind != NAMED[named]:
            shown.append(f"{quoted(name)}::{NAMED[named]} AS {quoted(name)}")
        elif name in wide:
            shown.append(f"{_digits(name, kind)} AS {quoted(name)}")
            add_note(db, table, wide_note(name))
        else:
            shown.append(quoted(name))
    if shown != [quoted(name) for name in own]:
        replace_view(db, table.name, ", ".join(shown))


def find_wide(db: duckdb.DuckDBPyConnection, table: Table, columns: Mapping[str, str]) -> list[str]:
    """Return the columns of whole numbers of which one is beyond 2^53, unless their type is named."""
    whole = [
        name
        for name, kind in columns.items()
        if kind.startswith(WHOLE) and not kind.endswith("]") and name not in table.read.types
    ]
    if not whole:
        return []
    tests = [f"max(abs({quoted(name)}::DOUBLE)) >= {EXACT} AND {_is_whole(name, columns[name])}" for name in whole]
    found = run(db, f"SELECT {', '.join(tests)} FROM {quoted(table.name)}", f"data.sources.{table.name}").fetchall()[0]
    return [name for name, is_wide in zip(whole, found, strict=True) if is_wide]


def keep_wide_as_text(db: duckdb.DuckDBPyConnection, table: Table, create: Callable[[Mapping[str, str]], None]) -> None:
    """Read columns of whole numbers beyond 2^53 as text, exactly as written; others keep the type that was seen.

    Args:
        db: the connection, on which the view of the table is.
        table: of a format without types of its own.
        create: makes the view anew, with DuckDB types for some of its columns.
    """
    own = describe(db, table.name)
    seen = [name for name, kind in own.items() if kind in (*WHOLE, "DOUBLE") and name not in table.read.types]
    if not seen:
        return
    tests = [f"coalesce(max(abs({quoted(name)}::DOUBLE)) >= {EXACT}, false)" for name in seen]
    found = run(db, f"SELECT {', '.join(tests)} FROM {quoted(table.name)}", f"data.sources.{table.name}").fetchall()[0]
    wide = [name for name, is_wide in zip(seen, found, strict=True) if is_wide]
    if not wide:
        return
    create(dict.fromkeys(wide, "VARCHAR"))
    tests = [f"bool_and(regexp_full_match({quoted(name)}, ' *[+-]?[0-9]+ *'))" for name in wide]
    found = run(db, f"SELECT {', '.join(tests)} FROM {quoted(table.name)}", f"data.sources.{table.name}").fetchall()[0]
    names = [name for name, is_whole in zip(wide, found, strict=True) if is_whole]
    if names != wide:
        create(dict.fromkeys(names, "VARCHAR"))
    for name in names:
        add_note(db, table, wide_note(name))


def wide_note(name: str) -> str:
    """Return what is said of a column of wide whole numbers."""
    return (
        f"{name}: holds whole numbers beyond 2^53, which no longer differ as numbers: read as text, exactly as written;"
        f" read.types: {{{name}: number}} reads amounts"
    )


def _is_whole(name: str, kind: str) -> str:
    """SQL of whether all values of a column of numbers are whole."""
    return f"bool_and({quoted(name)} = trunc({quoted(name)}))" if kind.startswith("DECIMAL") else "true"


def _digits(name: str, kind: str) -> str:
    whole = f"{quoted(name)}::DECIMAL(38, 0)" if kind.startswith("DECIMAL") else quoted(name)
    return f"{whole}::VARCHAR"


def written_number(table: Table, name: str) -> str:
    """Return SQL of a number that is written in the form which `read.numbers` names for its column."""
    form, cell = table.read.numbers[name], quoted(name)
    decimal = numbers.marks(form)[1]
    digits = f"replace(regexp_replace({cell}, {literal(f'[^0-9{decimal}]')}, '', 'g'), {literal(decimal)}, '.')::DOUBLE"
    value = f"CASE WHEN regexp_matches({cell}, '[-−(]') THEN -1 ELSE 1 END * {digits}"
    missing = ", ".join(literal(word) for word in table.read.na) or "NULL"
    place = literal(f"data.sources.{table.name}.read.numbers.{name}: ")
    mend = literal(f" is not written as {form}; if it means missing, put it into read.na")
    odd = f"error({place} || '''' || {cell}[:40] || '''' || {mend})"
    fits = f"regexp_full_match({cell}, {literal(numbers.pattern(form))})"
    return f"CASE WHEN {cell} IS NULL OR {cell} IN ({missing}) THEN NULL WHEN {fits} THEN {value} ELSE {odd} END"


def cast_as_trained(db: duckdb.DuckDBPyConnection, table: Table, types: Mapping[str, str]) -> None:
    """Replace the view of a table by one whose columns have the types that they had at train.

    No cell is rounded or cut for it: one that does not fit is an error when it is read.

    Args:
        db: the connection, on which the view of the table is.
        table: the table.
        types: DuckDB's, by column; a column that it does not name stays as it is.
    """
    own = describe(db, table.name)
    cells = {name: _as_trained(table, name, kind, types.get(name, kind)) for name, kind in own.items()}
    if any(cell != quoted(name) for name, cell in cells.items()):
        replace_view(db, table.name, ", ".join(f"{cell} AS {quoted(name)}" for name, cell in cells.items()))


def _as_trained(table: Table, name: str, kind: str, wanted: str) -> str:
    """SQL of a column of one type in the type that it had at train."""
    cell = quoted(name)
    is_nested = wanted.endswith("]") or wanted.startswith(NESTED)
    is_numeric = kind in INTEGERS or kind.startswith(REAL)
    if kind == wanted or is_nested or (kind in INTEGERS and wanted in INTEGERS):
        return cell
    if wanted in INTEGERS:
        return _whole_number(table, name, kind, wanted)
    if is_numeric and wanted.startswith(("FLOAT", "DECIMAL")):  # which would round
        return cell
    if wanted == "DATE":
        error = _misfit(table, name, "is no date without a time of day, as all cells were at train")
        return f"CASE WHEN {cell}::TIMESTAMP <> {cell}::DATE THEN {error} ELSE {cell}::DATE END"
    return f"{cell}::{wanted}"


def _whole_number(table: Table, name: str, kind: str, wanted: str) -> str:
    """SQL of a column of numbers or texts as whole numbers; an error at a cell that is none."""
    cell, text = quoted(name), f"{quoted(name)}::VARCHAR"
    number = f"TRY_CAST({cell} AS DOUBLE)"
    missing = f"{cell} IS NULL" + (f" OR isnan({cell})" if kind in ("FLOAT", "DOUBLE") else "")
    mend = f"; data.sources.{table.name}.read.types: {{{name}: number}} reads real numbers, in a training anew"
    error = _misfit(table, name, f"is no whole number, as all cells were at train{mend}")
    # Digits are cast as they are: a double would lose some of them beyond 2^53.
    digits = f"regexp_full_match({text}, '\\s*[-+]?[0-9]+\\s*')"
    is_whole = f"{number} = trunc({number}) AND NOT contains({text}, '_')"
    return (
        f"CASE WHEN {missing} THEN NULL WHEN {digits} THEN {text}::{wanted}"
        f" WHEN {is_whole} THEN {number}::{wanted} ELSE {error} END"
    )


def _misfit(table: Table, name: str, fault: str) -> str:
    """SQL of the error at a cell that has not the type of train."""
    return f"error({literal(f'{name}: ')} || '''' || ({quoted(name)}::VARCHAR)[:40] || ''' ' || {literal(fault)})"
