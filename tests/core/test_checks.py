import datetime

import pandas as pd
import pytest

from ratchet.config import Task
from ratchet.core import checks
from ratchet.errors import DataError

UNKNOWN = ["data.collected: unknown by, period, licence; say where the data come from"]
KNOWN = {"by": "us", "period": "2024", "licence": "CC0"}


def task(kind=None, **data):
    whole = {"sources": {"rows": {"uris": ["rows.csv"]}}, "target": "grade", **data}
    return Task.model_validate({"name": "small", "data": whole, "problem": {"kind": kind}})


def seen(*values, kind=None, **data):
    return checks.kind_of_target(task(kind, **data), [(value, 9) for value in values])


def refusal(*values, kind=None, **data):
    with pytest.raises(DataError) as caught:
        seen(*values, kind=kind, **data)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# ---------------------------------------------------------------- the kind of the target


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        ([1, 0], "binary", [0, 1]),
        (["yes", "no"], "binary", ["no", "yes"]),
        ([2.5, 1.5], "binary", [1.5, 2.5]),
        (["c", "a", "b"], "multiclass", ["a", "b", "c"]),
        ([3, 1, 2], "multiclass", [1, 2, 3]),
        ([3.0, 1.0, 2.0], "multiclass", [1.0, 2.0, 3.0]),
        ([1.5, 2.0, 3.0], "regression", []),
        (list(range(20)), "multiclass", list(range(20))),
        (list(range(21)), "regression", []),
        (["나", "가"], "binary", ["가", "나"]),
    ],
)
def test_the_kind_of_target_is_seen_from_its_values(values, kind, classes):
    assert seen(*values) == (kind, classes)


def test_the_kind_that_the_task_names_goes_before_what_is_seen():
    assert seen(0, 1, 2, kind="regression") == ("regression", [])
    assert seen(*range(50), kind="multiclass") == ("multiclass", list(range(50)))
    assert seen(0, 1, kind="multiclass") == ("multiclass", [0, 1])


@pytest.mark.parametrize("positive", [1, 1.0, "1", "1.0"])
@pytest.mark.parametrize(
    "values", [[0, 1], [0.0, 1.0], ["0", "1"], ["0.0", "1.0"], ["false", "true"], ["False", "True"]]
)
def test_the_positive_class_is_found_however_it_is_written(values, positive):
    assert seen(*reversed(values), positive=positive)[1] == values


@pytest.mark.parametrize(
    ("values", "positive"), [(["good", "bad"], "bad"), ([1, 0], 0), ([1, 0], "0"), ([0.5, 1.5], 0.5), (["1", "0"], 0)]
)
def test_the_positive_class_that_the_task_names_comes_last(values, positive):
    kind, classes = seen(*values, positive=positive)
    assert kind == "binary"
    assert str(classes[-1]) == str(positive)
    assert set(classes) == set(values)


def test_a_positive_class_that_is_not_there_is_refused_with_what_is():
    message = "data.positive: 'Yes' is no value of 'grade'; it holds 'no', 'yes'"
    assert refusal("no", "yes", positive="Yes") == message


def test_three_values_with_a_positive_class_are_no_binary_target():
    assert refusal("a", "b", "c", positive="a") == "data.target: 'grade' has 3 values ('a', 'b', 'c'), binary needs two"
    message = "data.target: 'grade' has 7 values (0, 1, 2, 3, 4, …), binary needs two"
    assert refusal(*range(7), kind="binary") == message


def test_a_constant_target_has_nothing_to_learn_from():
    assert refusal("yes") == "data.target: 'grade' holds only 'yes'; there is nothing to learn"
    assert refusal() == "data.target: 'grade' holds no value at all; there is nothing to learn"
    assert "only 3.5" in refusal(3.5, kind="regression")


def test_more_classes_than_a_model_can_tell_apart_are_refused():
    message = "data.target: 'grade' has more than 100 classes; "
    assert refusal(*(f"name {i}" for i in range(101))) == f"{message}does it name the rows?"
    assert refusal(*range(101), kind="multiclass") == f"{message}is it problem.kind: regression?"
    assert len(seen(*(f"name {i}" for i in range(100)))[1]) == 100


def test_a_regression_needs_numbers():
    message = "problem.kind: regression needs numbers, 'grade' holds 'high'"
    assert refusal("high", "low", kind="regression") == message


@pytest.mark.parametrize("kind", [None, "binary", "multiclass", "regression"])
def test_dates_are_nothing_that_can_be_predicted(kind):
    message = "data.target: 'grade' holds dates such as 2024-01-01; predict a number or a class instead"
    assert refusal(datetime.date(2024, 1, 1), datetime.date(2024, 1, 2), kind=kind) == message


# ---------------------------------------------------------------- findings

NOTHING = dict.fromkeys(("missing_targets", "repeated_rows", "rows_on_two_sides", "unplaced_rows"), 0)


def findings(profile=(), known=True, **counts):
    collected = KNOWN if known else {}
    return checks.findings(task(collected=collected, id="number"), profile, {"rows": 2000} | NOTHING | counts)


def test_of_clean_rows_there_is_nothing_to_say():
    assert findings(missing_ids=0, repeated_ids=0) == []
    assert findings([{"name": "age", "missing": 0.5}, {"name": "empty", "missing": 1.0}]) == []


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"missing_targets": 1200}, "1,200 rows have no target and were left out"),
        ({"unplaced_rows": 7}, "7 rows belong to no side of the split and were left out"),
        ({"repeated_rows": 1500}, "1,500 of 2,000 rows repeat the features of an earlier row"),
        (
            {"rows_on_two_sides": 50},
            "50 rows (2.5%) have twins on another side of the split; scores on test flatter the model; split by group",
        ),
        ({"missing_ids": 3}, "3 rows have no id (number)"),
        ({"repeated_ids": 4}, "4 rows repeat an id (number)"),
    ],
)
def test_what_a_user_should_know_is_said_in_a_sentence(counts, sentence):
    assert findings(**counts) == [sentence]


def test_a_column_that_is_mostly_missing_is_named():
    profile = [{"name": "age", "missing": 0.1}, {"name": "income", "missing": 0.625}]
    assert findings(profile) == ["income: 62% of the values are missing"]


def test_data_of_unknown_origin_are_a_finding():
    assert findings(known=False) == UNKNOWN


def test_no_rows_at_all_are_no_fault_of_the_findings():
    assert findings(rows=0, missing_targets=5) == ["5 rows have no target and were left out"]


def entry(name: str = "a", kind: str = "number", low: float = 0, high: float = 99, **more) -> dict:
    return {"name": name, "kind": kind, "minimum": low, "maximum": high, "distinct": 98, "missing": 0.0, **more}


@pytest.mark.parametrize("name", ["column0", "column00", "Unnamed: 0", "...1", "__index_level_0__"])
def test_a_first_column_without_a_name_is_an_index(name):
    assert "has no name" in checks.index_of_rows([entry(name, high=7), entry()], 100)


@pytest.mark.parametrize(("first", "is_one"), [
    (entry(), True), (entry("X", low=1, high=100), True), (entry(high=98), False), (entry(low=5, high=104), False),
    (entry(distinct=50), False), (entry(missing=0.1), False), (entry(kind="text", low="0", high="99"), False),
])  # fmt: skip
def test_a_first_column_that_counts_the_rows_is_an_index(first, is_one):
    assert bool(checks.index_of_rows([first, entry("b")], 100)) is is_one


@pytest.mark.parametrize(
    "first", [entry("year"), entry("Time"), entry("t"), entry("column0", "text", low="a", high="z")]
)
def test_a_first_column_of_times_or_of_texts_without_a_name_is_no_index(first):
    assert not checks.index_of_rows([first, entry("b")], 100)


def test_texts_that_all_begin_with_a_blank_name_the_separator():
    rows = pd.DataFrame({"a": [" x", " y", None], "b": [" x", "y", "z"], "c": [" 1", " 2", " 3"]})
    assert checks.padded_texts(rows, ["a", "b", "c"]) == [
        'a: each text begins with a blank, as in 1 other columns; read.sep: ", " leaves it out'
    ]
    assert checks.padded_texts(rows, ["b"]) == []


def test_spellings_that_are_read_as_one_value_are_told():
    rows = pd.DataFrame(
        {"paid": ["True", "true", "True", "False"], "plan": ["a", " a", "b", "b "], "town": list("xyzx")}
    )
    assert checks.spellings(rows, list(rows), {"?"}) == [
        "paid: 'True', 'true' are read as one value, 'True'",
        "plan: ' a', 'a' are read as one value, 'a', and 1 more such",
    ]
