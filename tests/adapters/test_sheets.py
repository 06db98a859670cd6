"""Workbooks of Excel as sources."""

import zipfile
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from ratchet.errors import DataError
from tests.adapters.reading import look

HEADER = ["name", "amount", "day", "yes", "y"]
ROWS = [["한글", 1.5, date(2024, 1, 5), True, 0], ["007", 2, date(2024, 2, 6), False, 1], [None, None, None, None, 0]]


def book(path: Path, **sheets: list[list]) -> str:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for title, rows in sheets.items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path.name


@pytest.mark.parametrize("from_sample", [False, True])
def test_a_sheet_is_read_as_a_csv_file_of_it_would_be(from_sample, tmp_path):
    seen = look(tmp_path, book(tmp_path / "rows.xlsx", Data=[HEADER, *ROWS]), from_sample=from_sample)
    assert list(seen.rows) == HEADER
    assert seen.kinds == {"name": "text", "amount": "number", "day": "date", "yes": "text", "y": "number"}
    assert seen.cells[0] == ["한글", 1.5, date(2024, 1, 5), "true", 0]
    assert seen.cells[1][:2] == ["007", 2]
    assert seen.cells[2] == [None, None, None, None, 0]


def test_a_workbook_in_an_archive_or_with_capital_letters_is_read(tmp_path):
    name = book(tmp_path / "ROWS.XLSX", Data=[HEADER, *ROWS])
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.write(tmp_path / name, "inner.xlsx")
    assert look(tmp_path, "archive.zip").cells == look(tmp_path, name).cells


def test_of_several_sheets_one_has_to_be_named_and_the_mend_works(tmp_path):
    name = book(tmp_path / "rows.xlsx", Notes=[["hello"]], Data=[HEADER, *ROWS])
    with pytest.raises(
        DataError, match=r"rows\.xlsx: has several sheets \('Notes', 'Data'\); name one: read: \{sheet: NAME"
    ):
        look(tmp_path, name)
    assert len(look(tmp_path, name, sheet="Data").cells) == 3
    with pytest.raises(DataError, match=r"rows\.xlsx: no sheet 'data'; did you mean 'Data'"):
        look(tmp_path, name, sheet="data")


def test_another_sheet_is_another_table_after_the_first_one_was_read(tmp_path):
    name = book(tmp_path / "rows.xlsx", One=[["a", "y"], [1, 0]], Two=[["a", "y"], [2, 0]])
    assert [look(tmp_path, name, sheet=sheet).cells[0][0] for sheet in ("One", "Two", "One")] == [1, 2, 1]


def test_a_cell_that_holds_an_error_is_named_and_the_mend_works(tmp_path):
    name = book(tmp_path / "rows.xlsx", Data=[["a", "y"], [1, 0], ["#DIV/0!", 1]])
    with pytest.raises(
        DataError, match=r"sheet 'Data', cell A3: holds the error #DIV/0!; .*put '#DIV/0!' into read\.na"
    ):
        look(tmp_path, name)
    assert look(tmp_path, name, na=["", "#DIV/0!"]).cells == [[1, 0], [None, 1]]


def test_a_cell_beyond_the_header_is_named(tmp_path):
    name = book(tmp_path / "rows.xlsx", Data=[["Report of May"], [], ["a", "y"], [1, 0]])
    with pytest.raises(DataError, match=r"sheet 'Data', cell B3: lies beyond the 1 columns that the header names"):
        look(tmp_path, name)


def test_a_sheet_without_a_header_is_read_with_names(tmp_path):
    name = book(tmp_path / "rows.xlsx", Data=[[1, 0], [2, 1]])
    assert look(tmp_path, name, header=False, names=["a", "y"]).cells == [[1, 0], [2, 1]]


def test_a_separator_of_the_task_is_not_that_of_a_sheet(tmp_path):
    assert look(tmp_path, book(tmp_path / "rows.xlsx", Data=[["a", "y"], ["x,;z", 0]]), sep=";").cells == [["x,;z", 0]]


def test_a_workbook_that_is_none_is_refused_by_name(tmp_path):
    (tmp_path / "rows.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(DataError, match=r"rows\.xlsx: damaged, under a password or no workbook"):
        look(tmp_path, "rows.xlsx")
    (tmp_path / "rows.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(DataError, match=r"rows\.xls: no reader for \.xls; .*save it as one of them"):
        look(tmp_path, "rows.xls")


def test_nothing_half_written_is_left_behind(tmp_path):
    name = book(tmp_path / "rows.xlsx", Data=[["a", "y"], [1, 0], ["#N/A", 1]])
    with pytest.raises(DataError):
        look(tmp_path, name)
    assert list((tmp_path / ".ratchet" / "cache").iterdir()) == []
