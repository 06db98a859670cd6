import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.scoring import predict
from ratchet.scoring.encode import Column, TableEncoder
from ratchet.scoring.margin import Constant, TableDot
from ratchet.scoring.predict import Calibration, Scorer, sigmoid, softmax

MARGIN = st.floats(-1e308, 1e308)
ENCODER = TableEncoder((Column("x", "number"),), {"x": "number"})


def line(outputs=1):
    """A model whose margins are x (of several classes: x, 2 x, ...)."""
    none = np.zeros((0, outputs))
    weights = np.arange(1.0, outputs + 1)[None, :]
    return TableDot(
        np.array([False]), np.zeros(1), np.ones(1), weights, 0 * weights, none, np.zeros(0, int), np.zeros(outputs)
    )


def rows(*values):
    return pd.DataFrame({"x": np.array(values, dtype=float)})


# ---------------------------------------------------------------- sigmoid and softmax


@given(st.lists(MARGIN, min_size=1))
@settings(deadline=None)
def test_no_margin_is_too_large_for_a_probability(margins):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sigmoid(np.array(margins))
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(np.argsort(found[np.argsort(margins)], kind="stable"), np.arange(len(margins)))


@given(st.floats(-30, 30))
@settings(deadline=None)
def test_a_probability_and_its_log_odds_belong_together(margin):
    probability = float(sigmoid(np.array(margin)))
    assert np.log(probability / (1 - probability)) == pytest.approx(margin, rel=1e-3, abs=1e-9)
    assert probability + float(sigmoid(np.array(-margin))) == pytest.approx(1)


@given(st.lists(st.lists(st.floats(-1e307, 1e307), min_size=3, max_size=3), min_size=1, max_size=20))
@settings(deadline=None)
def test_the_probabilities_of_several_classes_add_up_to_one(margins):
    margins = np.array(margins)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = softmax(margins)
    assert found.shape == margins.shape
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found[np.arange(len(margins)), margins.argmax(axis=1)], found.max(axis=1))


@given(st.floats(-300, 300), st.floats(-1000, 1000))
@settings(deadline=None)
def test_two_classes_by_softmax_are_one_by_sigmoid(margin, shift):
    both = softmax(np.array([[shift, shift + margin]]))
    np.testing.assert_allclose(both[0, 1], sigmoid(np.array(margin)), atol=1e-9)


# ---------------------------------------------------------------- answers

BINARY = Scorer("binary", ("no", "yes"), ENCODER, line(), Calibration(2.0, -1.0), threshold=0.3)
THREE = Scorer("multiclass", (1, 2, 30), ENCODER, line(3), Calibration(0.5))
VALUE = Scorer("regression", (), ENCODER, line())


def test_a_binary_answer_is_a_label_and_the_probability_of_the_positive_class():
    answers = BINARY.predict(rows(-1, 0.5, 3))
    assert [answer["label"] for answer in answers] == ["no", "yes", "yes"]
    expected = 1 / (1 + np.exp(-(2 * np.array([-1, 0.5, 3]) - 1)))
    np.testing.assert_allclose([answer["probability"] for answer in answers], expected)
    assert all(set(answer) == {"label", "probability"} for answer in answers)


def test_a_probability_of_just_the_threshold_is_positive():
    even = Scorer("binary", (0, 1), ENCODER, line(), threshold=0.5)
    assert [answer["label"] for answer in even.predict(rows(0, -1e-9))] == [1, 0]
    always = Scorer("binary", (0, 1), ENCODER, line(), threshold=0.0)
    assert always.predict(rows(-1000))[0] == {"label": 1, "probability": 0.0}


def test_an_answer_of_several_classes_names_the_likeliest_and_the_probability_of_each():
    low, high = THREE.predict(rows(-4, 4))
    assert (low["label"], high["label"]) == (1, 30)
    assert list(low["probabilities"]) == ["1", "2", "30"]
    assert sum(low["probabilities"].values()) == pytest.approx(1)
    assert low["probabilities"]["1"] == max(low["probabilities"].values())


def test_the_answer_of_a_regression_is_the_value_itself():
    assert VALUE.predict(rows(-4, 2.5)) == [{"value": -4.0}, {"value": 2.5}]


@pytest.mark.parametrize("scorer", [BINARY, THREE, VALUE], ids=lambda scorer: scorer.kind)
@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=8))
@settings(deadline=None, max_examples=60)
def test_every_row_gets_an_answer_that_json_can_hold(scorer, values):
    answers = scorer.predict(rows(*values))
    assert len(answers) == len(values)
    assert json.loads(json.dumps(answers, allow_nan=False)) == answers


@given(st.lists(st.floats(-50, 50), min_size=1))
@settings(deadline=None)
def test_the_label_follows_from_the_probability_and_the_threshold(values):
    for answer in BINARY.predict(rows(*values)):
        assert (answer["label"] == "yes") == (answer["probability"] >= 0.3)
    for answer in THREE.predict(rows(*values)):
        assert answer["probabilities"][str(answer["label"])] == max(answer["probabilities"].values())


@pytest.mark.parametrize("scorer", [BINARY, THREE, VALUE], ids=lambda scorer: scorer.kind)
@given(
    slope=st.floats(1e-3, 100), intercept=st.floats(-9, 9), threshold=st.floats(0, 1),
    values=st.lists(st.floats(-1e30, 1e30), max_size=5),
)  # fmt: skip
@settings(deadline=None, max_examples=25)
def test_a_scorer_read_back_is_the_scorer_that_was_saved(tmp_path_factory, scorer, slope, intercept, threshold, values):
    folder = tmp_path_factory.mktemp("state")
    model = Scorer(scorer.kind, scorer.classes, ENCODER, scorer.model, Calibration(slope, intercept), threshold)
    model.save(folder / "deep" / "state")
    again = predict.load(folder / "deep" / "state")
    assert (again.kind, again.classes, again.encoder) == (model.kind, model.classes, model.encoder)
    assert (again.calibration, again.threshold) == (model.calibration, model.threshold)
    np.testing.assert_array_equal(again.scores(rows(*values)), model.scores(rows(*values)))


def test_labels_keep_their_type_and_their_script(tmp_path):
    for classes in (("거절", "승인"), (0, 1), (1.5, 2.5)):
        Scorer("binary", classes, ENCODER, Constant(np.array([3.0]))).save(tmp_path)
        (answer,) = predict.load(tmp_path).predict(rows(1))
        assert answer["label"] == classes[1]
        assert type(answer["label"]) is type(classes[1])
    Scorer("binary", ("거절", "승인"), ENCODER, Constant(np.array([3.0]))).save(tmp_path)
    assert "승인" in (tmp_path / "scorer.json").read_text(encoding="utf-8")  # a person can read the state
