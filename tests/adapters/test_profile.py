"""The figures of a profile against those of pandas."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.adapters import files, profile

SEVERAL = settings(max_examples=40, deadline=None)


@contextmanager
def written(table: pd.DataFrame | pa.Table) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """The rows as gather leaves them: in Parquet, a missing number without a value."""
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        rows = Path(folder) / "rows.parquet"
        pq.write_table(
            table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False), rows
        )
        with files.workspace(Path(folder), []) as db:
            yield db, rows


def described(table: pd.DataFrame | pa.Table, **kinds: str) -> list[dict]:
    with written(table) as (db, rows):
        return profile.columns(db, rows, kinds)


def numbers(values: list) -> dict:
    return described(pa.table({"x": pa.array(values, pa.float64())}), x="number")[0]


def words(values: list) -> dict:
    return described(pa.table({"x": pa.array(values, pa.string())}), x="text")[0]


finite = st.floats(-1e9, 1e9) | st.integers(-20, 20).map(float)
cells = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.sampled_from(["a", "b", "가나", "", "it's", '"']) | st.text(cells, max_size=6)


@given(st.lists(finite | st.none(), min_size=1, max_size=60))
@SEVERAL
def test_the_figures_of_numbers_are_those_of_pandas(values):
    column, entry = pd.Series(values, dtype=float), numbers(values)
    assert entry["missing"] == pytest.approx(column.isna().mean())
    if column.notna().any():
        assert (entry["minimum"], entry["maximum"]) == (column.min(), column.max())
        assert entry["mean"] == pytest.approx(column.mean(), rel=1e-9, abs=1e-6)
    else:
        assert (entry["minimum"], entry["maximum"], entry["mean"]) == (None, None, None)
    assert (entry["distinct"] <= 1) == (column.nunique() <= 1)
    assert entry["distinct"] == pytest.approx(column.nunique(), abs=max(2, 0.3 * column.nunique()))


@given(st.lists(st.floats(allow_nan=False) | st.none(), min_size=1, max_size=40))
@SEVERAL
def test_every_finite_number_stands_in_one_bin_of_the_histogram(values):
    entry = numbers(values)
    if "counts" in entry:
        assert sum(entry["counts"]) == sum(value is not None and math.isfinite(value) for value in values)
        assert len(entry["edges"]) == len(entry["counts"]) + 1
        assert entry["edges"] == sorted(entry["edges"])


@given(st.lists(finite, min_size=2, max_size=60).filter(lambda values: max(values) - min(values) > 1e-3))
@SEVERAL
def test_the_histogram_is_that_of_numpy(values):
    entry = numbers(values)
    edges = np.linspace(min(values), max(values), profile.BINS + 1)
    assert entry["edges"] == pytest.approx(edges, rel=1e-6, abs=1e-6)
    doubtful = sum(np.isclose(value, edges[1:-1], rtol=1e-9, atol=1e-9).any() for value in values)
    assert np.abs(np.array(entry["counts"]) - np.histogram(values, edges)[0]).sum() <= 2 * doubtful


def test_whole_numbers_on_the_edges_fall_to_the_right():
    entry = numbers([float(number) for number in range(21)])
    assert entry["counts"] == [1] * 19 + [2]


@given(st.lists(texts | st.none(), min_size=1, max_size=60))
@SEVERAL
def test_the_figures_of_texts_are_those_of_pandas(values):
    column, entry = pd.Series(values, dtype=object), words(values)
    counted = column.value_counts()
    assert entry["missing"] == pytest.approx(column.isna().mean())
    assert (entry["distinct"] <= 1) == (column.nunique() <= 1)
    expected = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0].encode()))[: profile.LEVELS]
    assert list(zip(entry["levels"], entry["counts"], strict=True)) == expected
    if counted.size:
        assert entry["minimum"] == min(column.dropna(), key=str.encode)
        assert entry["maximum"] == max(column.dropna(), key=str.encode)


def test_large_columns_are_counted_about_right():
    random = np.random.default_rng(7)
    table = pd.DataFrame({"x": random.normal(size=100_000), "w": random.integers(0, 5_000, 100_000).astype(str)})
    x, w = described(table, x="number", w="text")
    assert x["distinct"] == pytest.approx(100_000, rel=0.1)
    assert w["distinct"] == pytest.approx(5_000, rel=0.1)
    assert x["mean"] == pytest.approx(table["x"].mean())


@pytest.mark.parametrize("value", [0.0, -3.5, 1e300, 5e-324])
def test_a_constant_column_has_one_value_and_no_histogram(value):
    entry = numbers([value, None, value, value])
    assert (entry["distinct"], entry["minimum"], entry["maximum"], entry["missing"]) == (1, value, value, 0.25)
    assert "counts" not in entry


@pytest.mark.parametrize("kind", ["number", "text", "date"])
def test_a_column_without_a_value_has_no_figures(kind):
    of = {"number": pa.float64(), "text": pa.string(), "date": pa.timestamp("us")}[kind]
    entry = described(pa.table({"x": pa.array([None] * 5, of)}), x=kind)[0]
    assert entry["missing"] == 1
    assert entry["distinct"] == 0
    assert (entry["minimum"], entry["maximum"], entry["mean"]) == (None, None, None)
    assert not any(entry.get("counts", []))


def test_a_table_without_rows_has_a_profile():
    entry = numbers([])
    assert (entry["missing"], entry["distinct"], entry["minimum"]) == (0, 0, None)


@pytest.mark.parametrize("infinite", [[math.inf], [-math.inf], [math.inf, -math.inf]])
def test_an_infinite_number_is_no_part_of_the_mean(infinite):
    entry = numbers([1.0, 2.0, 3.0, *infinite])
    assert entry["mean"] == 2
    assert entry["missing"] == 0
    assert (entry["minimum"] is None) == (-math.inf in infinite)
    assert (entry["maximum"] is None) == (math.inf in infinite)


@pytest.mark.parametrize(
    "values", [[-1.7e308, 1.7e308], [0.0, 5e-324], [1e300, 1.0000000000000002e300], [-5e-324, 1.7e308]]
)
def test_a_range_that_no_histogram_can_show_is_no_error(values):
    entry = numbers(values)
    assert (entry["minimum"], entry["maximum"]) == tuple(values)


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.int8()], ids=str)
def test_the_whole_range_of_whole_numbers_has_a_histogram(kind):
    bits = kind.bit_width - (kind != pa.uint64())
    low, high = (0 if kind == pa.uint64() else -(2**bits)), 2**bits - 1
    entry = described(pa.table({"id": pa.array([low, high, high - 1, None], kind)}), id="number")[0]
    assert (entry["minimum"], entry["maximum"]) == (low, high)
    assert entry["counts"][0] == 1
    assert entry["counts"][-1] == 2


@pytest.mark.parametrize(
    ("zone", "oldest", "newest"),
    [
        (None, "2023-01-02 08:00:00", "2024-03-01 12:30:00"),
        ("UTC", "2023-01-02 08:00:00+00", "2024-03-01 12:30:00+00"),
        ("Asia/Seoul", "2023-01-01 23:00:00+00", "2024-03-01 03:30:00+00"),
    ],
)
def test_dates_have_a_range_also_with_a_time_zone(zone, oldest, newest):
    newer, older = (pd.Timestamp(text, tz=zone) for text in ("2024-03-01 12:30", "2023-01-02 08:00"))
    entry = described(pa.table({"at": pa.array([newer, None, older], pa.timestamp("us", tz=zone))}), at="date")[0]
    assert (entry["minimum"], entry["maximum"]) == (oldest, newest)
    assert entry["missing"] == pytest.approx(1 / 3)


def test_long_texts_are_cut():
    entry = words(["가" * 500, "b"])
    assert entry["maximum"] == "가" * 100
    assert entry["levels"] == ["b", "가" * 60]


def test_only_the_most_frequent_levels_are_shown():
    entry = words([f"w{number:02}" for number in range(30) for _ in range(30 - number)])
    assert entry["levels"] == [f"w{number:02}" for number in range(profile.LEVELS)]
    assert entry["counts"][:3] == [30, 29, 28]


@pytest.mark.parametrize("name", ["it's", 'say "hi"', "나이 (세)", "a.b", "select", "{x}", "*"])
def test_a_column_may_have_any_name(name):
    entry = described(pd.DataFrame({name: [1.0, 2.0, 4.0]}), **{name: "number"})[0]
    assert (entry["name"], entry["maximum"]) == (name, 4)


@given(st.lists(st.one_of(st.none(), texts), max_size=40))
@SEVERAL
def test_the_length_of_texts_is_that_of_pandas(values):
    with written(pa.table({"x": pa.array(values, pa.string())})) as (db, rows):
        found = profile.length(db, rows, {"name": "x", "kind": "text"})
        assert profile.length(db, rows, {"name": "x", "kind": "number"}) == 0
        assert profile.count(db, rows) == len(values)
    assert found == pytest.approx(
        pd.Series(values, dtype="str").str.len().mean() if any(v is not None for v in values) else 0
    )


small = st.sampled_from([0.0, 1.0, 2.5, None])
few = st.sampled_from(["a", "b", "", None])
sides = st.sampled_from(["train", "valid", "test", None])


@given(st.lists(st.tuples(small, small, few, sides), max_size=60))
@SEVERAL
def test_rows_that_repeat_are_counted_as_pandas_counts_them(rows):
    table = pd.DataFrame(rows, columns=["a", "b", "c", files.SIDE])
    of = pa.schema([("a", pa.float64()), ("b", pa.float64()), ("c", pa.string()), (files.SIDE, pa.string())])
    with written(pa.Table.from_pylist([dict(zip(table, row, strict=True)) for row in rows], of)) as (db, path):
        for features in (["a", "b", "c"], ["a", "c"], ["b"]):
            found = profile.doubles(db, path, features)
            on_sides = table.groupby(features, dropna=False)[files.SIDE].agg(["size", "nunique"])
            assert found == {
                "repeated_rows": int(table.duplicated(features).sum()),
                "rows_on_two_sides": int(on_sides.loc[on_sides["nunique"] > 1, "size"].sum()),
            }


@given(st.lists(st.sampled_from(["p1", "p2", "p3", "", None]) | st.text(cells, max_size=3), max_size=60))
@SEVERAL
def test_ids_are_counted_as_pandas_counts_them(values):
    column = pd.Series(values, dtype=object)
    with written(pa.table({"id": pa.array(values, pa.string())})) as (db, rows):
        found = profile.ids(db, rows, "id")
    assert found == {
        "missing_ids": int(column.isna().sum()),
        "repeated_ids": int(column.dropna().duplicated().sum()),
    }
