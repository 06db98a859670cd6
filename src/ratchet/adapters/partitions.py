"""The columns of a table that its `KEY=VALUE` folders stand for."""

import re
from collections.abc import Sequence

import duckdb

from ratchet.adapters.sources import Table
from ratchet.adapters.sql import literal, quoted, replace_view
from ratchet.errors import DataError

FILE = "ratchet_file"
# The type of a key's column: the first that all of its values are written as; a column of a CSV file is read alike.
FORMS = {
    "BIGINT": r"-?(0|[1-9]\d{0,14})",
    "DOUBLE": r"-?(0|[1-9]\d{0,14})(\.\d+)?",
    "DATE": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])|\d{4}-(0[13-9]|1[0-2])-(29|30)|\d{4}-(0[13578]|1[02])-31",
}
NAMED = {"number": "DOUBLE", "text": "VARCHAR", "date": "TIMESTAMP"}


def filename(table: Table) -> str:
    """Return the option of a reader of files that gives each row the name of its file, where the table has keys."""
    return f", filename = {literal(FILE)}" if table.partitions else ""


def add_columns(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Add the columns of the keys to the view of a table whose reader names each row's file.

    Raises:
        DataError: a key is also a column of the files.
    """
    if not table.partitions:
        return
    own = [name for name, *_ in db.execute(f"DESCRIBE {quoted(table.name)}").fetchall()]
    columns = [f"* EXCLUDE ({quoted(FILE)})"]
    for key in table.partitions[0]:
        if key.casefold() in {name.casefold() for name in own}:
            raise DataError(
                f"data.sources.{table.name}: {key!r} is a folder {key}=… of {table.origin} and a column of its files;"
                f" rename the folders, or name one of them as the source, as in …/{key}=…/"
            )
        values = [keys[key] for keys in table.partitions]
        kind = NAMED.get(table.read.types.get(key, "")) or type_of(values)
        files = ", ".join(literal(str(file)) for file in table.files)
        cells = ", ".join("NULL" if value is None else literal(value) for value in values)
        columns.append(f"map([{files}], [{cells}]::VARCHAR[])[{FILE}]::{kind} AS {quoted(key)}")
    replace_view(db, table.name, ", ".join(columns))


def type_of(values: Sequence[str | None]) -> str:
    """Return the DuckDB type of a key by how all of its values are written; `007` is a text."""
    present = [value for value in values if value is not None]
    fits = (kind for kind, form in FORMS.items() if present and all(re.fullmatch(form, value) for value in present))
    return next(fits, "VARCHAR")
