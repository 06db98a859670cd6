"""Dates that are text: the form seen in all rows, what is refused, and that the mend which is named works."""

import re
import unicodedata
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from ratchet.adapters import dates, files
from ratchet.adapters.dates import Place
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import literal
from ratchet.config import ColumnSplit, Data, HashSplit, Read, Source, Split, TimeSplit
from ratchet.errors import DataError

DECOMPOSED = unicodedata.normalize("NFD", "날짜")
BY_TIME = TimeSplit(by="time", column="seen")
DAYS = [date(2014, 1, 1) + timedelta(days=11 * number) for number in range(120)]
KOREAN = "월화수목금토일"
FORMS = {
    "%b-%Y": lambda day: f"{day:%b-%Y}",
    "%B %-d, %Y": lambda day: f"{day:%B} {day.day}, {day.year}",
    "%-m/%-d/%Y %-H:%M": lambda day: f"{day.month}/{day.day}/{day.year} {day.day % 24}:05",
    "%d.%m.%Y": lambda day: f"{day:%d.%m.%Y}",
    "%-d-%b-%y": lambda day: f"{day.day}-{day:%b-%y}".upper(),
    "%Y. %-m. %-d.": lambda day: f"{day.year}. {day.month}. {day.day}.",
    "%Y년 %-m월": lambda day: f"{day.year}년 {day.month}월",
    "%Y년 %-m월 %-d일 (%a)": lambda day: f"{day.year}년 {day.month}월 {day.day}일 ({KOREAN[day.weekday()]})",
    "%Y. %m. %d. %p %I:%M": lambda day: f"{day:%Y. %m. %d.} {'오후' if day.day % 2 else '오전'} {day.day % 12 + 1}:30",
    "week %V %G": lambda day: f"week {day.isocalendar().week} {day.isocalendar().year}",
    "Q%q %Y": lambda day: f"Q{(day.month + 2) // 3} {day.year}",
    "%Y년 %q분기": lambda day: f"{day.year}년 {(day.month + 2) // 3}분기",
    "%a, %d %b %Y %H:%M:%S GMT": lambda day: f"{day:%a, %d %b %Y} 23:00:01 GMT",
    "%Y-%m-%dT%H:%M:%S.%fZ": lambda day: f"{day:%Y-%m-%d}T01:02:03.456Z",
    "ISO 8601, midnight without a time": lambda day: f"{day:%Y-%m-%d}" + (" 10:00" if day.day % 2 else ""),
    "%Y%m%d": lambda day: f"{day:%Y%m%d}",
    "%d%m%Y": lambda day: f"{day:%d%m%Y}",
    "%Y%m": lambda day: f"{day:%Y%m}",
    "%Y": lambda day: f"{day:%Y}",
}


def cells(*texts: str) -> list[str]:
    return [texts[number % len(texts)] for number in range(120)]


def gather(table: Table, data: Data, split: Split, place: Path) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """Gather a table as preprocess does; return its rows, the kinds of its columns, and what was told."""
    told: list[str] = []
    with files.workspace(place / "work", [table], from_sample=True) as db:
        rows = place / "work" / "rows.parquet"
        kinds = files.gather(db, data, split, rows, [table], told.append)
    return pd.read_parquet(rows), kinds, told


def read(
    place: Path, texts: list[str], kind: str = "csv", split: Split = BY_TIME, query: str | None = None, **read: object
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """Write a table with the texts as its column `seen`, and gather it."""
    frame = pd.DataFrame({"seen": texts, "order": range(len(texts)), "y": [number % 2 for number in range(len(texts))]})
    file = place / f"rows.{kind}"
    frame.to_csv(file, index=False) if kind == "csv" else frame.to_parquet(file)
    options = Read.model_validate(read)
    data = Data(sources={"rows": Source(uris=(file.name,), read=options)}, target="y", query=query)
    return gather(Table("rows", file.name, "", options, (file,)), data, split, place)


def is_oldest_first(rows: pd.DataFrame) -> bool:
    """Whether no row of an older side is of a newer day than one of a newer side."""
    order = rows.groupby(files.SIDE)["order"].agg(["min", "max"])
    return bool(
        order.loc["train", "max"] < order.loc["valid", "min"] <= order.loc["valid", "max"] < order.loc["test", "min"]
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("write", FORMS.values(), ids=FORMS)
def test_a_split_by_time_goes_by_the_date_that_a_text_means(write, kind, tmp_path):
    rows, *_ = read(tmp_path, [write(day) for day in DAYS], kind)
    assert is_oldest_first(rows)


@pytest.mark.parametrize("write", ["{0.year}.{0.month}", "{0.year}.{0.month:02}"])
def test_a_month_behind_a_dot_is_no_part_of_a_number(write, tmp_path):
    rows, kinds, _ = read(tmp_path, [write.format(day) for day in DAYS])
    assert kinds["seen"] == "date"
    assert is_oldest_first(rows)


@pytest.mark.parametrize("texts", [["2014.5", "2014.25", "2015"], ["2014.1", "2014.5", "2015.9"], ["2014", "2015"]])
def test_parts_of_a_year_stay_numbers(texts, tmp_path):
    rows, kinds, _ = read(tmp_path, sorted(cells(*texts)))
    assert kinds["seen"] == "number"
    assert rows["seen"].tolist() == [float(cell) for cell in sorted(cells(*texts))]


def test_how_a_text_was_read_is_told(tmp_path):
    _, kinds, told = read(tmp_path, [f"{day:%b-%Y}" for day in DAYS])
    assert kinds["seen"] == "date"
    assert told == ["seen: its text is read as dates of the form %b-%Y"]


AMBIGUOUS = {
    "day and month": (
        ["01/02/2024", "03/04/2024"],
        "'01/02/2024' as 2024-02-01 (%d/%m/%Y) or as 2024-01-02 (%m/%d/%Y)",
    ),
    "which digits are the year": (["01-02-24", "13-04-24"], "'01-02-24' as 2001-02-24 (%y-%m-%d) or as 2024-02-01"),
    "year or day": (["Apr-14", "May-12"], "'Apr-14' as 2014-04-01 (%b-%y) or as 04-14 of no year"),
    "century": (["13/02/55", "14/02/24"], "'13/02/55' can be of 1955 or of 2055"),
    "day and month, with a time": (["1/2/2024 23:19", "3/4/2024 3:05"], "%d/%m/%Y %H:%M) or as 2024-01-02 23:19:00"),
}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("texts", "told"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_date_that_can_be_read_in_two_ways_is_refused_and_the_form_to_name_settles_it(texts, told, kind, tmp_path):
    with pytest.raises(DataError, match=re.escape(told)) as refused:
        read(tmp_path, cells(*texts), kind)
    assert len(str(refused.value).splitlines()) == 1
    named = re.search(r"data\.sources\.rows\.read: (\{dates: \{.*?\}\})", str(refused.value))
    assert named
    rows, kinds, _ = read(tmp_path, cells(*texts), kind, **yaml.safe_load(named[1]))
    assert kinds["seen"] == "date"
    assert rows[files.SIDE].notna().all()


def test_one_day_beyond_the_twelfth_settles_the_order(tmp_path):
    rows, *_ = read(tmp_path, [f"{day:%m/%d/%Y}" for day in DAYS])
    assert rows["seen"].tolist() == [pd.Timestamp(day) for day in DAYS] or rows["seen"].tolist() == DAYS


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (
            cells("spring", "autumn"),
            r"holds text that is no date, such as '(spring|autumn)'.*sorts by its letters",
        ),
        (cells("12:30", "13:30"), "no date, such as"),
        (cells("Mar 3", "Apr 30"), "has no year in it, as in 'Apr 30'"),
        (cells("2024-01-02", "2024-02-30", "2024-01-03"), "'2024-02-30', which is no date of the form %Y-%m-%d"),
        (cells("03/14/2024", "14/03/2024", "14/04/2024"), "'03/14/2024', which is no date of the form %d/%m/%Y"),
    ],
)
def test_text_that_is_no_date_is_refused_with_a_cell_of_it(texts, told, tmp_path):
    with pytest.raises(DataError, match=rf"^split\.column: .*{told}"):
        read(tmp_path, texts)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_word_for_missing_among_dates_is_pointed_out_and_the_mend_works(kind, tmp_path):
    texts = [f"{day:%b-%Y}" if day.day > 2 else "unknown" for day in DAYS]
    with pytest.raises(DataError, match=r"'unknown', which is no date of the form %b-%Y, as '.*' is;") as refused:
        read(tmp_path, texts, kind)
    if kind == "csv":
        assert "put it into read.na" in str(refused.value)
        rows, *_ = read(tmp_path, texts, na=["", "unknown"])
    else:
        cell = re.search(r"write (nullif\(.*?\)) in data\.query", str(refused.value))
        assert cell
        rows, *_ = read(tmp_path, texts, kind, query=f"SELECT * REPLACE ({cell[1]} AS seen) FROM rows")
    assert rows[files.SIDE].isna().sum() == texts.count("unknown")
    assert is_oldest_first(rows[rows["seen"].notna()])


def test_a_date_that_a_query_reckons_with_is_not_guessed_either(tmp_path):
    texts, query = cells("01/02/2024", "03/04/2024"), "SELECT *, year(seen) AS year, month(seen) AS month FROM rows"
    with pytest.raises(DataError, match=r"^data\.sources\.rows: 'seen' can be read in two ways"):
        read(tmp_path, texts, split=HashSplit(), query=query)
    rows, *_ = read(tmp_path, texts, split=HashSplit(), query=query, dates={"seen": "%m/%d/%Y"})
    assert set(rows["month"]) == {1, 3}


def test_a_column_that_a_query_makes_is_named_in_the_query(tmp_path):
    query = "SELECT \"order\", y, seen || '/2024' AS moment FROM rows"
    split = TimeSplit(by="time", column="moment")
    with pytest.raises(DataError, match="can be read in two ways") as refused:
        read(tmp_path, cells("01/02", "03/04"), split=split, query=query)
    cell = re.search(r"which: (strptime\(.*?\) AS \"moment\") in data\.query", str(refused.value))
    assert cell
    rows, kinds, _ = read(tmp_path, cells("01/02", "03/04"), split=split,
                          query=f"SELECT * REPLACE ({cell[1]}) FROM ({query})")  # fmt: skip
    assert kinds["moment"] == "date"
    assert set(rows["moment"].dt.month) == {2, 4}


def test_a_query_that_reads_the_text_itself_still_gets_it(tmp_path):
    texts = [f"{day:%b-%Y}" for day in DAYS]
    rows, *_ = read(tmp_path, texts, query="SELECT * REPLACE (strptime(seen, '%b-%Y') AS seen) FROM rows")
    assert is_oldest_first(rows)


def test_another_column_of_dates_may_be_written_as_it_likes(tmp_path):
    rows, *_ = read(tmp_path, cells("01/02/2024", "03/04/2024"), split=HashSplit())
    assert len(rows) == 120


def test_a_split_by_the_values_of_a_date_does_not_guess_it(tmp_path):
    split = ColumnSplit(by="column", column="seen", train=("2024-01-02",), test=("2024-03-04",))
    texts = cells("01/02/2024", "03/04/2024")
    with pytest.raises(DataError, match=r"^split\.column: 'seen' can be read in two ways"):
        read(tmp_path, texts, split=split)


def test_a_named_form_that_does_not_fit_a_cell_is_refused_and_a_column_that_is_not_there_too(tmp_path):
    texts = [f"{day:%b-%Y}" for day in DAYS]
    with pytest.raises(
        DataError, match=r"^data\.sources\.rows\.read\.dates: 'seen' holds 'Apr-2014' and \d+ more, which is"
    ):
        read(tmp_path, texts, dates={"seen": "%B %Y"})
    with pytest.raises(DataError, match=r"no date of the form %d/%m/%Y; %b-%Y would fit it$"):
        read(tmp_path, texts, dates={"seen": "%d/%m/%Y"})
    with pytest.raises(DataError, match=r"^data\.sources\.rows\.read\.dates: no column 'sen'; did you mean 'seen'"):
        read(tmp_path, texts, dates={"sen": "%b-%Y"})


@pytest.mark.parametrize("name", ["issued on", "발급일", DECOMPOSED, 'say "when"'])
def test_a_column_of_dates_may_have_any_name(name, tmp_path):

    file = tmp_path / "rows.csv"
    pd.DataFrame({name: cells("01/02/2024", "03/04/2024"), "x": range(120), "y": cells("0", "1")}).to_csv(
        file, index=False
    )
    split = TimeSplit(by="time", column=name)
    data = Data(sources={"rows": Source(uris=("rows.csv",))}, target="y")
    with pytest.raises(DataError, match="in two ways") as refused:
        gather(Table("rows", "rows.csv", "", Read(), (file,)), data, split, tmp_path)
    named = re.search(r"data\.sources\.rows\.read: (\{dates: \{.*?\}\})", str(refused.value))
    assert named
    options = Read.model_validate(yaml.safe_load(named[1]))
    rows, *_ = gather(Table("rows", "rows.csv", "", options, (file,)), data, split, tmp_path)
    assert {day.month for day in rows[unicodedata.normalize("NFC", name)]} == {2, 4}


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("%b", "does not tell a date"),
        ("%d %Y", "does not tell a date"),
        ("%Y-%m-%d %M", "does not tell a date"),
        ("%Y-%m-%x", "no directive %x"),
        ("%Y %m %b", "tells the month twice"),
        ("%Y-%m-%d %I:%M", "belong together"),
        ("%Y-%m-%", "no directive %"),
    ],
)
def test_a_form_that_tells_no_date_is_refused(form, told):
    with pytest.raises(ValidationError, match=told):
        Read.model_validate({"dates": {"seen": form}})


MOMENTS = {
    ("2024-01-02T10:00:00+09:00", "%Y-%m-%dT%H:%M:%S%z"): datetime(2024, 1, 2, 1),
    ("2024-01-02 10:00:00-0530", "%Y-%m-%d %H:%M:%S%z"): datetime(2024, 1, 2, 15, 30),
    ("2024-01-02 12:05 AM", "%Y-%m-%d %I:%M %p"): datetime(2024, 1, 2, 0, 5),
    ("2024-01-02 12:05 p.m.", "%Y-%m-%d %I:%M %p"): datetime(2024, 1, 2, 12, 5),
    ("2024-01-02 10:00:00,25", "%Y-%m-%d %H:%M:%S,%f"): datetime(2024, 1, 2, 10, 0, 0, 250_000),
    ("31 Dec 68", "%d %b %y"): date(2068, 12, 31),
    ("31 Dec 69", "%d %b %y"): date(1969, 12, 31),
    ("week 1 2015", "week %W %Y"): date(2014, 12, 29),
    (" 100% of 2014-1 ", "100%% of %Y-%m"): date(2014, 1, 1),
}


@pytest.mark.parametrize(("cell", "moment"), MOMENTS.items(), ids=[cell for cell, _ in MOMENTS])
def test_a_cell_of_a_form_is_the_moment_that_it_tells(cell, moment):
    text, form = cell
    found = duckdb.execute(f"SELECT {dates.parsed(literal(text), form)}").fetchall()
    assert found == [(moment,)]


def test_a_column_without_a_value_has_no_form():
    with duckdb.connect() as db:
        db.execute("CREATE TABLE t (seen VARCHAR)")
        assert dates.find(db, "t", "seen", Place("split.column", "seen")) == ""
