"""Delimited text as DuckDB's read_csv takes it, and what is wrong with a file that it does not take."""

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import duckdb

from ratchet.adapters import columns, lineends, partitions
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import file_list, in_short, literal, quoted
from ratchet.errors import DataError

NO_KEYS = "hive_partitioning = false"  # else a folder KEY=VALUE above the file takes the place of its own column
QUOTE, SEPARATORS = '"', ",;\t|"
DUCKDB_TYPES = partitions.NAMED
READ_AS = {"BIGINT": "VARCHAR", "DOUBLE": "VARCHAR", "DATE": "TIMESTAMP"}  # so that no cell is cut before it is seen
# Wider whole numbers are for a look at all rows, which tells names from amounts.
WRITTEN = {"BIGINT": "-?(0|[1-9][0-9]{0,14})", "DOUBLE": "-?(0|[1-9][0-9]{0,14})([.][0-9]+)?([eE][+-]?[0-9]+)?"}
SEEN_ROWS = 50_000
LINE_BYTES, LONGEST_LINE_BYTES = 2_000_000, 64_000_000
MEND = "; name its read.sep, read.quote or read.encoding"


def attach(db: duckdb.DuckDBPyConnection, table: Table, from_sample: bool) -> Table:
    """Create the view of a delimited table; return the table that it reads.

    A file whose lines end in different ways, which DuckDB refuses, is read from a copy with one kind of them.

    from_sample: the types are those of the first SEEN_ROWS rows, which is fast; a later cell of another type, which
    DuckDB would cut to that one, is then an error, and the caller attaches the table again by all of its rows.
    Raises DataError that names the line, the column or the encoding.
    """
    _check_files(db, table)
    files = file_list(table.files)
    only_texts = all(kind == "text" for kind in table.read.types.values())
    is_plain = len(table.files) == 1 and only_texts and not (table.read.numbers or table.partitions)
    if from_sample and is_plain and _attach_seen(db, table, files):
        return table
    table = _attach_or_copy(db, table, {})
    columns.keep_wide_as_text(db, table, partial(_attach_all, db, table))
    return table


def _attach_or_copy(db: duckdb.DuckDBPyConnection, table: Table, types: Mapping[str, str]) -> Table:
    """Create the view as `_attach_all` does; return the table that it reads, a copy where its lines need one."""
    try:
        _attach_all(db, table, types)
    except DataError:
        copied = lineends.with_one_kind(db, table)
        if copied is None:
            raise
        table = copied
        _attach_all(db, table, types)
    return table


def _check_files(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Refuse headers that cannot be read, and parts whose columns differ; note what differs in case alone."""
    for file in table.files:
        _check_header(table, file)
    if _check_parts(table):
        columns.add_note(
            db, table, f"data.sources.{table.name}: names of columns differ in case between files; taken as one"
        )


def _attach_all(db: duckdb.DuckDBPyConnection, table: Table, types: Mapping[str, str]) -> None:
    """Create the view with types that hold for all rows; types: those that are not to be seen."""
    files = file_list(table.files)
    for longest in (LINE_BYTES, LONGEST_LINE_BYTES):
        all_rows = f"sample_size = -1, {_longest(longest)}{partitions.filename(table)}"
        reader = f"read_csv({files}{options(table, types)}, {all_rows})"
        try:
            db.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS SELECT * FROM {reader}")
            found = len(db.execute(f"DESCRIBE {quoted(table.name)}").fetchall())
        except duckdb.Error as error:
            if "Maximum line size" in str(error) and longest == LINE_BYTES:
                continue
            raise DataError(_fault(table, _reason(db, table, files) or in_short(error))) from None
        is_unsplit = found - bool(table.partitions) == 1 and len(_header(table, table.files[0])[1]) > 1
        if is_unsplit and (reason := _reason(db, table, files)):
            raise DataError(_fault(table, reason))
        return


def _attach_seen(db: duckdb.DuckDBPyConnection, table: Table, files: str) -> bool:
    """Create the view with the types of the first rows; return whether DuckDB could tell them."""
    name = f"sniff_csv({files.strip('[]')}{options(table, {})}, sample_size = {SEEN_ROWS})"
    try:
        columns = "list_transform(Columns, lambda c: c.name), list_transform(Columns, lambda c: c.type)"
        asked = f"SELECT {columns}, Delimiter, Quote, Escape, DateFormat, TimestampFormat FROM {name}"
        names, types, *dialect = db.execute(asked).fetchall()[0]
    except duckdb.Error:
        return False
    sep, quote, escape, date, time = ("" if part in (None, "(empty)", "None") else part for part in dialect)
    given = _dialect(table, sep, quote)
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


def _dialect(table: Table, sep: str, quote: str) -> str:
    """The options of a reader that sees nothing by itself."""
    header = f"header = {str(table.read.header).lower()}"
    return f"{NO_KEYS}, auto_detect = false, {header}, delim = {literal(sep)}, quote = {literal(quote)}"


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


def options(table: Table, types: Mapping[str, str]) -> str:
    """The options of read_csv; `store_rejects` is off, so that a row it cannot read is an error, not a loss."""
    read = table.read
    chosen = [
        NO_KEYS,
        f"nullstr = [{', '.join(literal(cell) for cell in read.na)}]",
        f"header = {str(read.header).lower()}",
        # What DuckDB sees by itself here can lose rows: lines that begin with #, cells that begin with '.
        "comment = ''",
        "skip = 0",
        f"quote = {literal(QUOTE if read.quote is None else read.quote)}",
        # Without BOOLEAN: a column of Yes and No stays what callers will send.
        "auto_type_candidates = ['NULL', 'BIGINT', 'DOUBLE', 'DATE', 'TIMESTAMP', 'VARCHAR']",
    ]
    if read.sep is not None:
        chosen.append(f"delim = {literal(read.sep)}")
    if not read.header:
        chosen.append(f"names = [{', '.join(map(literal, read.names))}]")
    if read.quote == "":
        chosen.append("escape = ''")
    if _check_parts(table):
        chosen.append("union_by_name = true")  # else names that differ in case are no column of the others
    named = {name: DUCKDB_TYPES[kind] for name, kind in read.types.items()} | dict.fromkeys(read.numbers, "VARCHAR")
    named.update(types)
    header = {_composed(name.strip()): name.strip() for name in _header(table, table.files[0])[1]}
    # Columns that are not there are told by `columns.check_named`.
    if own := {header[name]: kind for name, kind in named.items() if name in header}:
        chosen.append(f"types = {{{', '.join(f'{literal(name)}: {literal(kind)}' for name, kind in own.items())}}}")
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
    if not table.read.header and (cells := _first_line(table, file)[1]) and len(cells) != len(names):
        raise DataError(f"{place}: line 1 has {len(cells)} cells, read.names has {len(names)}; name all columns")
    if missing := [name for name in names if name and name in table.read.na]:
        raise DataError(
            f"{place}: column {missing[0]!r} has a name that read.na reads as missing; rename it, or give a read.na"
            " without it"
        )
    seen = Counter(name.casefold() for name in names if name)
    if twice := [name for name in names if seen[name.casefold()] > 1]:
        told = f"column {twice[0]!r} stands twice"
        told += f" (as {twice[1]!r} too: case does not tell names apart)" if twice[1] != twice[0] else ""
        raise DataError(f"{place}: {told}; give each column a name of its own{headless(names)}")


def headless(names: Iterable[str]) -> str:
    """Return what is added to an error about names that look like cells; empty where they do not."""
    looks = any(re.fullmatch(r"[-+]?[\d.,]*\d", name) for name in names)
    return "; a file without a header: read: {header: false, names: [one, two, …]}" if looks else ""


def _check_parts(table: Table) -> bool:
    """Refuse parts whose columns have other names, or the same ones in another form of Unicode.

    Return whether names differ in case, which does not tell them apart.
    """
    first = table.files[0]
    names, differ = _header(table, first)[1], False
    for file in table.files[1:]:
        own = _header(table, file)[1]
        if not names or not own or own == names:
            continue
        folded, own_folded = {name.casefold() for name in names}, {name.casefold() for name in own}
        if odd := [name for name in (*own, *names) if (name.casefold() in folded) != (name.casefold() in own_folded)]:
            has, lacks = (file, first) if odd[0] in own else (first, file)
            form = " (it is there in another form of Unicode)" if _composed(odd[0]) in map(_composed, odd[1:]) else ""
            told = f"column {odd[0]!r} of {has.name} is not in {lacks.name}{form}"
            raise DataError(f"data.sources.{table.name}: {told}; give all parts the same columns")
        differ |= set(own) != set(names)
    return differ


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _header(table: Table, file: Path) -> tuple[str, list[str]]:
    """Return the separator, given or the likeliest, and the names of the columns; none if they cannot be read."""
    sep, cells = _first_line(table, file)
    return sep, cells if table.read.header else list(table.read.names)


def _first_line(table: Table, file: Path) -> tuple[str, list[str]]:
    read = table.read
    quote = QUOTE if read.quote is None else read.quote
    try:
        with lineends.open_bytes(file) as raw:
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


def _reason(db: duckdb.DuckDBPyConnection, table: Table, files: str) -> str:
    """Read everything as text, as the header says, and return the first fault with its line; empty if there is none."""
    sep, names = _header(table, table.files[0])
    if not names:
        return ""
    shape = ", ".join(f"{literal(name or f'column {place}')}: 'VARCHAR'" for place, name in enumerate(names))
    quote = QUOTE if table.read.quote is None else table.read.quote
    given = _dialect(table, sep, quote)
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


def attach_as_text(db: duckdb.DuckDBPyConnection, table: Table) -> Table:
    """Create the view of a delimited table in which each cell is its text as it stands in the file; empty is NULL.

    Neither its rows nor their order decide how it is read: the separator is that of the header.

    Returns:
        The table that the view reads: where lines end in different ways, a copy.

    Raises:
        DataError: Its header cannot be read.
    """
    _check_files(db, table)
    longest = LINE_BYTES
    fault = _create_as_text(db, table, longest)
    if "Maximum line size" in fault:
        longest = LONGEST_LINE_BYTES
        fault = _create_as_text(db, table, longest)
    # As at train: a copy changes the line ends within cells too, so it is made only of a file that cannot be read.
    if fault and (copied := lineends.with_one_kind(db, table)):
        _create_as_text(db, copied, longest)
        return copied
    return table


def _create_as_text(db: duckdb.DuckDBPyConnection, table: Table, longest: int) -> str:
    """Create the view of texts; return why its rows cannot be read, empty if they can.

    longest: line, in bytes. Raises DataError if the view cannot be created.
    """
    sep, names = _header(table, table.files[0])
    quote = QUOTE if table.read.quote is None else table.read.quote
    shape = ", ".join(f"{literal(name.strip() or f'column{place}')}: 'VARCHAR'" for place, name in enumerate(names))
    given = f"{_dialect(table, sep, quote)}, escape = {literal(quote)}, {_longest(longest)}, columns = {{{shape}}}"
    reader = f"read_csv({file_list(table.files)}, {given}{partitions.filename(table)})"
    try:
        db.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS SELECT * FROM {reader}")
    except duckdb.Error as error:
        raise DataError(_fault(table, in_short(error))) from None
    try:
        db.execute(f"SELECT count(*) FROM {quoted(table.name)}")
    except duckdb.Error as error:
        return str(error)
    return ""


def attach_typed(db: duckdb.DuckDBPyConnection, table: Table, types: Mapping[str, str]) -> Table:
    """Create the view of a delimited table from which `columns.cast_as_trained` can make the types of train.

    Args:
        db: The connection.
        table: The table.
        types: DuckDB's, by column; a column that it does not name is seen from all rows.

    Returns:
        The table that the view reads: where lines end in different ways, a copy.

    Raises:
        DataError: As `attach` does.
    """
    _check_files(db, table)
    # Left to the reader these would cut a 1.5 or a time of day; `columns.cast_as_trained` refuses it.
    whole = dict.fromkeys((name for name, kind in types.items() if kind in columns.INTEGERS), "VARCHAR")
    return _attach_or_copy(db, table, {name: kind for name, kind in {**types, **whole}.items() if kind != "DATE"})


def number_of(column: str, missing: Iterable[str]) -> str:
    """SQL of the number that a text cell writes, NULL for a missing one; an error for any other text.

    column: as SQL names it; missing: the texts that mean missing. Python and DuckDB read 1_000, which no file means.
    """
    words = ", ".join(literal(word) for word in sorted({"", *missing}))
    return f"CASE WHEN trim({column}) NOT IN ({words}) THEN replace({column}, '_', '?')::DOUBLE END"


def fault_of(db: duckdb.DuckDBPyConnection, table: Table) -> str:
    """Return the first fault of a delimited table with its line; empty if there is none."""
    return _reason(db, table, file_list(table.files))
