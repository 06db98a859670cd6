"""What a first look at the rows is good for: each rule on a small table, and what it must not take for its like."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ratchet.errors import DataError
from tests.end_to_end.commands import settle
from tests.operate.first_task import draft_task, prepare, read_back, write_csv

ROWS = 400
Columns = dict[str, Any]


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch, tmp_path)
    monkeypatch.delenv("RATCHET_DATA", raising=False)


def clients(**more: Any) -> Columns:
    """A table in which age tells a little."""
    rng = np.random.default_rng(1)
    age = rng.integers(18, 80, ROWS)
    left = np.where(age / 40 + rng.normal(0, 1, ROWS) > 1.2, "yes", "no")
    return {"age": age, "city": rng.choice(["Seoul", "Busan", "Daegu"], ROWS), "left": left} | more


def left_as_number() -> np.ndarray:
    return (clients()["left"] == "yes").astype(int)


def shuffled(values: Any) -> np.ndarray:
    return np.random.default_rng(2).permutation(np.asarray(values))


def days(count: int = ROWS, step: int = 1) -> list[str]:
    return [str(date(2021, 1, 1) + timedelta(row * step)) for row in range(count)]


# ---------------------------------------------------------------- leaks


LEAKS: list[Columns] = [
    {"code": left_as_number() * 3.5 + np.linspace(0, 1, ROWS)},
    {"status": np.where(clients()["left"] == "yes", "closed", "open")},
    {"closed_on": pd.Series(np.linspace(1, 9, ROWS)).where(left_as_number() == 1)},  # missing just where the class is
]


@pytest.mark.parametrize("leak", LEAKS)
def test_a_column_that_gives_the_answer_away_is_left_out_with_why(leak: Columns) -> None:
    (name,) = leak
    task, text = draft_task(write_csv(clients(**leak)), "left")
    assert task.data.drop == (name,)
    assert f"- {name}        # leak: alone it tells left (1.000); take it out of the list to learn from it" in text
    assert set(prepare(task)["features"]) == {"age", "city"}
    put_back = read_back(
        "\n".join(line for line in text.splitlines() if line.strip() != "drop:" and "leak:" not in line)
    )
    assert name in prepare(put_back)["features"]


def test_a_leak_that_is_the_only_column_stays_and_is_told() -> None:
    task, text = draft_task(write_csv({"left": clients()["left"], **LEAKS[0]}), "left")
    assert task.data.drop == ()
    assert "# code: leak: alone it tells left (1.000); is it known beforehand?" in text
    prepare(task)


def rides(parts: Callable[[np.ndarray, np.ndarray, np.ndarray], Any]) -> Columns:
    rng = np.random.default_rng(3)
    a, b, c = (rng.integers(1, 500, ROWS) for _ in range(3))
    return {"a": a, "b": b, "c": c, "noise": rng.random(ROWS), "target": parts(a, b, c)}


@pytest.mark.parametrize(
    ("parts", "dropped"),
    [
        (lambda a, b, c: a + b, ("a", "b")),
        (lambda a, b, c: b - c, ("b", "c")),
        (lambda a, b, c: a + b + c, ("a", "b", "c")),
        (lambda a, b, c: 0.4 * a + 0.6 * c + 3, ("a", "c")),
        (lambda a, b, c: a * b, ("a", "b")),
        (lambda a, b, c: 2.5 * c, ("c",)),
    ],
)
def test_the_columns_of_which_the_target_is_made_are_left_out(
    parts: Callable[..., Any], dropped: tuple[str, ...]
) -> None:
    task, _ = draft_task(write_csv(rides(parts)), "target")
    assert task.data.drop == dropped
    assert "noise" in prepare(task)["features"]


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_columns_that_only_nearly_make_the_target_stay(noise: float) -> None:
    rng = np.random.default_rng(4)
    columns = rides(lambda a, b, c: a + b + noise * rng.normal(0, 100, ROWS))
    assert draft_task(write_csv(columns), "target")[0].data.drop == ()


def test_what_tells_most_alone_is_told() -> None:
    _, text = draft_task(write_csv(clients()), "left")
    assert "# what tells left best alone: age 0." in text


# ---------------------------------------------------------------- columns that count


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("", range(ROWS)),
        ("Unnamed: 0", shuffled(range(ROWS))),
        ("index", range(0, 3 * ROWS, 3)),
        ("instant", range(1, ROWS + 1)),
    ],
)
def test_a_column_that_counts_the_rows_is_left_out(name: str, values: Any) -> None:
    columns = {name: list(values)} | clients()
    task, text = draft_task(write_csv(columns), "left")
    assert set(prepare(task)["features"]) == {"age", "city"}
    if task.data.drop:  # a reader may have left it out before
        assert "# it only counts the rows" in text


@pytest.mark.parametrize("name", ["client_id", "clientId", "고객번호"])
def test_a_counting_column_that_is_named_like_an_id_is_the_id(name: str) -> None:
    task, _ = draft_task(write_csv({name: range(ROWS)} | clients()), "left")
    assert (task.data.id, task.data.drop) == (name, ())


@pytest.mark.parametrize("name", ["amount", "acid", "paid"])
def test_a_number_that_differs_in_each_row_is_no_index_and_no_id(name: str) -> None:
    task, _ = draft_task(write_csv(clients(**{name: shuffled(range(ROWS)) * 1.5})), "left")
    assert (task.data.id, task.data.drop, task.split.by) == (None, (), "hash")


# ---------------------------------------------------------------- codes for missing


@pytest.mark.parametrize("word", ["?", "unknown", "N/A", "-", "미상"])
def test_a_word_for_missing_among_numbers_is_read_as_missing(word: str) -> None:
    weight = [word if row % 5 == 0 else row % 37 for row in range(ROWS)]
    race = [word if row % 9 == 0 else "A" for row in range(ROWS)]
    task, text = draft_task(write_csv(clients(weight=weight, race=race)), "left")
    assert task.data.sources["data"].read.na == ("", "NA", "NaN", "null", word)
    assert "stands among numbers, so read.na takes it for missing" in text
    assert prepare(task)["features"]["weight"] == "number"


def test_words_that_mean_something_are_left_alone() -> None:
    size = ["large" if row % 5 == 0 else row % 37 for row in range(ROWS)]
    task, text = draft_task(write_csv(clients(size=size, job=["unknown", "clerk"] * (ROWS // 2))), "left")
    assert "read" not in task.data.sources["data"].model_fields_set
    assert "# 'unknown' is a level of its own in job; if it means missing, put it into read.na" in text


@pytest.mark.parametrize("code", [999, -1, 365243, -999])
def test_a_number_that_looks_like_a_code_is_told_with_a_query_that_works(code: int) -> None:
    since = [code if row % 10 else row // 10 for row in range(ROWS)]
    task, text = draft_task(write_csv(clients(**{"days since": since})), "left")
    assert set(prepare(task)["features"]) == {"age", "city", "days since"}
    (remark,) = [line for line in text.splitlines() if line.startswith("# days since: ")]
    assert remark.startswith(
        f"# days since: {code} stands in 90% of the rows, far from the others; if it means missing"
    )
    query = remark.partition("add to data: ")[2]
    about = prepare(read_back(text.replace("  target:", f"  {query}\n  target:", 1)))
    assert "days since" not in about["required"]


@pytest.mark.parametrize(
    "values", [[row % 100 for row in range(ROWS)], [-1, 1] * (ROWS // 2), [-1.0, -0.5, 0, 0.5, 1] * (ROWS // 5)]
)
def test_a_value_within_the_others_is_no_code(values: list[float]) -> None:
    assert "stands in" not in draft_task(write_csv(clients(x=values)), "left")[1]


# ---------------------------------------------------------------- the split


@pytest.mark.parametrize(
    ("values", "train", "test"),
    [
        (["train", "train", "test"], ("train",), ("test",)),
        (["Training", "PublicTest", "PrivateTest", "Training"], ("Training",), ("PrivateTest", "PublicTest")),
        (["train", "val", "test", "train"], ("train", "val"), ("test",)),
        (["학습", "학습", "평가"], ("학습",), ("평가",)),
    ],
)
def test_a_column_that_names_official_sides_is_the_split(
    values: list[str], train: tuple[str, ...], test: tuple[str, ...]
) -> None:
    usage = shuffled([values[row % len(values)] for row in range(ROWS)])
    task, _ = draft_task(write_csv(clients(usage=usage)), "left")
    assert task.split.by == "column"
    assert (task.split.column, set(task.split.train), set(task.split.test)) == ("usage", set(train), set(test))
    about = prepare(task)
    assert about["counts"]["unplaced_rows"] == 0 and "usage" not in about["features"]


def test_the_last_of_official_folds_is_the_test_side() -> None:
    task, _ = draft_task(write_csv(clients(fold=shuffled([row % 10 + 1 for row in range(ROWS)]))), "left")
    assert (task.split.by, task.split.train, task.split.test) == ("column", tuple(range(1, 10)), (10,))
    assert prepare(task)["counts"]["unplaced_rows"] == 0


def test_words_of_which_some_name_no_side_are_no_split() -> None:
    task, _ = draft_task(write_csv(clients(kind=shuffled(["train", "test", "bus", "tram"] * (ROWS // 4)))), "left")
    assert task.split.by == "hash"


TIMES: list[Columns] = [
    {"day": days()},
    {"joined": shuffled(days())},  # in no order, but many
    {"ordered_at": [f"{day} 12:00:00" for day in days()[::-1]]},
    {"timestamp": 1_600_000_000 + shuffled(range(ROWS)) * 3600},
    {"yyyymm_period": np.sort([(2010 + row % 12) * 100 + row % 12 + 1 for row in range(ROWS)])},
    {"Time": np.sort(shuffled(range(ROWS)) * 1.5)},
    {"year": np.sort([1990 + row % 30 for row in range(ROWS)])},
]


@pytest.mark.parametrize("time", TIMES)
def test_rows_with_a_time_are_split_by_it_and_told_so(time: Columns) -> None:
    (name,) = time
    task, text = draft_task(write_csv(clients(**time)), "left")
    assert (task.split.by, getattr(task.split, "column", None)) == ("time", name)
    assert "the oldest train, the newest test, as in use; without regard to it: {by: hash}" in text
    assert name not in prepare(task)["features"]


NO_TIMES: list[Columns] = [
    {"birth_date": shuffled(days(step=20))},
    {"생년월일": shuffled(days(step=20))},
    {"since": shuffled(days(step=60))},  # more than a generation, in no order
    {"year_built": shuffled([1900 + row % 100 for row in range(ROWS)])},
    {"month": [row % 12 + 1 for row in range(ROWS)]},
    {"day": ["2024-01-01", "2024-01-02"] * (ROWS // 2)},
    {"started": shuffled(days()), "ended": shuffled(days())},  # which of them?
    {"joined": [day if row % 3 else "" for row, day in enumerate(days())]},  # a third of the rows would have no side
    {"overtime": np.sort(shuffled(range(ROWS)) % 50)},
]


@pytest.mark.parametrize("columns", NO_TIMES)
def test_what_is_no_time_of_the_rows_does_not_split_them(columns: Columns) -> None:
    task, _ = draft_task(write_csv(clients(**columns)), "left")
    assert task.split.by == "hash"
    prepare(task)


@pytest.mark.parametrize("name", ["customer_id", "patient_nbr", "patient", "userId"])
def test_an_id_that_repeats_is_the_group_and_no_feature(name: str) -> None:
    groups = shuffled([row // 4 for row in range(ROWS)])
    task, text = draft_task(write_csv(clients(**{name: groups})), "left")
    assert (task.split.by, getattr(task.split, "columns", None), task.data.id) == ("group", (name,), None)
    assert f"# {name} repeats: rows of one of its values stay on one side" in text
    assert name not in prepare(task)["features"]


def test_with_an_order_in_time_and_an_id_that_repeats_time_decides_and_the_group_is_told() -> None:
    columns = clients(day=days(), user_id=shuffled([row // 4 for row in range(ROWS)]))
    task, text = draft_task(write_csv(columns), "left")
    assert task.split.by == "time"
    assert "# user_id repeats; split: {by: group, columns: [user_id]} asks how well unknown ones are told" in text


@pytest.mark.parametrize("name", ["citric acid", "paid", "grid", "NO", "shop_id"])
def test_a_measure_or_a_few_values_are_no_group(name: str) -> None:
    values = [row % 5 for row in range(ROWS)] if name == "shop_id" else [row % 80 / 100 for row in range(ROWS)]
    assert draft_task(write_csv(clients(**{name: shuffled(values)})), "left")[0].split.by == "hash"


def test_a_split_that_cannot_be_made_is_by_hash_and_says_why() -> None:
    columns = clients(day=days(), left=["no", "yes"] * 100 + ["no"] * 200)  # the newest rows are all of one class
    task, text = draft_task(write_csv(columns), "left")
    assert task.split.by == "hash"
    assert (
        "was tried: split: valid holds one class only ('no'" in text or "was tried: split: test holds one class" in text
    )


def test_rows_that_preprocess_refuses_are_written_with_why() -> None:
    columns = clients(grade=["good"] * (ROWS - 1) + ["rare"])
    _, text = draft_task(write_csv(columns), "grade")
    assert "# preprocess refuses the rows as they are: split: " in text


# ---------------------------------------------------------------- texts


def reviews(count: int = ROWS) -> Columns:
    rng = np.random.default_rng(5)
    words = ["the", "film", "plot", "actor", "scene", "music", "was", "and", "a", "with", "in", "time", "people"]
    good = rng.integers(0, 2, count)
    told = ["great loved" if one else "boring awful" for one in good]
    texts = [f"{' '.join(rng.choice(words, 12))} {word} {' '.join(rng.choice(words, 12))}" for word in told]
    return {"review": texts, "sentiment": np.where(good, "positive", "negative")}


BESIDE: list[Columns] = [
    {},
    {"": range(ROWS)},
    {"id": [f"{row}_8.txt" for row in range(ROWS)]},
    {"length": shuffled(range(ROWS)), "city": ["Seoul", "Busan"] * (ROWS // 2)},
    {"summary": [f"a summary of what was seen there, number {row}" for row in range(ROWS)]},
    {"url": [f"https://example.org/reviews/of/films/{row}" for row in range(ROWS)]},
]


@pytest.mark.parametrize("beside", BESIDE)
def test_a_text_beside_columns_that_tell_less_is_the_feature(beside: Columns) -> None:
    task, text = draft_task(write_csv(beside | reviews()), "sentiment")
    assert (task.features.kind, task.features.text) == ("text", "review")
    assert set(prepare(task)["features"]) == {"review"}
    if "city" in beside:
        assert "# left out: [length, city]; a task reads one text, or a table (kind: tabular)" in text


def test_a_text_of_official_sides_is_split_by_them() -> None:
    """As people meet IMDB: an index, the side, the text, the label, a file's name."""
    sides = shuffled(["train", "test"] * (ROWS // 2))
    columns = {"": range(ROWS), "type": sides, **reviews(), "file": [f"{row}_3.txt" for row in range(ROWS)]}
    task, _ = draft_task(write_csv(columns), "sentiment")
    assert (task.features.text, task.split.by) == ("review", "column")
    assert set(prepare(task)["features"]) == {"review"}


def test_a_text_in_korean_is_a_text() -> None:
    rng = np.random.default_rng(6)
    good = rng.integers(0, 2, ROWS)
    fill = ["그", "영화", "에서", "배우", "와", "음악", "그리고", "장면", "이야기", "를", "본", "뒤에"]
    texts = [
        f"{' '.join(rng.choice(fill, 12))} {'재미있다' if one else '지루하다'} {row}" for row, one in enumerate(good)
    ]
    task, _ = draft_task(write_csv({"번호": range(ROWS), "document": texts, "label": good}), "label")
    assert (task.features.text, task.data.id) == ("document", "번호")


def test_a_text_that_tells_less_than_the_table_is_left_to_it() -> None:
    notes = [f"we called the customer about the bill and were told to call again, {row}" for row in range(ROWS)]
    task, _ = draft_task(write_csv(clients(note=notes)), "left")
    assert task.features.kind == "tabular"


# ---------------------------------------------------------------- real tables


def test_a_table_of_names_alone_is_refused() -> None:
    with pytest.raises(DataError, match="features: no column is left to learn from"):
        draft_task(write_csv({"town": [f"town{row}" for row in range(ROWS)], "left": clients()["left"]}), "left")


def test_a_table_with_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(DataError, match="no other column to learn from"):
        draft_task(write_csv({"client_id": range(ROWS), "left": clients()["left"]}), "left")


SHIPPED = [
    ("telco_customer_churn.csv.gz", "Churn", {"id": "customerID", "by": "hash"}),
    ("german_credit.csv.gz", "credit_risk", {"by": "hash"}),
    ("uci_default_credit_card_clients.csv.gz", "default.payment.next.month", {"id": "ID", "by": "hash"}),
    ("nsmc_ratings_test.txt.gz", "label", {"id": "id", "text": "document"}),
    ("rt_polarity.tsv.gz", "label", {"text": "text"}),
]


@pytest.mark.parametrize(("file", "target", "expected"), SHIPPED)
def test_a_shipped_table_becomes_a_task_whose_rows_can_be_split(
    real: Callable[[str], Path], file: str, target: str, expected: dict[str, str]
) -> None:
    real(file)
    task, _ = draft_task(file, target)
    prepare(task)
    seen = {"id": task.data.id, "by": task.split.by, "text": task.features.text}
    assert {key: seen[key] for key in expected} == expected
    assert task.data.drop == ()
