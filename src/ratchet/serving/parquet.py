"""Bodies in Parquet: small files that may stand for much, which is found out before it is unpacked."""

import io
from decimal import Decimal
from typing import Any

from ratchet.scoring.cells import EXACT
from ratchet.serving.problems import Fault, Problem
from ratchet.serving.rows import Asked, Reader

GROWS = 10  # so many times its size a Parquet file may be once it is unpacked
LEAST_UNPACKED = 2**20  # which a smaller one may be too: bytes, and cells
MOST_CELLS = 10_000_000  # of it: more than a JSON body of 16 MB can hold


def read(body: bytes, reader: Reader) -> Asked:
    """Return what a Parquet file asks.

    Raises Problem: 413 for one that unpacks to too much, 400 for what is none, with the place of each fault.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(body))
        names, limit = file.schema_arrow.names, max(GROWS * len(body), LEAST_UNPACKED)
        size = sum(file.metadata.row_group(at).total_byte_size for at in range(file.metadata.num_row_groups))
        if size > limit or file.metadata.num_rows * len(names) > min(limit, MOST_CELLS):
            raise _unpacks(size)
        wanted = [name for name in names if name in reader.allowed]
        if unknown := [name for name in names if name not in reader.allowed and name != "__index_level_0__"]:
            raise Problem.of([reader._unknown("", unknown[0])])
        if nested := [name for name in wanted if pyarrow.types.is_nested(file.schema_arrow.field(name).type)]:
            raise Problem.of([Fault(f"columns, {nested[0]}", "expected numbers or texts, one a row")])
        table = _unpacked(body, wanted, limit)
        columns = [_plain(column) for column in table.columns]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise Problem(400, f"not Parquet: {' '.join(str(error).split())[:200]}") from None
    cells = [list(row) for row in zip(*columns, strict=True)] if columns else []

    def place(row: int, column: int) -> str:
        return f"row {row}" + (f", {wanted[column]}" if column >= 0 else "")

    return Asked(*reader.of_table(wanted, cells, "columns", place))


def _unpacks(size: int) -> Problem:
    return Problem(413, f"it unpacks to {size / 2**20:,.0f} MiB or more than {GROWS} cells a byte, which is too much")


def _unpacked(body: bytes, wanted: list[str], limit: int) -> Any:
    """Return a Parquet file's table with its texts as a dictionary: one that stands there once may be of all rows.

    Raises Problem where a column would take more than limit bytes.
    """
    from pyarrow import compute, parquet, types

    table = parquet.ParquetFile(io.BytesIO(body), read_dictionary=wanted).read(columns=wanted)
    for column in table.columns:
        if not types.is_dictionary(column.type) or types.is_primitive(column.type.value_type):
            continue
        for chunk in column.chunks:
            lengths = compute.binary_length(chunk.dictionary).take(chunk.indices)
            if (size := compute.sum(compute.cast(lengths, "int64")).as_py() or 0) > limit:
                raise _unpacks(size)
    return table


def _plain(column: Any) -> list[Any]:
    """Return a column's cells; a decimal number is a float, or a whole number where a float would not hold it."""
    import pyarrow

    values: list[Any] = column.to_pylist()
    return [_number(value) for value in values] if pyarrow.types.is_decimal(column.type) else values


def _number(value: Decimal | None) -> float | int | None:
    if value is None:
        return None
    return int(value) if abs(value) >= EXACT and int(value) == value else float(value)
