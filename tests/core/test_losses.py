"""What an outcome costs the model that answered."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.config import Cost, Rollout
from ratchet.core.losses import losses, measure_of
from ratchet.errors import ConfigError

COST = Cost(false_positive=1, false_negative=5)


def measure(metric=None, kind="binary", classes=("good", "bad"), cost=COST, **terms):
    return measure_of(Rollout(metric=metric, **terms), kind, classes, cost)


def test_accuracy_counts_wrong_answers():
    found = losses(measure("accuracy"), ["good", "bad", "bad"], ["good", "good", "bad"])
    assert found.tolist() == [0, 1, 0]
    assert measure("accuracy").shown(0.2) == pytest.approx(0.8)


def test_cost_is_scaled_by_the_dearest_mistake_and_shown_in_its_unit():
    found = losses(measure(), ["bad", "good", "bad"], ["good", "bad", "bad"])
    assert found.tolist() == pytest.approx([0.2, 1, 0])
    assert measure().scaled(0.02) == pytest.approx(0.004)
    assert measure().shown(0.2) == pytest.approx(1)


def test_the_cost_of_several_classes_is_the_share_of_errors():
    found = losses(measure(kind="multiclass", classes=("a", "b", "c")), ["a", "b", "c"], ["a", "c", "c"])
    assert found.tolist() == [0, 1, 0]


def test_the_loss_of_approved_looks_only_at_rows_that_were_called_negative():
    found = losses(measure("loss_of_approved"), ["good", "good", "bad", "bad"], ["good", "bad", "good", "bad"])
    assert found.tolist()[:2] == [0, 1]
    assert np.isnan(found[2:]).all()


def test_an_absolute_error_counts_up_to_the_largest():
    of = measure("absolute_error", "regression", (), largest_error=50)
    assert losses(of, [10, 10, 10, "10"], [35, 100, None, 10]).tolist()[:2] == [0.5, 1]
    assert losses(of, [10, "10"], [None, 10.0]).tolist()[1] == 0
    assert of.shown(0.5) == pytest.approx(25)


@pytest.mark.parametrize("outcome", [1, 1.0, "1", True, np.int64(1)])
def test_a_label_is_the_same_however_json_writes_it(outcome):
    assert losses(measure("accuracy", classes=(0, 1)), [1, 0], [outcome, outcome]).tolist() == [0, 1]


@pytest.mark.parametrize("outcome", [None, math.nan, "neither", 2, ""])
def test_an_outcome_that_is_missing_or_unknown_does_not_count(outcome):
    assert np.isnan(losses(measure("accuracy", classes=(0, 1)), [1], [outcome])).all()
    assert np.isnan(losses(measure("accuracy", classes=(0, 1)), [outcome], [1])).all()


def test_without_rows_there_are_no_losses():
    assert losses(measure(), [], []).tolist() == []


@given(
    st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True))),
    st.floats(0.01, 1e6, allow_infinity=False),
)
def test_a_loss_is_between_0_and_1_or_does_not_count(rows, largest):
    of = measure("absolute_error", "regression", (), largest_error=largest)
    found = losses(of, [row[0] for row in rows], [row[1] for row in rows])
    assert (np.isnan(found) | ((found >= 0) & (found <= 1))).all()


@pytest.mark.parametrize(
    ("metric", "kind", "fault"),
    [
        ("accuracy", "regression", "accuracy is not defined for regression"),
        ("loss_of_approved", "multiclass", "loss_of_approved is not defined for multiclass"),
        (None, "regression", "largest_error: missing"),
    ],
)
def test_a_metric_that_the_task_does_not_have_is_refused(metric, kind, fault):
    with pytest.raises(ConfigError, match=fault):
        measure(metric, kind)


def test_mistakes_that_cost_nothing_cannot_be_judged():
    with pytest.raises(ConfigError, match="both are 0"):
        measure(cost=Cost(false_positive=0, false_negative=0))
