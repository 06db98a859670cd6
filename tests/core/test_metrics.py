import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as known
from sklearn.exceptions import UndefinedMetricWarning

from ratchet.config import METRICS, Cost
from ratchet.core import metrics
from ratchet.core.metrics import Judged

KINDS = ("binary", "multiclass", "regression")
EVEN = Cost()
PROBABILITY = st.integers(1, 20).map(lambda i: i / 21) | st.floats(1e-6, 1 - 1e-6)
VALUE = st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6)
FIGURE = {"rel": 1e-6, "abs": 1e-6}


@st.composite
def binary(draw):
    rows = draw(st.lists(st.tuples(st.integers(0, 1), PROBABILITY, st.integers(0, 1)), min_size=1, max_size=60))
    truth, scores, decided = map(np.array, zip(*rows, strict=True))
    return Judged(truth, scores.astype(float), decided)


@st.composite
def multiclass(draw):
    classes = draw(st.integers(3, 5))
    label = st.integers(0, classes - 1)
    row = st.tuples(label, st.lists(PROBABILITY, min_size=classes, max_size=classes), label)
    truth, scores, decided = map(np.array, zip(*draw(st.lists(row, min_size=1, max_size=40)), strict=True))
    return Judged(truth, scores / scores.sum(axis=1, keepdims=True), decided)


@st.composite
def regression(draw):
    rows = draw(st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=60))
    truth, values = map(np.array, zip(*rows, strict=True))
    return Judged(truth, values, values)


ROWS = {"binary": binary(), "multiclass": multiclass(), "regression": regression()}


def figure(name, judged, cost=EVEN):
    return metrics.value(name, judged, cost)


def agrees(name, judged, expected):
    assert figure(name, judged) == pytest.approx(expected, **FIGURE)


# ---------------------------------------------------------------- agreement with scikit-learn

BINARY = {
    "roc_auc": lambda j: known.roc_auc_score(j.truth, j.scores),
    "average_precision": lambda j: known.average_precision_score(j.truth, j.scores),
    "accuracy": lambda j: known.accuracy_score(j.truth, j.decided),
    "balanced_accuracy": lambda j: known.balanced_accuracy_score(j.truth, j.decided),
    "f1": lambda j: known.f1_score(j.truth, j.decided, zero_division=0),
    "precision": lambda j: known.precision_score(j.truth, j.decided, zero_division=0),
    "recall": lambda j: known.recall_score(j.truth, j.decided, zero_division=np.nan),
    "log_loss": lambda j: known.log_loss(j.truth, j.scores, labels=[0, 1]),
    "brier": lambda j: known.brier_score_loss(j.truth, j.scores, labels=[0, 1], pos_label=1),
    "cost": lambda j: known.zero_one_loss(j.truth, j.decided),
}
MULTICLASS = {
    "accuracy": lambda j: known.accuracy_score(j.truth, j.decided),
    "balanced_accuracy": lambda j: known.balanced_accuracy_score(j.truth, j.decided),
    "f1": lambda j: known.f1_score(
        j.truth, j.decided, labels=range(j.scores.shape[1]), average="macro", zero_division=0
    ),
    "log_loss": lambda j: known.log_loss(j.truth, j.scores, labels=range(j.scores.shape[1])),
    "cost": lambda j: known.zero_one_loss(j.truth, j.decided),
}
REGRESSION = {
    "mae": lambda j: known.mean_absolute_error(j.truth, j.scores),
    "rmse": lambda j: known.root_mean_squared_error(j.truth, j.scores),
}


@pytest.mark.parametrize("name", BINARY)
@given(judged=ROWS["binary"])
@settings(deadline=None, max_examples=60)
def test_a_binary_metric_agrees_with_scikit_learn(name, judged):
    assume(name not in ("roc_auc", "average_precision", "recall") or judged.truth.sum() > 0)
    assume(name != "roc_auc" or judged.truth.sum() < len(judged.truth))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes that are predicted and not there
        agrees(name, judged, BINARY[name](judged))


@pytest.mark.parametrize("name", MULTICLASS)
@given(judged=ROWS["multiclass"])
@settings(deadline=None, max_examples=60)
def test_a_multiclass_metric_agrees_with_scikit_learn(name, judged):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        agrees(name, judged, MULTICLASS[name](judged))


@given(judged=ROWS["multiclass"])
@settings(deadline=None, max_examples=60)
def test_the_area_under_the_curve_of_several_classes_is_the_mean_over_those_that_are_there(judged):
    each = [
        known.roc_auc_score(judged.truth == k, judged.scores[:, k])
        for k in range(judged.scores.shape[1])
        if 0 < (judged.truth == k).sum() < len(judged.truth)
    ]
    if each:
        agrees("roc_auc", judged, np.mean(each))
    else:
        assert math.isnan(figure("roc_auc", judged))
    if len(each) == judged.scores.shape[1]:
        agrees("roc_auc", judged, known.roc_auc_score(judged.truth, judged.scores, multi_class="ovr"))


@pytest.mark.parametrize("name", REGRESSION)
@given(judged=ROWS["regression"])
@settings(deadline=None, max_examples=60)
def test_a_metric_of_regression_agrees_with_scikit_learn(name, judged):
    agrees(name, judged, REGRESSION[name](judged))


@given(judged=ROWS["regression"])
@settings(deadline=None, max_examples=60)
def test_r2_agrees_with_scikit_learn_where_the_truth_varies(judged):
    assume(np.ptp(judged.truth) > 1e-3)
    agrees("r2", judged, known.r2_score(judged.truth, judged.scores))


@given(judged=ROWS["binary"])
@settings(deadline=None, max_examples=60)
def test_the_calibration_error_is_the_gap_of_each_tenth_weighed_by_its_rows(judged):
    gap = 0.0
    for low in range(10):
        inside = [i for i, score in enumerate(judged.scores) if low <= score * 10 < low + 1]
        if inside:
            gap += len(inside) * abs(judged.scores[inside].mean() - judged.truth[inside].mean())
    agrees("ece", judged, gap / len(judged.truth))


# ---------------------------------------------------------------- by hand


def test_the_cost_is_the_mean_of_what_each_wrong_decision_costs():
    truth, decided = np.array([1, 1, 1, 1, 0, 0, 0, 0]), np.array([1, 0, 0, 0, 1, 0, 0, 0])
    judged = Judged(truth, np.full(8, 0.5), decided)
    assert figure("cost", judged, Cost(false_positive=2, false_negative=5)) == (3 * 5 + 1 * 2) / 8
    assert figure("cost", judged, Cost(false_positive=0, false_negative=5)) == 15 / 8
    assert figure("cost", judged) == 1 - figure("accuracy", judged) == 0.5


def test_the_cost_of_several_classes_is_the_share_of_errors_whatever_the_two_costs():
    judged = Judged(np.array([0, 1, 2, 2]), np.full((4, 3), 1 / 3), np.array([0, 2, 2, 0]))
    assert figure("cost", judged, Cost(false_positive=7, false_negative=9)) == 0.5


def test_a_probability_of_nought_or_one_costs_much_but_not_infinitely():
    judged = Judged(np.array([1, 0]), np.array([0.0, 1.0]), np.array([0, 1]))
    assert 10 < figure("log_loss", judged) < 20
    assert figure("ece", judged) == 1.0


def test_equal_scores_count_half():
    assert figure("roc_auc", Judged(np.array([0, 1, 0, 1]), np.full(4, 0.3), np.zeros(4))) == 0.5


@given(judged=ROWS["binary"])
@settings(deadline=None, max_examples=60)
def test_turning_the_scores_round_turns_the_area_under_the_curve_round(judged):
    assume(0 < judged.truth.sum() < len(judged.truth))
    turned = Judged(judged.truth, -judged.scores, judged.decided)
    assert figure("roc_auc", turned) == pytest.approx(1 - figure("roc_auc", judged))


# ---------------------------------------------------------------- where a metric is not defined

NO_SCORE = np.array([0.2, 0.7, 0.7])
UNDEFINED = {
    "roc_auc of positives only": ("roc_auc", Judged(np.ones(3, int), NO_SCORE, np.ones(3, int))),
    "roc_auc of negatives only": ("roc_auc", Judged(np.zeros(3, int), NO_SCORE, np.ones(3, int))),
    "average_precision without a positive": ("average_precision", Judged(np.zeros(3, int), NO_SCORE, np.ones(3, int))),
    "recall without a positive": ("recall", Judged(np.zeros(3, int), NO_SCORE, np.ones(3, int))),
    "roc_auc of one class of three": ("roc_auc", Judged(np.ones(3, int), np.full((3, 3), 1 / 3), np.ones(3, int))),
    "r2 of a constant": ("r2", Judged(np.full(3, 4.0), NO_SCORE, NO_SCORE)),
}


@pytest.mark.parametrize("case", UNDEFINED)
def test_a_metric_is_nan_where_it_is_not_defined(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(figure(*UNDEFINED[case]))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_every_metric_of_a_kind_of_task_has_a_figure_and_no_other_has(kind, data):
    found = metrics.usual(kind, data.draw(ROWS[kind]), EVEN)
    assert set(found) == {name for name, metric in METRICS.items() if kind in metric.kinds}
    assert all(isinstance(value, float) for value in found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_answer_is_better_than_a_poor_one_by_every_metric(kind):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2 if kind == "binary" else 3, 90)
    sure = {"binary": np.where(truth, 0.99, 0.01), "multiclass": np.eye(3)[truth], "regression": truth.astype(float)}
    vague = {"binary": rng.random(90), "multiclass": rng.dirichlet(np.ones(3), 90), "regression": rng.random(90)}
    poor = Judged(truth, vague[kind], vague[kind] if kind == "regression" else (truth + (rng.random(90) < 0.4)) % 2)
    perfect = Judged(truth, sure[kind], sure[kind] if kind == "regression" else truth)
    for name, value in metrics.usual(kind, perfect, EVEN).items():
        other = figure(name, poor)
        assert value != other
        assert (value > other) == METRICS[name].higher_is_better, name


# ---------------------------------------------------------------- intervals


def sample(kind, rows, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "regression":
        truth = rng.normal(size=rows)
        values = truth + rng.normal(size=rows)
        return Judged(truth, values, values)
    if kind == "binary":
        scores = rng.random(rows)
        return Judged((rng.random(rows) < scores).astype(int), scores, (scores > 0.4).astype(int))
    scores = rng.dirichlet(np.ones(3), rows)
    truth = (scores.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
    return Judged(truth, scores, scores.argmax(axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_an_interval_holds_its_figure_and_more_rows_make_it_narrower(kind):
    widths = {}
    for rows in (200, 3000):
        judged = sample(kind, rows)
        found = metrics.intervals(kind, judged, EVEN, seed=1, draws=200)
        for name, value in metrics.usual(kind, judged, EVEN).items():
            low, high = found[name]
            # Bootstrap draws are worse calibrated than the rows that they are drawn from, by a hair.
            assert low - (0.02 if name == "ece" else 0) <= value <= high, name
            widths.setdefault(name, []).append(high - low)
    assert all(few > many > 0 for few, many in widths.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_intervals_and_another_seed_others(kind):
    judged = sample(kind, 150)
    once, again, other = (metrics.intervals(kind, judged, EVEN, seed, draws=60) for seed in (1, 1, 2))
    assert once == again
    assert once != other


def test_nineteen_of_twenty_intervals_hold_the_truth():
    inside = 0
    for seed in range(100):
        judged = sample("regression", 150, seed)
        low, high = metrics.intervals("regression", judged, EVEN, seed, draws=80)["mae"]
        inside += low <= math.sqrt(2 / math.pi) <= high  # the mean of |N(0, 1)|
    assert inside >= 85


def test_an_undefined_metric_has_an_undefined_interval():
    judged = Judged(np.zeros(20, int), np.linspace(0, 1, 20), np.zeros(20, int))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        found = metrics.intervals("binary", judged, EVEN, 1, draws=50)
    assert all(map(math.isnan, found["roc_auc"]))
    assert found["accuracy"] == (1.0, 1.0)


def test_draws_without_the_rare_class_are_left_out_of_its_interval():
    truth = np.zeros(40, int)
    truth[0] = 1
    judged = Judged(truth, np.linspace(1, 0, 40), truth)
    low, high = metrics.intervals("binary", judged, EVEN, 1, draws=100)["roc_auc"]
    assert 0.9 < low <= high <= 1.0
