import datetime
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# ---------------------------------------------------------------- leaks

ROWS = 400


def leaks(target, kind, feature="number", **columns):
    rows = pd.DataFrame(columns)
    return checks.leaks(rows, dict.fromkeys(columns, feature), np.asarray(target), kind)


def names(found):
    return [
        re.match(r"leak: (\w+) alone predicts the target \([\d.]+\); is it known beforehand\?$", s)[1] for s in found
    ]


def targets(kind, rng, rows=ROWS):
    return rng.normal(size=rows) if kind == "regression" else rng.integers(0, 2 if kind == "binary" else 3, rows)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_copy_of_the_target_leaks_also_turned_round_and_in_another_unit(kind):
    rng = np.random.default_rng(1)
    target = targets(kind, rng)
    noise = rng.normal(size=ROWS)
    found = leaks(target, kind, copy=target, noise=noise, inverted=-target, other_unit=1000.0 * target + 5)
    assert names(found) == ["copy", "inverted", "other_unit"]


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_category_that_names_the_class_leaks(kind):
    target = targets(kind, np.random.default_rng(2))
    words = np.array(["거절", "accepted", "pending"])[target]
    noise = np.random.default_rng(3).choice(["a", "b", "c"], ROWS)
    assert names(leaks(target, kind, "category", status=words, noise=noise)) == ["status"]
    several = [f"{word} {i % 4}" for i, word in enumerate(words)]
    assert names(leaks(target, kind, "category", reason=several)) == ["reason"]


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("feature", ["number", "category"])
def test_a_column_that_is_filled_in_for_one_class_only_leaks(feature, known):
    rng = np.random.default_rng(4)
    target = targets("binary", rng)
    value = rng.normal(50, 9, ROWS) if feature == "number" else rng.choice(["x", "y"], ROWS)
    filled = pd.Series(value).where(target == known)
    assert names(leaks(target, "binary", feature, recovered=filled)) == ["recovered"]


def test_a_category_leaks_also_where_what_is_missing_stands_for_one_of_its_classes():
    target = np.arange(ROWS) % 2
    half = np.arange(ROWS) % 4 == 0
    words = np.where(target == 1, "defaulted", np.where(half, "paid back", None))
    assert names(leaks(target, "binary", "category", ended=words)) == ["ended"]


@given(st.integers(0, 10**9), st.sampled_from(["binary", "multiclass", "regression"]), st.integers(2, 300))
@settings(deadline=None, max_examples=150)
def test_noise_is_no_leak_however_few_the_rows_and_many_the_levels(seed, kind, rows):
    rng = np.random.default_rng(seed)
    target = targets(kind, rng, rows)
    if kind == "binary" and seed % 3 == 0:
        target = np.where(rng.random(rows) < 0.02, 1, 0)
    levels = rng.integers(1, 120)
    numbers = np.where(rng.random(rows) < rng.random(), np.nan, rng.normal(size=rows))
    words = rng.choice(np.array([*map(str, range(levels)), None], dtype=object), rows)
    if kind != "regression" or rows >= 12:  # of a handful of values one order in many is the right one
        assert leaks(target, kind, number=numbers, code=rng.integers(0, levels, rows)) == []
    assert leaks(target, kind, "category", words=words) == []


def test_a_useful_column_is_no_leak():
    rng = np.random.default_rng(5)
    odds = rng.normal(size=2000)
    target = (rng.random(2000) < 1 / (1 + np.exp(-4 * odds))).astype(int)
    assert leaks(target, "binary", score=odds) == []
    assert leaks(odds, "regression", score=odds + 0.2 * rng.normal(size=2000)) == []


def test_a_column_that_tells_one_class_of_three_apart_is_no_leak():
    rng = np.random.default_rng(6)
    target = targets("multiclass", rng)
    assert leaks(target, "multiclass", petal=np.where(target == 0, 1.0, 5.0) + rng.random(ROWS)) == []


def test_columns_that_hold_nothing_or_one_value_are_no_leak():
    target = np.arange(100) % 2
    for kind in ("binary", "regression"):
        assert leaks(target, kind, empty=np.full(100, np.nan), constant=np.ones(100)) == []
        assert leaks(target, kind, "category", empty=np.full(100, None), constant=np.full(100, "a")) == []


def test_texts_are_not_looked_at():
    assert leaks(np.arange(100) % 2, "binary", "text", text=["no", "yes"] * 50) == []


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
            "leak: 50 rows (2.5%) have twins on another side of the split; scores on test flatter the model;"
            " split by group",
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


def test_spellings_that_are_read_as_one_value_are_told():
    rows = pd.DataFrame(
        {"paid": ["True", "true", "True", "False"], "plan": ["a", " a", "b", "b "], "town": list("xyzx")}
    )
    assert checks.spellings(rows, list(rows), {"?"}) == [
        "paid: 'True', 'true' are read as one value, 'True'",
        "plan: ' a', 'a' are read as one value, 'a', and 1 more such",
    ]
