"""How the parts of a Parquet table differ, which are read as one."""

from collections import defaultdict

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.adapters import columns
from ratchet.adapters.sources import Table

LOOKED_AT = 500  # files


def note_differences(db: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Note the columns whose type or name differs between the files of a Parquet table.

    They become one column of the type that holds all of them: numbers of several kinds are numbers, else it is text.
    """
    if len(table.files) < 2:
        return
    names: dict[str, set[str]] = defaultdict(set)
    types: dict[str, set[str]] = defaultdict(set)
    for file in table.files[:LOOKED_AT]:
        try:
            schema = pq.read_schema(file)
        except (OSError, pa.ArrowException):
            return  # the reader says what is wrong
        for field in schema:
            names[field.name.casefold()].add(field.name)
            types[field.name.casefold()].add(str(field.type).replace("large_", ""))
    own = {name.casefold(): kind for name, kind in columns.describe(db, table.name).items()}
    for key, seen in types.items():
        if len(seen - {"null"}) > 1:
            kinds = " and ".join(sorted(seen - {"null"}))
            columns.add_note(
                db, table, f"{min(names[key])}: {kinds} in different files of {table.origin}; read as {own[key]}"
            )
    if odd := [sorted(found) for found in names.values() if len(found) > 1]:
        columns.add_note(
            db, table, f"{' and '.join(odd[0])} in different files of {table.origin} are taken as one column"
        )
