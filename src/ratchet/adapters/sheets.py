"""Sheets of Excel workbooks, written as delimited text, which is then read like any other."""

import csv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from ratchet.config import Read
from ratchet.errors import DataError, did_you_mean

DAMAGE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, ParseError)


def write_csv(path: Path, origin: Path, read: Read, target: Path) -> None:
    """Write the rows of a sheet as UTF-8 text with commas.

    A number is written as its shortest digits, a day as 2024-01-05, a truth value as true or false, and rows without
    any cell are left out. Formulas give the values that Excel last computed.

    Args:
        path: the workbook.
        origin: what an error calls it.
        read: names the sheet, and the words that mean missing.
        target: the file to write.

    Raises:
        DataError: the sheet is not there or not named, a cell holds an error or lies beyond the header.
    """
    with _workbook(path, origin) as workbook, target.open("w", encoding="utf-8", newline="") as out:
        sheet = _chosen(workbook, origin, read.sheet)
        place = f"{origin}: sheet {sheet.title!r}"
        writer, width = csv.writer(out, lineterminator="\n"), len(read.names)
        for cells in _rows(sheet, place):
            values = [_text(cell, place, read.na) for cell in cells]
            last = max((number for number, value in enumerate(values, 1) if value), default=0)
            if not last:
                continue
            width = width or last
            if last > width:
                raise DataError(
                    f"{place}, cell {cells[last - 1].coordinate}: lies beyond the {width} columns that the header"
                    " names; remove what stands above the header, or name the column"
                )
            writer.writerow(values[:width] + [""] * (width - len(values)))


@contextmanager
def _workbook(path: Path, origin: Path) -> Iterator[Any]:
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (*DAMAGE, InvalidFileException) as error:
        raise DataError(f"{origin}: damaged, under a password or no workbook of Excel: {error}") from None
    try:
        yield workbook
    finally:
        workbook.close()


def _chosen(workbook: Any, origin: Path, name: str | None) -> Any:
    sheets = {sheet.title: sheet for sheet in workbook.worksheets}
    if name is not None and name not in sheets:
        raise DataError(f"{origin}: no sheet {name!r}{did_you_mean(name, sheets) or f'; it has {_listed(sheets)}'}")
    if name is None and len(sheets) != 1:
        raise DataError(f"{origin}: has several sheets ({_listed(sheets)}); name one: read: {{sheet: NAME}}")
    return sheets[name or next(iter(sheets))]


def _listed(names: Sequence[str] | dict[str, Any]) -> str:
    return ", ".join(map(repr, names))[:300]


def _rows(sheet: Any, place: str) -> Iterator[Sequence[Any]]:
    sheet.reset_dimensions()  # which some programs write wrong
    try:
        yield from sheet.iter_rows()
    except DAMAGE as error:
        raise DataError(f"{place}: damaged: {error}") from None


def _text(cell: Any, place: str, missing: Sequence[str]) -> str:
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "e" and value not in missing:
        raise DataError(
            f"{place}, cell {cell.coordinate}: holds the error {value}; mend the formula, or put {value!r} into read.na"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time().isoformat() == "00:00:00" else value.isoformat(" ")
    return str(value)
