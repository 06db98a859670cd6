"""Delimited text as DuckDB's read_csv takes it, and what is wrong with a file that it does not take."""

import codecs
import csv
import gzip
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import duckdb

from ratchet.adapters.sources import Table
from ratchet.adapters.sql import in_short, literal, quoted
from ratchet.config import Read
from ratchet.errors import DataError

QUOTE, SEPARATORS = '"', ",;\t|"
DUCKDB_TYPES = {"number": "DOUBLE", "text": "VARCHAR", "date": "TIMESTAMP"}
READ_AS = {"BIGINT": "VARCHAR", "DOUBLE": "VARCHAR", "DATE": "TIMESTAMP"}  # so that no cell is cut before it is seen
WRITTEN = {"BIGINT": "-?(0|[1-9][0-9]{0,17})", "DOUBLE": "-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?"}
SEEN_ROWS = 50_000
LINE_BYTES, LONGEST_LINE_BYTES = 2_000_000, 64_000_000
MEND = "; name its read.sep, read.quote or read.encoding"


def attach(db: duckdb.DuckDBPyConnection, table: Table, files: str, from_sample: bool) -> None:
    """Create the view of a delimited table. files: an SQL list of its files.

    from_sample: the types are those of the first SEEN_ROWS rows, which is fast; a later cell of another type, which
    DuckDB would cut to that one, is then an error, and the caller attaches the table again by all of its rows.
    Raises DataError that names the line, the column or the encoding.
    """
    for file in table.files:
        _check_header(table, file)
    _check_parts(table)
    if from_sample and len(table.files) == 1 and not table.read.types and _attach_seen(db, table, files):
        return
    for longest in (LINE_BYTES, LONGEST_LINE_BYTES):
        reader = f"read_csv({files}{options(table.read)}, sample_size = -1, {_longest(longest)})"
        try:
            db.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS SELECT * FROM {reader}")
            found = len(db.execute(f"DESCRIBE {quoted(table.name)}").fetchall())
        except duckdb.Error as error:
            if "Maximum line size" in str(error) and longest == LINE_BYTES:
                continue
            raise DataError(_fault(table, _reason(db, table, files) or in_short(error))) from None
        if found == 1 and len(_header(table, table.files[0])[1]) > 1 and (reason := _reason(db, table, files)):
            raise DataError(_fault(table, reason))
        return


def _attach_seen(db: duckdb.DuckDBPyConnection, table: Table, files: str) -> bool:
    """Create the view with the types of the first rows; return whether DuckDB could tell them."""
    name = f"sniff_csv({files.strip('[]')}{options(table.read)}, sample_size = {SEEN_ROWS})"
    try:
        columns = "list_transform(Columns, lambda c: c.name), list_transform(Columns, lambda c: c.type)"
        asked = f"SELECT {columns}, Delimiter, Quote, Escape, DateFormat, TimestampFormat FROM {name}"
        names, types, *dialect = db.execute(asked).fetchall()[0]
    except duckdb.Error:
        return False
    sep, quote, escape, date, time = ("" if part in (None, "(empty)", "None") else part for part in dialect)
    given = f"auto_detect = false, header = true, delim = {literal(sep)}, quote = {literal(quote)}"
    given += f", escape = {literal(escape)}, nullstr = [{', '.join(literal(cell) for cell in table.read.na)}]"
    given += f", timestampformat = {literal(time or date)}" if time or date else ""
    read = ", ".join(f"{literal(n)}: {literal(READ_AS.get(kind, kind))}" for n, kind in zip(names, types, strict=True))
    reader = f"read_csv({files}, {given}, columns = {{{read}}})"
    try:
        blank = _without_value(db, f"SELECT * FROM {reader} LIMIT {SEEN_ROWS}", names)
    except duckdb.Error:
        return False
    types = ["NULL" if name in blank else kind for name, kind in zip(names, types, strict=True)]
    shown = ", ".join(_guarded(quoted(n), kind) for n, kind in zip(names, types, strict=True))
    db.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS SELECT {shown} FROM {reader}")
    return len(names) > 1 or len(_header(table, table.files[0])[1]) == 1


def _without_value(db: duckdb.DuckDBPyConnection, rows: str, names: Sequence[str]) -> set[str]:
    """The columns that hold nothing in these rows: what kind they are is not known."""
    counted = db.execute(f"SELECT {', '.join(f'count({quoted(name)})' for name in names)} FROM ({rows})").fetchall()[0]
    return {name for name, count in zip(names, counted, strict=True) if not count}


def _guarded(column: str, kind: str) -> str:
    """SQL of a column in the type that its first cells have, and an error at the first cell that has another.

    Numbers are held against how they are written: 007, +7 and 1_000 are texts, as they are to a look at all rows.
    """
    other = f"error('another type in ' || {literal(column)})"
    if kind in WRITTEN:
        fits = f"regexp_full_match({column}, {literal(WRITTEN[kind])})"
        return f"CASE WHEN NOT {fits} THEN {other} ELSE {column}::{kind} END AS {column}"
    if kind == "DATE":
        return f"CASE WHEN {column} <> {column}::DATE THEN {other} ELSE {column}::DATE END AS {column}"
    if kind == "NULL":
        return f"CASE WHEN {column} IS NOT NULL THEN {other} END AS {column}"
    return column


def options(read: Read) -> str:
    """The options of read_csv; `store_rejects` is off, so that a row it cannot read is an error, not a loss."""
    chosen = [
        f"nullstr = [{', '.join(literal(cell) for cell in read.na)}]",
        "header = true",
        # What DuckDB sees by itself here can lose rows: lines that begin with #, cells that begin with '.
        "comment = ''",
        "skip = 0",
        f"quote = {literal(QUOTE if read.quote is None else read.quote)}",
        # Without BOOLEAN: a column of Yes and No stays what callers will send.
        "auto_type_candidates = ['NULL', 'BIGINT', 'DOUBLE', 'DATE', 'TIMESTAMP', 'VARCHAR']",
    ]
    if read.sep is not None:
        chosen.append(f"delim = {literal(read.sep)}")
    if read.quote == "":
        chosen.append("escape = ''")
    if read.types:
        types = ", ".join(f"{literal(name)}: {literal(DUCKDB_TYPES[kind])}" for name, kind in read.types.items())
        chosen.append(f"types = {{{types}}}")
    return "".join(f", {option}" for option in chosen)


def _fault(table: Table, reason: str) -> str:
    mend = "; the file is damaged or cut off" if "GZIP" in reason else MEND
    return f"data.sources.{table.name}: {table.origin} cannot be read: {reason}{mend}"


def _check_header(table: Table, file: Path) -> None:
    """Refuse an empty file, and names that DuckDB would change: one that stands twice, or is a word for missing."""
    place = f"data.sources.{table.name}: {file}"
    if not file.stat().st_size:
        raise DataError(f"{place}: is empty")
    with file.open("rb") as raw:
        if raw.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError(f"{place}: begins as UTF-16 does; give it read.encoding: utf-16")
    names = _header(table, file)[1]
    if missing := [name for name in names if name and name in table.read.na]:
        raise DataError(
            f"{place}: column {missing[0]!r} has a name that read.na reads as missing; rename it, or give a read.na"
            " without it"
        )
    seen = Counter(name.casefold() for name in names if name)
    if twice := [name for name in names if seen[name.casefold()] > 1]:
        told = f"column {twice[0]!r} stands twice"
        told += f" (as {twice[1]!r} too: case does not tell names apart)" if twice[1] != twice[0] else ""
        raise DataError(f"{place}: {told}; give each column a name of its own")


def _check_parts(table: Table) -> None:
    """Refuse parts whose columns have other names, or the same ones in another form of Unicode."""
    first = table.files[0]
    names = _header(table, first)[1]
    for file in table.files[1:]:
        own = _header(table, file)[1]
        if names and own and (odd := [name for name in (*own, *names) if name not in own or name not in names]):
            has, lacks = (file, first) if odd[0] in own else (first, file)
            form = " (it is there in another form of Unicode)" if _composed(odd[0]) in map(_composed, odd[1:]) else ""
            told = f"column {odd[0]!r} of {has.name} is not in {lacks.name}{form}"
            raise DataError(f"data.sources.{table.name}: {told}; give all parts the same columns")


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _header(table: Table, file: Path) -> tuple[str, list[str]]:
    """Return the separator, given or the likeliest, and the names in the first line; none if it cannot be read."""
    read = table.read
    quote = QUOTE if read.quote is None else read.quote
    try:
        with _opened(file) as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
            first = text.readline(LINE_BYTES)
            sep = read.sep or max(SEPARATORS, key=first.count)
            if len(sep) > 1:
                return sep, first.rstrip("\r\n").split(sep)
            rest = (line for line in iter(lambda: text.readline(LINE_BYTES), ""))
            lines = (line for part in ([first], rest) for line in part)
            quoted_cells = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
            return sep, next(csv.reader(lines, delimiter=sep, **quoted_cells), [])
    except (OSError, EOFError, csv.Error):
        return read.sep or ",", []  # DuckDB says what is wrong


def _opened(file: Path) -> IO[bytes]:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _reason(db: duckdb.DuckDBPyConnection, table: Table, files: str) -> str:
    """Read everything as text, as the header says, and return the first fault with its line; empty if there is none."""
    sep, names = _header(table, table.files[0])
    if not names:
        return ""
    shape = ", ".join(f"{literal(name or f'column {place}')}: 'VARCHAR'" for place, name in enumerate(names))
    quote = QUOTE if table.read.quote is None else table.read.quote
    given = f"auto_detect = false, header = true, delim = {literal(sep)}, quote = {literal(quote)}"
    escape = f"escape = {literal(quote)}, {_longest(LONGEST_LINE_BYTES)}"
    try:
        db.execute(f"SELECT count(*) FROM read_csv({files}, {given}, {escape}, columns = {{{shape}}})")
    except duckdb.Error as error:
        return _in_words(str(error), in_short(error))
    return ""


def _longest(line_bytes: int) -> str:
    """The options for lines of up to so many bytes; left to itself the buffer would be 16 of them."""
    return f"max_line_size = {line_bytes}, buffer_size = {max(2 * line_bytes, 32_000_000)}"


def _in_words(whole: str, reason: str) -> str:
    line = re.search(r"CSV Error on Line: (\d+)", whole)
    if not line:
        return reason
    expected = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", whole)
    if expected:
        told = f"it has {expected[2]} cells where the header has {expected[1]}"
    elif "unicode" in whole:
        told = "not utf-8"
    else:  # the rest of the message quotes the row
        told = "a quote is not closed" if "quote" in whole else "it cannot be read"
    return f"line {line[1]}: {told}"


# Files that are scored: what the model reads is known, so nothing is seen from the rows.


def attach_as_text(db: duckdb.DuckDBPyConnection, table: Table, files: str) -> None:
    """Create the view of a delimited table in which each cell is its text as it stands in the file; empty is NULL.

    Neither its rows nor their order decide how it is read: the separator is that of the header.
    Raises DataError for a header that cannot be read.
    """
    for file in table.files:
        _check_header(table, file)
    _check_parts(table)
    sep, names = _header(table, table.files[0])
    quote = QUOTE if table.read.quote is None else table.read.quote
    shape = ", ".join(f"{literal(name or f'column{place}')}: 'VARCHAR'" for place, name in enumerate(names))
    given = f"auto_detect = false, header = true, delim = {literal(sep)}, quote = {literal(quote)}"
    given += f", escape = {literal(quote)}, {_longest(LINE_BYTES)}, columns = {{{shape}}}"
    try:
        db.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS SELECT * FROM read_csv({files}, {given})")
    except duckdb.Error as error:
        raise DataError(_fault(table, in_short(error))) from None


def attach_typed(db: duckdb.DuckDBPyConnection, table: Table, files: str, types: Mapping[str, str]) -> None:
    """Create the view of a delimited table whose columns have the types that they had at train.

    types: DuckDB's, by column; a column that it does not name is seen from all rows.
    Raises DataError as `attach` does.
    """
    for file in table.files:
        _check_header(table, file)
    _check_parts(table)
    names = set(_header(table, table.files[0])[1])
    known = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items() if name in names)
    read = options(table.read.model_copy(update={"types": {}})) + (f", types = {{{known}}}" if known else "")
    reader = f"read_csv({files}{read}, sample_size = -1, {_longest(LINE_BYTES)})"
    try:
        db.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS SELECT * FROM {reader}")
    except duckdb.Error as error:
        raise DataError(_fault(table, _reason(db, table, files) or in_short(error))) from None


def number_of(column: str, missing: Iterable[str]) -> str:
    """SQL of the number that a text cell writes, NULL for a missing one; an error for any other text.

    column: as SQL names it; missing: the texts that mean missing. Python and DuckDB read 1_000, which no file means.
    """
    words = ", ".join(literal(word) for word in sorted({"", *missing}))
    return f"CASE WHEN trim({column}) NOT IN ({words}) THEN replace({column}, '_', '?')::DOUBLE END"


def fault_of(db: duckdb.DuckDBPyConnection, table: Table, files: str) -> str:
    """Return the first fault of a delimited table with its line; empty if there is none."""
    return _reason(db, table, files)
