"""Which files a source is, and what their folders say about their rows."""

import csv
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from ratchet.adapters import buckets, files, lookup, sources
from ratchet.config import Source
from ratchet.errors import DataError
from tests.adapters.reading import look, settings_in

ROWS = [["x", 0], ["z", 1], ["v", 0]]


def write(path: Path, rows: list[list], columns: tuple[str, ...] = ("a", "y")) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows, columns=list(columns))
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, quoting=csv.QUOTE_MINIMAL)
    return path


both = pytest.mark.parametrize("ending", ["csv", "parquet"])


@both
@pytest.mark.parametrize("from_sample", [False, True])
def test_a_folder_above_a_file_does_not_replace_a_column_of_the_file(ending, from_sample, tmp_path):
    """DuckDB takes `y=9` above a file for its column y, in place of the file's own."""
    write(tmp_path / "plain" / f"rows.{ending}", ROWS)
    write(tmp_path / "y=9" / "a=b" / f"rows.{ending}", ROWS)
    plain = look(tmp_path / "plain", f"rows.{ending}", from_sample=from_sample)
    below = look(tmp_path / "y=9" / "a=b", f"rows.{ending}", from_sample=from_sample)
    assert plain.cells == below.cells == ROWS
    assert plain.digest == below.digest


def test_a_project_below_such_a_folder_reads_its_own_files(tmp_path):
    folder = tmp_path / "y=9"
    look(folder, str(write(folder / "rows.csv", [[str(number), number % 2] for number in range(90)])))
    work = folder / ".ratchet" / "work"
    with files.workspace(work, []) as db:
        files.keep_targets(db, "y", work / "rows.parquet")
        files.write_sides(db, work / "rows.parquet", work)
    assert set(files.read_side(work, "train")["y"]) == {0, 1}


@both
@pytest.mark.parametrize("uri", ["sales", "sales/*/*", "sales/code=*/*.*", "sales/**/part.*"])
def test_the_folders_of_a_set_of_files_become_columns_as_they_are_written(ending, uri, tmp_path):
    for code, row in zip(("007", "8", "__HIVE_DEFAULT_PARTITION__"), ROWS, strict=True):
        write(tmp_path / "sales" / f"code={code}" / f"part.{ending}", [row])
    assert look(tmp_path, uri).cells == [["x", 0, "007"], ["z", 1, "8"], ["v", 0, None]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [(("2023", "2024"), "number"), (("2024-01-05", "2024-02-28"), "date"), (("1.5", "2"), "number"),
     (("2024-02-30", "2024-01-01"), "text"), (("89823000000000000001", "1"), "text"), (("a%2Fb", "c"), "text")],
)  # fmt: skip
def test_the_kind_of_a_folders_values_is_seen_from_all_of_them(values, kind, tmp_path):
    for value, row in zip(values, ROWS, strict=False):
        write(tmp_path / "sales" / f"k={value}" / "part.csv", [row])
    seen = look(tmp_path, "sales")
    assert seen.kinds["k"] == kind
    if kind == "text":
        assert list(seen.rows["k"]) == [value.replace("%2F", "/") for value in sorted(values)]
    assert look(tmp_path, "sales", types={"k": "text"}).kinds["k"] == "text"


def test_equal_packed_files_in_two_folders_are_rows_of_both(tmp_path):
    for day in ("1", "2"):
        (tmp_path / "days" / f"d={day}").mkdir(parents=True)
        with zipfile.ZipFile(tmp_path / "days" / f"d={day}" / "a.csv.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("a.csv"), "a,y\nx,0\n")
    assert sorted(look(tmp_path, "days").cells) == [["x", 0, 1], ["x", 0, 2]]


def test_the_same_files_in_folders_of_other_values_are_other_data(tmp_path):
    for place, value in (("one", "1"), ("two", "2")):
        write(tmp_path / place / f"k={value}" / "part.csv", ROWS)
    assert look(tmp_path, "one").digest != look(tmp_path, "two").digest


@both
def test_a_folder_that_is_also_a_column_of_its_files_is_refused(ending, tmp_path):
    write(tmp_path / "sales" / "Y=1" / f"part.{ending}", ROWS)
    with pytest.raises(DataError, match=r"'Y' is a folder Y=… of sales and a column of its files; .*Y=…/"):
        look(tmp_path, "sales")
    assert look(tmp_path, "sales/Y=1/").cells == ROWS, "the mend that the message names"


def test_files_in_folders_of_unequal_keys_are_refused(tmp_path):
    write(tmp_path / "sales" / "k=1" / "part.csv", ROWS)
    write(tmp_path / "sales" / "part.csv", ROWS)
    with pytest.raises(DataError, match=r"lies in a folder k=…, .*sales/part.csv does not"):
        look(tmp_path, "sales")


@both
@pytest.mark.parametrize(
    "pattern",
    ["in/*/part-0.{}", "in/2024-0?/*.{}", "in/2024-0[12]/part-0.{}", "in/**/*.{}", "**/part-0.{}", "*/*/*.{}", "in"],
)
def test_a_pattern_stands_for_files_in_any_folder(ending, pattern, tmp_path):
    for month, row in enumerate(ROWS[:2], 1):
        write(tmp_path / "in" / f"2024-0{month}" / f"part-0.{ending}", [row])
    assert look(tmp_path, pattern.format(ending)).cells == ROWS[:2]
    assert look(tmp_path, f"file://{tmp_path}/{pattern.format(ending)}").cells == ROWS[:2]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path):
    write(tmp_path / "a[1].csv", ROWS)
    write(tmp_path / "a1.csv", ROWS[:1])
    assert look(tmp_path, "a[1].csv").cells == ROWS
    assert look(tmp_path, "file://" + str(tmp_path / "a%5B1%5D.csv")).cells == ROWS


def test_a_folder_of_parts_leaves_out_what_spark_and_editors_put_beside_them(tmp_path):
    write(tmp_path / "out" / "part-0.csv", ROWS)
    for name in ("_SUCCESS", ".part-0.csv.crc", "_temporary/part-1.csv", ".git/x.csv", "notes.md"):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text("a,y\nno,1\n")
    assert look(tmp_path, "out").cells == ROWS


def test_a_pattern_leaves_out_what_a_folder_leaves_out_unless_it_is_spelled(tmp_path):
    for name in ("in/a.csv", "in/_temporary/0/a.csv", "in/.old/a.csv", "in/_k=1/a.csv"):
        write(tmp_path / name, ROWS)
    shown = [str(part.path.relative_to(tmp_path)) for part in lookup.find_parts(tmp_path / "in/**/*.csv")]
    assert shown == ["in/_k=1/a.csv", "in/a.csv"]
    assert len(lookup.find_parts(tmp_path / "in/_temp*/**/*.csv")) == 1


def test_a_folder_of_several_formats_is_refused_and_the_mend_works(tmp_path):
    write(tmp_path / "out" / "part-0.parquet", ROWS)
    (tmp_path / "out" / "readme.txt").write_text("hello")
    with pytest.raises(DataError, match=r"several formats \(\.parquet, \.txt\).* as in (\S+)") as refused:
        look(tmp_path, "out")
    assert look(tmp_path, str(refused.value).rsplit(" ", 1)[1]).cells == ROWS


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("in/**.csv", r"`\*\*` stands alone between slashes"),
        ("file://server/in/a.csv", r"file:// names a file of this machine: file:///server/in/a.csv"),
        ("in/*.csv", r"not found; tried in/\*.csv"),
        ("empty", r"empty \(a folder without .csv.* files\)"),
    ],
)
def test_an_address_that_finds_nothing_says_why(uri, message, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        sources.locate("rows", Source(uris=(uri,)), settings_in(tmp_path))


@pytest.mark.parametrize(
    ("path", "pattern", "does"),
    [
        ("in/a/part.csv", "in/*/part.csv", True),
        ("in/a/b/part.csv", "in/*/part.csv", False),
        ("in/a/b/part.csv", "in/**/part.csv", True),
        ("in/part.csv", "in/**/part.csv", True),
        ("in/2024-03.csv", "in/2024-0[12].csv", False),
    ],
)
def test_a_pattern_of_a_bucket_means_what_it_means_on_a_disk(path, pattern, does):
    assert lookup.fits(path.split("/"), pattern.split("/")) is does


def test_a_folder_of_a_bucket_is_all_of_its_files_with_their_keys(tmp_path):
    from tests.contract.test_sources import bucket  # an emulator in this process

    for name in ("rows/k=007/a.csv", "rows/k=8/a.csv", "rows/_SUCCESS", "rows/k=8/"):
        bucket().blob(f"lookup/{name}").upload_from_string("a,y\nx,0\n" if name.endswith("csv") else "")
    tried: list[str] = []
    for uri in ("lookup/rows/", "lookup/**/*.csv", "lookup/rows/k=*/a.csv"):
        parts = buckets.fetch(f"gs://{bucket().name}/{uri}", tmp_path, tried)
        assert [part.keys for part in parts] == [{"k": "007"}, {"k": "8"}], uri
    (one,) = buckets.fetch(f"gs://{bucket().name}/lookup/rows/k=8/a.csv", tmp_path, tried)
    assert one.keys == {}
    assert look(tmp_path, f"gs://{bucket().name}/lookup/rows/").cells == [["x", 0, "007"], ["x", 0, "8"]]
