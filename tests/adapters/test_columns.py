"""What becomes of a column when it is read: wide whole numbers, numbers written for people, named types."""

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.adapters import columns, files, sources
from ratchet.config import GroupSplit, Read, Source, numbers
from ratchet.errors import DataError
from tests.adapters.reading import look, settings_in

IDS = [str(89823000000000000000 + number) for number in range(60)]


def parquet(path: Path, cells: pa.Array) -> str:
    pq.write_table(pa.table({"k": cells, "a": list(range(len(cells))), "y": [0, 1] * (len(cells) // 2)}), path)
    return path.name


def delimited(path: Path, cells: list[str]) -> str:
    path.write_text("k,a,y\n" + "".join(f"{cell},{number},{number % 2}\n" for number, cell in enumerate(cells)))
    return path.name


def notes(folder: Path, uri: str, **options) -> list[str]:
    table = sources.locate("rows", Source(uris=(uri,), read=Read.model_validate(options)), settings_in(folder))
    with files.workspace(folder / ".ratchet" / "work", [table]) as db:
        return columns.notes(db)


KEYS = {
    "csv": lambda folder, cells: delimited(folder / "rows.csv", cells),
    "decimals": lambda folder, cells: parquet(
        folder / "rows.parquet", pa.array(map(Decimal, cells), pa.decimal128(38, 0))
    ),
    "decimals of BigQuery": lambda folder, cells: parquet(
        folder / "rows.parquet", pa.array(map(Decimal, cells), pa.decimal128(38, 9))
    ),
}  # fmt: skip


@pytest.mark.parametrize("from_sample", [False, True])
@pytest.mark.parametrize("kind", KEYS)
def test_keys_wider_than_a_double_stay_apart(kind, from_sample, tmp_path):
    uri = KEYS[kind](tmp_path, IDS)
    for more in ({"id": "k"}, {"split": GroupSplit(by="group", columns=("k",))}):
        seen = look(tmp_path, uri, from_sample=from_sample, **more)
        assert seen.rows["k"].tolist() == IDS
        assert seen.kinds["k"] == "text"
    sides = pd.read_parquet(tmp_path / ".ratchet" / "work" / "rows.parquet")
    assert sides["ratchet_group"].nunique() == len(IDS)


@pytest.mark.parametrize("first", [2**53 + 1, 2**62])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_whole_numbers_beyond_2_to_the_53_are_groups_of_their_own(first, ending, tmp_path):
    cells = [first + number for number in range(60)]
    if ending == "csv":
        uri = delimited(tmp_path / "rows.csv", list(map(str, cells)))
    else:
        uri = parquet(tmp_path / "rows.parquet", pa.array(cells, pa.int64()))
    look(tmp_path, uri, split=GroupSplit(by="group", columns=("k",)), from_sample=True)
    assert pd.read_parquet(tmp_path / ".ratchet" / "work" / "rows.parquet")["ratchet_group"].nunique() == 60
    assert "k: holds whole numbers beyond 2^53" in notes(tmp_path, uri)[0]


def test_the_mend_that_a_wide_number_names_reads_amounts(tmp_path):
    for uri in (delimited(tmp_path / "rows.csv", IDS), KEYS["decimals"](tmp_path, IDS)):
        (note,) = notes(tmp_path, uri)
        assert "read.types: {k: number} reads amounts" in note
        assert look(tmp_path, uri, types={"k": "number"}).kinds["k"] == "number"
        assert notes(tmp_path, uri, types={"k": "number"}) == []


def test_a_wide_number_below_narrow_ones_is_kept_too(tmp_path):
    cells = [str(number) for number in range(60_000)] + ["9007199254740993"]
    seen = look(tmp_path, delimited(tmp_path / "rows.csv", cells), from_sample=True)
    assert seen.rows["k"].tolist()[-1] == "9007199254740993"


def test_large_amounts_with_decimals_stay_numbers(tmp_path):
    seen = look(tmp_path, delimited(tmp_path / "rows.csv", ["1.5", "1e22", "90071992547409930000"]), from_sample=True)
    assert seen.kinds["k"] == "number"
    assert notes(tmp_path, "rows.csv") == []


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        ("1,234.56", "$3,444.57", 3444.57),
        ("1,234.56", "₩2,740,000", 2740000),
        ("1,234.56", "2,740,000원", 2740000),
        ("1,234.56", "(1,234.50)", -1234.5),
        ("1,234.56", "$ -12", -12),
        ("1,234.56", "12.5-", -12.5),
        ("1,234.56", "USD 1,000", 1000),
        ("1,234.56", "US$5", 5),
        ("1,234.56", "34.4 %", 34.4),
        ("1.234,56", "2.740.000", 2740000),
        ("1.234,56", "34,4 %", 34.4),
        ("1.234,56", "1.234,5 €", 1234.5),
        ("1 234,56", "2 740,39", 2740.39),
        ("1 234,56", "2\u202f740,39\u00a0€", 2740.39),
        ("1 234.56", "2 740.39", 2740.39),
        ("1'234.56", "CHF 2'740.39", 2740.39),
        ("1'234,56", "2’740,39", 2740.39),
        ("1,234.56", "1,23", None),
        ("1,234.56", "1.234,56", None),
        ("1,234.56", "12 apples", None),
        ("1.234,56", "1.5", None),
        ("1,234.56", "(12", None),
        ("1,234.56", "", None),
    ],
)
def test_a_number_is_read_as_its_form_says(form, text, value, tmp_path):
    assert numbers.number(text, form) == value
    pq.write_table(pa.table({"k": [text, None], "y": [0, 1]}), tmp_path / "rows.parquet")
    if value is None and text:
        with pytest.raises(DataError, match=r"data\.sources\.rows\.read\.numbers\.k: .*not written as .*read\.na"):
            look(tmp_path, "rows.parquet", numbers={"k": form})
    elif text:
        assert look(tmp_path, "rows.parquet", numbers={"k": form}).cells[0][0] == value
    assert look(tmp_path, "rows.parquet", numbers={"k": form}, na=[text]).cells == [[None, 0], [None, 1]]


@given(value=st.decimals(-(10**12), 10**12, places=2), form=st.sampled_from(numbers.FORMS))
def test_a_written_number_is_the_number_that_was_meant(value, form):
    text = f"{value:,.2f}".replace(",", "_").replace(".", form[5]).replace("_", form[1])
    assert numbers.number(text, form) == float(value)


@pytest.mark.parametrize("from_sample", [False, True])
def test_a_column_that_looks_plain_is_read_as_the_task_says(from_sample, tmp_path):
    """In German 1.234 is a thousand; that no other cell tells so does not make it one and a bit."""
    uri = delimited(tmp_path / "rows.csv", ["1.234", "2.500", "", "7"])
    assert look(tmp_path, uri, from_sample=from_sample).rows["k"].tolist()[:2] == [1.234, 2.5]
    seen = look(tmp_path, uri, from_sample=from_sample, numbers={"k": "1.234,56"}).rows["k"].tolist()
    assert [seen[0], seen[1], seen[3]] == [1234, 2500, 7]


def test_a_cell_that_is_not_written_so_is_named_and_the_mend_works(tmp_path):
    uri = delimited(tmp_path / "rows.csv", ['"$1,200"', "n/a", "$3", "$4"])
    with pytest.raises(DataError, match=r"numbers\.k: 'n/a' is not written as 1,234\.56; .*put it into read\.na"):
        look(tmp_path, uri, numbers={"k": "1,234.56"})
    assert look(tmp_path, uri, numbers={"k": "1,234.56"}, na=["n/a"]).rows["k"].dropna().tolist() == [1200, 3, 4]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_named_type_holds_for_every_format(ending, tmp_path):
    cells = [f"{number:03}" for number in range(60)]
    if ending == "csv":
        uri = delimited(tmp_path / "rows.csv", cells)
    else:
        uri = parquet(tmp_path / "rows.parquet", pa.array(cells))
    assert look(tmp_path, uri).kinds["k"] == "text"
    assert look(tmp_path, uri, types={"k": "number"}).rows["k"].tolist() == list(range(60))


@pytest.mark.parametrize("key", ["types", "numbers"])
def test_a_column_that_is_named_and_not_there_is_told(key, tmp_path):
    read = Read.model_validate({key: {"kk": "number" if key == "types" else "1,234.56"}})
    uri = delimited(tmp_path / "rows.csv", ["1", "2"])
    table = sources.locate("rows", Source(uris=(uri,), read=read), settings_in(tmp_path))
    with (
        files.workspace(tmp_path / ".ratchet" / "work", [table]) as db,
        pytest.raises(DataError, match=rf"data\.sources\.rows\.read\.{key}: no column 'kk'"),
    ):
        columns.check_named(db, [table])
