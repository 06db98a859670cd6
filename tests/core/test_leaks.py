"""Which columns give the target away, alone or together, and which only look like it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.core.leaks import find_leaks, is_too_good

ROWS = 400


def leaks(target, kind, feature="number", **columns):
    rows = pd.DataFrame(columns)
    return find_leaks(rows, dict.fromkeys(columns, feature), np.asarray(target), kind)


def names(found):
    return [leak.name for leak in found]


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


def test_a_finding_says_how_strong_it_is():
    (found,) = leaks(np.arange(ROWS) % 2, "binary", copy=np.arange(ROWS) % 2)
    assert found.sentence == "leak: copy alone predicts the target (1.000); is it known beforehand?"
    assert (found.columns, found.strength) == (("copy",), 1.0)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_number_of_which_the_classes_are_stretches_leaks(kind):
    value = np.random.default_rng(7).uniform(0, 100, 2000)
    target = ((value > 30) & (value < 60)).astype(int) if kind == "binary" else np.digitize(value, [20, 50, 90])
    assert names(leaks(target, kind, score=value)) == ["score"]


def test_a_number_that_the_target_follows_up_and_down_leaks():
    value = np.random.default_rng(8).normal(size=4000)
    assert names(leaks(value**2, "regression", root=value)) == ["root"]


def test_a_category_that_names_the_stretch_of_the_target_leaks():
    target = np.random.default_rng(9).uniform(0, 100, 2000)
    words = [f"band {value:02d}" for value in (target // 4).astype(int)]
    assert names(leaks(target, "regression", "category", band=words)) == ["band"]
    coarse = np.where(target > 50, "dear", "cheap")
    assert leaks(target, "regression", "category", price=coarse) == []


def columns(rows=1000, seed=10):
    rng = np.random.default_rng(seed)
    return {name: rng.gamma(3, size, rows).round(2) + 1 for name, size in (("a", 5), ("b", 9), ("c", 2), ("d", 4))}


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (lambda c: c["a"] + c["b"], ["a + b"]),
        (lambda c: c["a"] - c["b"], ["a + b"]),
        (lambda c: (2 * c["a"] + 3 * c["c"] - 7).round(1), ["a + c"]),
        (lambda c: c["a"] + c["b"] + c["d"], ["a + b + d"]),
        (lambda c: c["b"] * c["c"], ["b + c"]),
        (lambda c: c["a"] / c["d"] ** 2, ["a + d"]),
        (lambda c: c["a"] + c["b"] + np.random.default_rng(1).normal(0, 1, len(c["a"])), []),
        (lambda c: np.random.default_rng(2).normal(size=len(c["a"])), []),
    ],
)  # fmt: skip
def test_a_target_that_is_put_together_of_columns_is_found_with_those_columns(made, found):
    known = columns()
    assert names(leaks(made(known), "regression", **known)) == found


def test_a_sum_is_found_where_some_cells_are_missing_and_among_many_columns():
    known = columns()
    target = known["a"] + known["b"]
    known["a"] = np.where(np.arange(1000) % 50 == 0, np.nan, known["a"])
    noise = {f"x{number}": np.random.default_rng(number).normal(size=1000) for number in range(150)}
    assert names(leaks(target, "regression", **known, **noise)) == ["a + b"]


def test_a_line_through_as_many_columns_as_rows_is_no_leak():
    rng = np.random.default_rng(11)
    known = {f"x{number}": rng.normal(size=120) for number in range(90)}
    assert leaks(rng.normal(size=120), "regression", **known) == []


@pytest.mark.parametrize("data", ["iris", "wine", "digits", "breast_cancer", "diabetes"])
def test_clean_data_of_strong_columns_have_no_leak(data):
    from sklearn import datasets

    table = getattr(datasets, f"load_{data}")(as_frame=True)
    kind = {"breast_cancer": "binary", "diabetes": "regression"}.get(data, "multiclass")
    for seed in range(5):
        rows = np.random.default_rng(seed).permutation(len(table.data))[: int(0.7 * len(table.data))]
        frame, target = table.data.iloc[rows], table.target.to_numpy()[rows]
        assert find_leaks(frame, dict.fromkeys(frame.columns, "number"), target, kind) == []


@pytest.mark.parametrize(
    ("metric", "figure", "rows", "is_it"),
    [("r2", 0.99996, 100, True), ("roc_auc", 1.0, 5000, True), ("roc_auc", 1.0, 40, False), ("r2", 0.9999, 500, False),
     ("accuracy", 1.0, 500, False), ("r2", float("nan"), 500, False)],
)  # fmt: skip
def test_a_score_is_too_good_where_it_shows_as_one_and_rests_on_enough_rows(metric, figure, rows, is_it):
    assert is_too_good(metric, figure, rows) == is_it
