"""A first task from a look at the data: it loads, it saw the right things, and odd names do no harm."""

import csv
import random
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ratchet.config import Task
from ratchet.errors import ConfigError, DataError
from ratchet.operate.init import draft
from ratchet.settings import Settings
from ratchet.taskfile import load
from tests.end_to_end.commands import settle

ROWS = 60
SENTENCE = "we called the customer about the bill and were told to call again"
ODD = ["a,b", 'say "x"', 'a, "b"', "a: b", "고객", "yes", "1", "null", "~", "x]", "{x}", "# x", "- a", "it's", "\\",
       "a\tb", " a ", "1:30", "2024-01-01", "=", "<<", "*a", "&a", "!a", "%a", "a,\nb", "\x85", "\u2028", "\ufeffa",
       "y" * 300, "e\u0301", "\uf900"]  # fmt: skip
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write columns into a CSV file of the working folder."""
    settle(monkeypatch, tmp_path)
    monkeypatch.delenv("RATCHET_DATA", raising=False)

    def put(columns: dict[str, list[Any]], name: str = "customers.csv") -> str:
        with Path(name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return name

    return put


def customers(**more: list[Any]) -> dict[str, list[Any]]:
    seen = random.Random(1)
    return {
        "customer_id": [f"c{row}" for row in range(ROWS)],
        "age": [round(seen.uniform(18, 80), 1) for _ in range(ROWS)],
        "kids": [row % 4 for row in range(ROWS)],
        "joined": [str(date(2024, 1, 1) + timedelta(row)) for row in range(ROWS)],
        "left": ["Yes" if row % 3 == 0 else "No" for row in range(ROWS)],
    } | more


def drafted(uri: str, target: str, name: str | None = None, uncommented: str = "") -> Task:
    """Return the drafted task, read back; also with one of its proposals taken up."""
    text = draft(uri, target, Settings.from_env(), name)
    if uncommented:
        assert f"# {uncommented}" in text
        text = text.replace(f"# {uncommented}", uncommented)
    Path("draft.yaml").write_text(text, encoding="utf-8")
    return load("draft.yaml")


# ---------------------------------------------------------------- what is seen


def test_two_classes_are_a_binary_task_whose_positive_class_is_the_rarer(write: Write) -> None:
    task = drafted(write(customers()), "left")
    assert (task.name, task.problem.kind, task.data.target, task.data.positive) == (
        "customers",
        "binary",
        "left",
        "Yes",
    )
    assert task.data.id == "customer_id"
    assert task.search.metric == "roc_auc"
    assert task.data.sources["data"].uris == ("customers.csv",)


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        (["no", "yes", "no"], "yes"),
        ([0, 1, 0], 1),
        ([1, 1, 0], 1),
        (["예", "예", "아니오"], "예"),
        ([0, 1], 1),
        (["1.5", "2.5", "2.5"], 1.5),
    ],
)
def test_the_positive_class_keeps_the_type_it_has_in_the_data(
    write: Write, values: list[Any], positive: object
) -> None:
    target = [values[row % len(values)] for row in range(ROWS)]
    read = drafted(write(customers(target=target)), "target").data.positive
    assert (read, type(read)) == (positive, type(positive))


def test_many_numbers_are_a_regression(write: Write) -> None:
    task = drafted(write(customers()), "age")
    assert (task.problem.kind, task.data.positive, task.search.metric) == ("regression", None, "rmse")
    assert task.data.id == "customer_id"


def test_several_classes_are_a_multiclass_task(write: Write) -> None:
    task = drafted(write(customers(grade=[["good", "fair", "bad"][row % 3] for row in range(ROWS)])), "grade")
    assert (task.problem.kind, task.data.positive, task.search.metric) == ("multiclass", None, "log_loss")


@pytest.mark.usefixtures("write")
def test_a_name_over_two_lines_stays_within_its_comment() -> None:
    pd.DataFrame(customers(**{"paid\nname: x": ["1,100"] * ROWS})).to_parquet("customers.parquet")
    assert drafted("customers.parquet", "left").name == "customers"


def test_a_column_of_sentences_is_a_text(write: Write) -> None:
    notes = [f"{SENTENCE}, {row}" for row in range(ROWS)]
    task = drafted(write({"note": notes, "left": customers()["left"]}), "left")
    assert (task.features.kind, task.features.text, task.families) == ("text", "note", ("linear",))
    assert task.data.id is None


def test_sentences_beside_a_table_stay_a_table(write: Write) -> None:
    task = drafted(write(customers(note=[f"{SENTENCE}, {row}" for row in range(ROWS)])), "left")
    assert task.features.kind == "tabular"


def test_a_column_named_like_an_id_that_repeats_is_none(write: Write) -> None:
    assert drafted(write(customers(customer_id=[row // 2 for row in range(ROWS)])), "left").data.id is None


def test_dates_and_whole_numbers_with_few_values_are_pointed_out(write: Write) -> None:
    born = [str(date(1950, 1, 1) + timedelta(row * 7919 % 18_000)) for row in range(ROWS)]
    text = draft(write(customers(joined=born)), "left", Settings.from_env())
    assert "# dates, which are no features: [joined]" in text
    task = drafted("customers.csv", "left", uncommented="categorical: ")
    assert task.features.categorical == ("kids",)


@pytest.mark.parametrize(
    ("uri", "target", "seen"),
    [
        ("sklearn://wine", "target", ("wine", "multiclass", None, None)),
        ("sklearn://diabetes", "target", ("diabetes", "regression", None, None)),
        ("sklearn://breast_cancer", "target", ("breast-cancer", "binary", "malignant", None)),
        ("synthetic://credit?rows=500&seed=1", "defaulted", ("credit", "binary", 1, "applicant_id")),
    ],
)
def test_data_that_come_with_the_installation_make_a_task(
    write: Write, uri: str, target: str, seen: tuple[object, ...]
) -> None:
    task = drafted(uri, target)
    assert (task.name, task.problem.kind, task.data.positive, task.data.id) == seen
    assert task.data.sources["data"].uris == (uri,)


def test_the_drafts_digest_is_that_of_the_file(write: Write) -> None:
    import hashlib

    uri = write(customers())
    assert drafted(uri, "left").data.sources["data"].sha256 == (hashlib.sha256(Path(uri).read_bytes()).hexdigest(),)


# ---------------------------------------------------------------- what is refused


def test_a_missing_target_is_told_with_the_nearest_column(write: Write) -> None:
    with pytest.raises(DataError, match="no column 'lefft'; did you mean 'left'"):
        drafted(write(customers()), "lefft")


def test_a_missing_file_is_told_with_where_it_was_looked_for(write: Write) -> None:
    with pytest.raises(DataError, match=r"tried nothing.csv, data/nothing.csv"):
        drafted("nothing.csv", "left")


def test_a_target_that_never_changes_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match="holds only 'Yes'; there is nothing to learn"):
        drafted(write(customers(left=["Yes"] * ROWS)), "left")


def test_data_with_nothing_but_the_target_are_refused(write: Write) -> None:
    with pytest.raises(DataError, match="no other column to learn from"):
        drafted(write({"left": customers()["left"], "customer_id": customers()["customer_id"]}), "left")


@pytest.mark.parametrize(("target", "name", "said"), [("left", "my task", "--name"), ("", None, "--target")])
def test_a_name_that_no_task_may_have_is_refused(write: Write, target: str, name: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        drafted(write(customers()), target, name)


# ---------------------------------------------------------------- odd names


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("2024.csv", "2024"),
        ("no.csv", "no"),
        ("null.csv", "null"),
        ("1e5.csv", "1e5"),
        ("고객.csv", "task"),
        ('a, "b".csv', "a-b"),
        ("it's [x]: #1.csv", "it-s-x-1"),
        ("Telco Churn.v2.csv", "telco-churn"),
        ("x" * 90 + ".csv", "x" * 60),
    ],
)
def test_any_file_name_makes_a_task_that_finds_its_file(write: Write, file: str, name: str) -> None:
    task = drafted(write(customers(), file), "left")
    assert task.name == name
    assert task.data.sources["data"].uris == (file,)


@pytest.mark.parametrize("odd", ["a,b", 'say "x"', 'a, "b"', "a: b", "고객", "yes", "1", "x]", "# x", "it's"])
def test_odd_words_in_a_csv_file_are_read_back_as_they_are(write: Write, odd: str) -> None:
    plain = customers()
    columns = {
        odd: [odd if row % 3 == 0 else "other" for row in range(ROWS)],
        f"{odd}_id": plain["customer_id"],
        f"{odd} kids": plain["kids"],
        "age": plain["age"],
    }
    task = drafted(write(columns), odd, uncommented="categorical: ")
    assert (task.data.target, task.data.positive, task.data.id) == (odd, odd, f"{odd}_id")
    assert task.features.categorical == (f"{odd} kids",)


@contextmanager
def parquet(columns: dict[str, list[Any]]) -> Iterator[str]:
    """Parquet takes any name; a CSV file would first have to be sniffed right."""
    path = Path("odd.parquet")
    pd.DataFrame(columns).to_parquet(path)
    yield str(path)
    path.unlink()


def every_odd_name(test: Callable[..., None]) -> Callable[..., None]:
    for odd in ODD:
        test = example(odd=odd)(test)
    return test


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12))
@every_odd_name
def test_any_word_in_any_place_is_read_back_as_it_is(write: Write, odd: str) -> None:
    assume(not odd.lower().startswith("ratchet_"))  # such names are Ratchet's own, and refused
    plain = customers()
    columns = {
        f"{odd}?": [odd if row % 3 == 0 else "other value" for row in range(ROWS)],
        f"{odd} id": plain["customer_id"],
        f"{odd} kids": plain["kids"],
        f"{odd} joined": [pd.Timestamp(day) for day in plain["joined"]],
    }
    with parquet(columns) as uri:
        task = drafted(uri, f"{odd}?", uncommented="categorical: ")
    name = unicodedata.normalize("NFC", odd)
    assert (task.data.target, task.data.positive, task.data.id) == (f"{name}?", odd, f"{name} id")
    assert task.features.categorical == (f"{name} kids",)
    with parquet({odd: [f"{SENTENCE}, {row}" for row in range(ROWS)], "left_": plain["left"]}) as uri:
        assert drafted(uri, "left_").features.text == name
