"""Delimited files as people have them: without a header, with lines that end in two ways, with an index."""

import gzip
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ratchet.adapters import columns, files, sources
from ratchet.config import Read, Source
from ratchet.errors import DataError
from tests.adapters.reading import look, settings_in

LINES = [f"{number},x{number % 3},{number % 2}" for number in range(300)]
ROWS = [[number, f"x{number % 3}", number % 2] for number in range(300)]


def joined(*parts: tuple[list[str], str]) -> bytes:
    return "".join(line + end for lines, end in parts for line in lines).encode()


ENDS = {
    "header of Windows": lambda a, b: ((["a,b,y"], a), (LINES, b)),
    "two files joined": lambda a, b: ((["a,b,y", *LINES[:150]], a), (LINES[150:], b)),
}


@pytest.mark.parametrize("from_sample", [False, True])
@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize(
    ("first", "second"), [ends for ends in product(("\n", "\r\n"), repeat=2) if len(set(ends)) > 1]
)
def test_lines_that_end_in_two_ways_are_read(way, first, second, from_sample, tmp_path):
    raw = joined(*ENDS[way](first, second))
    (tmp_path / "rows.csv").write_bytes(raw)
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(raw))
    for name in ("rows.csv", "rows.csv.gz"):
        assert look(tmp_path, name, from_sample=from_sample).cells == ROWS


def test_that_lines_end_in_two_ways_is_told(tmp_path):
    (tmp_path / "rows.csv").write_bytes(joined(*ENDS["two files joined"]("\n", "\r\n")))
    table = sources.locate("rows", Source(uris=("rows.csv",)), settings_in(tmp_path))
    with files.workspace(tmp_path / "work", [table]) as db:
        assert columns.notes(db) == [
            "data.sources.rows: rows.csv: lines end in different ways (CRLF and LF); read as one kind"
        ]


def test_a_damaged_row_of_such_a_file_is_still_named(tmp_path):
    raw = joined((["a,b,y"], "\r\n"), ([*LINES[:150], "1,2,3,4", *LINES[150:]], "\n"))
    (tmp_path / "rows.csv").write_bytes(raw)
    with pytest.raises(DataError, match=r"rows\.csv cannot be read: line 152: it has 4 cells"):
        look(tmp_path, "rows.csv")


@pytest.mark.parametrize("from_sample", [False, True])
def test_a_file_without_a_header_is_read_with_the_names_that_are_given(from_sample, tmp_path):
    (tmp_path / "rows.csv").write_bytes(joined((LINES, "\n")))
    seen = look(tmp_path, "rows.csv", from_sample=from_sample, header=False, names=["a", "b", "y"])
    assert seen.cells == ROWS
    assert list(seen.rows) == ["a", "b", "y"]


def test_a_file_that_seems_to_have_no_header_names_the_mend(tmp_path):
    (tmp_path / "rows.csv").write_bytes(joined((LINES, "\n")))
    with pytest.raises(DataError, match=r"column '0' stands twice.*read: \{header: false, names: \[one, two, …\]\}"):
        look(tmp_path, "rows.csv")


def test_a_target_that_is_missed_among_names_that_look_like_cells_names_the_mend(tmp_path):
    (tmp_path / "rows.csv").write_bytes(joined((LINES[7:], "\n")))
    with pytest.raises(DataError, match=r"no column 'y'.*read: \{header: false, names: \[one, two, …\]\}"):
        look(tmp_path, "rows.csv")


def test_names_for_fewer_columns_than_there_are_are_refused(tmp_path):
    (tmp_path / "rows.csv").write_bytes(joined((LINES, "\n")))
    with pytest.raises(DataError, match=r"line 1 has 3 cells, read\.names has 2"):
        look(tmp_path, "rows.csv", header=False, names=["a", "y"])


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        ({"header": False}, "names is missing"),
        ({"names": ["a"]}, "header: false"),
        ({"header": False, "names": ["a", "a"]}, "twice"),
    ],
)
def test_names_and_header_that_do_not_fit_are_refused(read, fault):
    with pytest.raises(ValidationError, match=fault):
        Read.model_validate(read)


def test_a_blank_after_each_comma_is_part_of_the_separator_if_it_is_named(tmp_path):
    (tmp_path / "rows.csv").write_text('a, b, y\n1, x, 0\n2, "z, z", 1\n')
    assert look(tmp_path, "rows.csv", sep=", ").cells == [[1, "x", 0], [2, "z, z", 1]]


def test_parts_whose_columns_differ_in_case_are_one_table(tmp_path: Path):
    (tmp_path / "0.csv").write_text("Town,y\nx,0\n")
    (tmp_path / "1.csv").write_text("town,y\nz,1\n")
    assert look(tmp_path, "*.csv").cells == [["x", 0], ["z", 1]]


@pytest.mark.parametrize(
    ("first", "second", "cells", "note"),
    [
        ({"a": [1]}, {"a": [1.5]}, [1, 1.5], "a: double and int64 in different files of *.parquet; read as DOUBLE"),
        ({"a": [1]}, {"a": ["x"]}, ["1", "x"], "a: int64 and string in different files of *.parquet; read as VARCHAR"),
        ({"a": [1]}, {"A": [2]}, [1, 2], "A and a in different files of *.parquet are taken as one column"),
        ({"a": [None]}, {"a": [2]}, [None, 2], None),
    ],
)
def test_parts_of_a_parquet_table_that_differ_are_one_column_and_told(first, second, cells, note, tmp_path):
    for number, part in enumerate((first, second)):
        pq.write_table(pa.table({**part, "y": [number]}), tmp_path / f"{number}.parquet")
    assert [row[0] for row in look(tmp_path, "*.parquet").cells] == cells
    table = sources.locate("rows", Source(uris=("*.parquet",)), settings_in(tmp_path))
    with files.workspace(tmp_path / "work", [table]) as db:
        assert columns.notes(db) == ([note] if note else [])
