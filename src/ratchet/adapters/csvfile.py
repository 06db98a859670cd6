"""Arrow tables as a CSV file: each cell as its text, quoted only where it has to be."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SPECIAL = '[",\r\n]'


class CsvWriter:
    """Writes tables of one schema under one header; pyarrow's own writer quotes each text, or none."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Open the file and write the header."""
        self._file = path.open("wb")
        header = _cells(pa.array(schema.names, pa.string()))
        self._file.write((",".join(header.to_pylist()) + "\n").encode())

    def write_table(self, table: pa.Table) -> None:
        """Write the rows; a missing cell is empty, an empty text is a pair of quotes."""
        if not len(table):
            return
        columns = [_cells(column.combine_chunks()) for column in table.columns]
        lines: Any = pc.binary_join_element_wise(*columns, ",")
        self._file.write(("\n".join(lines.to_pylist()) + "\n").encode("utf-8", "surrogatepass"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _cells(column: pa.Array) -> pa.Array:
    """Return the texts of a column as CSV writes them."""
    texts = column if pa.types.is_string(column.type) else column.cast(pa.string())
    special = pc.match_substring_regex(texts, SPECIAL)
    if pc.any(special).as_py():
        doubled = pc.replace_substring(texts, '"', '""')
        texts = pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), texts)
    empty = pc.equal(texts, "")
    if pc.any(empty).as_py():
        texts = pc.if_else(empty, '""', texts)
    return pc.fill_null(texts, "")
