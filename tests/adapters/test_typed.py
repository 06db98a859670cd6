"""Files that a query reads at `ratchet score`, with the types that their columns had at train."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ratchet.adapters import files, sources
from ratchet.config import Read, Source
from tests.adapters.reading import look, settings_in


def typed(folder: Path, uri: str, types: dict[str, str], query: str = "SELECT * FROM rows", **read: object) -> list:
    """Return the rows of a query over a file whose columns have the types of train."""
    table = sources.locate("rows", Source(uris=(uri,), read=Read.model_validate(read)), settings_in(folder))
    with files.workspace(
        folder / "work", [table], attaching=lambda db, each: files.attach_typed(db, each, types)
    ) as db:
        files.select_all(db, query, "asked")
        return db.execute("SELECT * FROM asked").fetchall()


def write(path: Path, name: str, values: list) -> str:
    """Write one column in the format that the ending names; return the file's name."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: values}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({name: value}) + "\n" for value in values))
    else:
        path.write_text("\n".join([name, *map(str, values)]) + "\n")
    return path.name


ENDINGS = pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])


@ENDINGS
def test_a_real_number_where_train_had_whole_ones_is_named_and_never_rounded(ending, tmp_path):
    rows = write(tmp_path / f"rows.{ending}", "x", [1.0, 1.5])
    with pytest.raises(Exception, match=r"x: '1\.5' is no whole number"):
        typed(tmp_path, rows, {"x": "BIGINT"}, "SELECT x + 1 AS z FROM rows")
    assert typed(tmp_path, rows, {"x": "DOUBLE"}) == [(1.0,), (1.5,)], "the mend that the message names"


@ENDINGS
def test_whole_numbers_stay_whole_however_they_are_written(ending, tmp_path):
    rows = write(tmp_path / f"rows.{ending}", "x", [1.0, 7.0])
    assert typed(tmp_path, rows, {"x": "BIGINT"}, "SELECT x || 'a' FROM rows") == [("1a",), ("7a",)]


def test_a_time_of_day_where_train_had_dates_is_named_and_never_cut(tmp_path):
    rows = write(tmp_path / "rows.csv", "day", ["2024-01-05", "2024-01-06 12:00:00"])
    with pytest.raises(Exception, match=r"day: '2024-01-06 12:00:00' is no date without a time"):
        typed(tmp_path, rows, {"day": "DATE"})
    rows = write(tmp_path / "days.csv", "day", ["2024-01-05", "2024-01-06"])
    assert typed(tmp_path, rows, {"day": "DATE"}, "SELECT typeof(day) FROM rows") == [("DATE",)] * 2


@ENDINGS
def test_a_code_that_train_read_as_text_is_text_in_every_format(ending, tmp_path):
    rows = write(tmp_path / f"rows.{ending}", "zip", [2139, 8001])
    query = "SELECT zip = '2139', typeof(zip) FROM rows"
    assert typed(tmp_path, rows, {"zip": "VARCHAR"}, query) == [(True, "VARCHAR"), (False, "VARCHAR")]


def test_the_key_of_a_folder_has_the_type_that_it_had_at_train(tmp_path):
    (tmp_path / "days" / "d=7").mkdir(parents=True)
    write(tmp_path / "days" / "d=7" / "part.csv", "x", [1])
    assert typed(tmp_path, "days", {"x": "BIGINT", "d": "VARCHAR"}) == [(1, "7")]


def as_text(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a file that is scored as it is, by column."""
    table = sources.locate("rows", Source(uris=(name,)), settings_in(folder))
    with files.workspace(folder / "work", [table], attaching=files.attach_as_text) as db:
        return db.sql("SELECT * FROM rows").to_arrow_table().to_pylist()


QUOTED = b'a,b\n1,"x\r\ny"\n2,z\n'


def test_a_line_end_within_a_cell_is_read_at_score_as_at_train(tmp_path):
    (tmp_path / "rows.csv").write_bytes(QUOTED)
    assert look(tmp_path, "rows.csv", target="a").cells[0] == [1, "x\r\ny"]
    assert as_text(tmp_path, "rows.csv")[0] == {"a": "1", "b": "x\r\ny"}
    assert typed(tmp_path, "rows.csv", {"a": "BIGINT", "b": "VARCHAR"})[0] == (1, "x\r\ny")


def test_lines_that_end_in_two_ways_are_read_at_score_too(tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"a,b\r\n1,x\n2,y\n")
    assert as_text(tmp_path, "rows.csv") == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    assert typed(tmp_path, "rows.csv", {"a": "BIGINT", "b": "VARCHAR"}) == [(1, "x"), (2, "y")]


def test_a_blank_before_a_name_and_a_long_line_are_no_fault_at_score_either(tmp_path):
    (tmp_path / "rows.csv").write_text(f"a, b\n1,{'x' * 3_000_000}\n2,y\n")
    assert list(look(tmp_path, "rows.csv", target="a").rows) == ["a", "b"]
    long, short = as_text(tmp_path, "rows.csv")
    assert (len(long["b"]), short) == (3_000_000, {"a": "2", "b": "y"})
