"""Rows out of a database: types that hold for all parts, a digest that knows no order, errors that name the place."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.adapters import warehouse
from ratchet.errors import DataError


def database(place: Path, rows: pd.DataFrame) -> str:
    with closing(sqlite3.connect(place / "rows.db")) as connection:
        rows.to_sql("applicants", connection, index=False, if_exists="replace")
    return f"sqlite:///{place / 'rows.db'}"


def asked(uri: str, sql: str, place: Path) -> warehouse.Result:
    return warehouse.query(uri, warehouse.Question(sql), place / "answers", "data.sources.a")


def test_a_column_that_is_whole_then_real_then_empty_is_one_column_of_reals(tmp_path, monkeypatch):
    monkeypatch.setattr(warehouse, "AT_ONCE", 2)
    uri = database(tmp_path, pd.DataFrame({"n": [1, 2, 3, 4, 5, 6], "x": [1.0, 2.0, 2.5, 3.0, None, None]}))
    sql = "SELECT CASE WHEN n < 3 THEN CAST(x AS INTEGER) ELSE x END AS x, NULL AS never FROM applicants ORDER BY n"
    found = pq.read_table(asked(uri, sql, tmp_path).file)
    assert found.column("x").to_pylist()[:4] == [1, 2, 2.5, 3]
    assert found.column("x").null_count == 2
    assert found.column("never").null_count == 6


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(30)))
def test_the_digest_is_that_of_the_rows_whatever_their_order(order):

    rows = pd.DataFrame({"n": range(30), "text": [f"row {n}" for n in range(30)]})
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first = asked(database(place, rows), "SELECT * FROM applicants", place).digest
        assert asked(database(place, rows.iloc[order]), "SELECT * FROM applicants", place).digest == first
        rows.loc[7, "text"] = "another"
        assert asked(database(place, rows), "SELECT * FROM applicants", place).digest != first


def test_a_query_without_rows_keeps_its_columns(tmp_path):
    uri = database(tmp_path, pd.DataFrame({"n": [1], "text": ["a"]}))
    found = pq.read_table(asked(uri, "SELECT * FROM applicants WHERE n > 5", tmp_path).file)
    assert (found.column_names, found.num_rows) == (["n", "text"], 0)


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("SELECT absent FROM applicants", "data.sources.a: sqlite:///.*rows.db: no such column: absent"),
        ("SELEC 1", "data.sources.a: .*syntax error"),
        (
            "SELECT x'ff00' AS b FROM applicants",
            "data.query: .*column 'b' holds bytes, which is no number, text or time; cast it",
        ),
        ("SELECT n, n FROM applicants", "data.query: column 'n' comes twice; give one of them another name with AS"),
    ],
)
def test_a_wrong_query_names_its_place(sql, fault, tmp_path):
    with pytest.raises(DataError, match=fault):
        asked(database(tmp_path, pd.DataFrame({"n": [1]})), sql, tmp_path)


def test_a_database_that_is_away_or_unknown_is_told_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "a@b:hunter2")
    for uri in ("postgresql://u:${SECRET}@127.0.0.1:1/x", "postgresql://u:${SECRET}@[/x", "frob+nicate://${SECRET}/x"):
        with pytest.raises(DataError, match=r"data\.sources\.a: ") as told:
            asked(uri, "SELECT 1", tmp_path)
        assert "hunter2" not in str(told.value)
        assert "\n" not in str(told.value)


def test_a_variable_that_is_not_set_is_named(tmp_path):
    with pytest.raises(DataError, match="the environment variable NOT_SET_HERE is not set"):
        asked("postgresql://u:${NOT_SET_HERE}@127.0.0.1/x", "SELECT 1", tmp_path)
