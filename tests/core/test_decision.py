import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ratchet.config import Cost
from ratchet.core.decision import calibrate, cheapest_threshold, choose_threshold
from ratchet.scoring.predict import Calibration

COSTS = st.builds(Cost, false_positive=st.integers(0, 9) | st.floats(0, 50), false_negative=st.integers(0, 9))
MARGIN = st.floats(-1e6, 1e6).filter(lambda m: m == 0 or abs(m) > 1e-6) | st.integers(-3, 3).map(float)


def columns(rows):
    return map(np.array, zip(*rows, strict=True))


# ---------------------------------------------------------------- the threshold


def cost_of(threshold, probabilities, truth, cost):
    called = probabilities >= threshold
    wrong = np.where(called & (truth == 0), cost.false_positive, 0) + np.where(
        ~called & (truth == 1), cost.false_negative, 0
    )
    return wrong.mean()


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40), COSTS)
@example([(1 - 2**-52, 0), (1 - 2**-53, 1)], Cost())  # neighbours, as of margins near 36
@example([(0.5, 0), (0.5 + 2**-53, 1)], Cost())
@example([(0.0, 0), (5e-324, 1)], Cost())
@settings(deadline=None, max_examples=300)
def test_no_other_threshold_costs_less(rows, cost):
    probabilities, truth = columns(rows)
    chosen, candidates, costs = choose_threshold(probabilities, truth, cost)
    every = np.unique([0.0, 1.0, *probabilities, *np.nextafter(probabilities, 2).clip(max=1)])
    least = min(cost_of(threshold, probabilities, truth, cost) for threshold in every)
    assert cost_of(chosen, probabilities, truth, cost) == pytest.approx(least, abs=1e-9)
    assert 0 <= chosen <= 1
    assert chosen in candidates
    for candidate, said in zip(candidates, costs, strict=True):
        assert said == pytest.approx(cost_of(candidate, probabilities, truth, cost), abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=40), COSTS, st.randoms())
@settings(deadline=None)
def test_the_order_of_the_rows_does_not_change_the_threshold(rows, cost, random):
    shuffled = random.sample(rows, len(rows))
    chosen, again = (choose_threshold(*columns(each), cost)[0] for each in (rows, shuffled))
    assert chosen == again


def test_of_equally_cheap_thresholds_the_one_nearest_to_an_even_chance_is_taken():
    probabilities, truth = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    assert choose_threshold(probabilities, truth, Cost())[0] == 0.5
    assert choose_threshold(probabilities, truth, Cost(false_positive=0, false_negative=0))[0] == 0.5


def test_a_dear_miss_lowers_the_threshold_and_a_dear_alarm_raises_it():
    rng = np.random.default_rng(0)
    probabilities = rng.random(4000)
    truth = (rng.random(4000) < probabilities).astype(int)
    for cost in (Cost(false_negative=9), Cost(), Cost(false_positive=9)):
        chosen = choose_threshold(probabilities, truth, cost)[0]
        assert chosen == pytest.approx(cheapest_threshold(cost), abs=0.08)


@given(COSTS, st.floats(0, 1))
@settings(deadline=None)
def test_from_the_cheapest_threshold_on_calling_a_row_positive_is_no_dearer(cost, probability):
    called, left = (1 - probability) * cost.false_positive, probability * cost.false_negative
    if probability >= cheapest_threshold(cost):
        assert called <= left + 1e-9
    else:
        assert left <= called + 1e-9


# ---------------------------------------------------------------- calibration


def log_loss(probabilities, truth):
    columns = np.column_stack([1 - probabilities, probabilities]) if probabilities.ndim == 1 else probabilities
    return -np.log(np.maximum(columns[np.arange(len(truth)), truth], 1e-12)).mean()


def smoothed_loss(probabilities, truth):
    """Log loss of Platt's targets, which are a little short of 0 and 1."""
    positives = truth.sum()
    target = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (len(truth) - positives + 2))
    sure = probabilities.clip(1e-12, 1 - 1e-12)
    return -(target * np.log(sure) + (1 - target) * np.log(1 - sure)).mean()


@given(st.lists(st.tuples(MARGIN, st.integers(0, 1)), min_size=2, max_size=50))
@settings(deadline=None, max_examples=150)
def test_calibration_never_worsens_the_loss_that_it_minimises(rows):
    margins, truth = columns(rows)
    found = calibrate(margins, truth)
    before, after = (smoothed_loss(c.probabilities(margins), truth) for c in (Calibration(), found))
    assert after <= before + 1e-6


@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.5, 1, 4, 30]), st.floats(-3, 3))
@settings(deadline=None, max_examples=40)
def test_calibration_improves_or_keeps_the_log_loss_of_two_classes(seed, strength, shift):
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=400)
    truth = (rng.random(400) < 1 / (1 + np.exp(-odds))).astype(int)
    margins = strength * odds + shift
    found = calibrate(margins, truth)
    assert log_loss(found.probabilities(margins), truth) <= log_loss(Calibration().probabilities(margins), truth) + 1e-3
    assert found.probabilities(margins).mean() == pytest.approx(truth.mean(), abs=0.01)


@given(
    st.lists(
        st.tuples(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.integers(0, 2)), min_size=1, max_size=40
    )
)
@settings(deadline=None, max_examples=100)
def test_calibration_improves_or_keeps_the_smoothed_log_loss_of_several_classes(rows):
    margins, truth = columns(rows)
    unsure = 1 / (len(truth) + 2)
    target = (1 - unsure) * np.eye(3)[truth] + unsure / 3

    def loss(calibration):
        return -(target * np.log(np.maximum(calibration.probabilities(margins), 1e-300))).sum(axis=1).mean()

    assert loss(calibrate(margins, truth)) <= loss(Calibration()) + 1e-4


def test_classes_told_apart_without_a_mistake_are_not_called_certain():
    truth = np.arange(26) % 3
    margins = 2.0 * np.eye(3)[truth]
    sure = calibrate(margins, truth).probabilities(margins).max(axis=1)
    assert sure.max() == pytest.approx(1 - (1 / 28) * 2 / 3, abs=1e-3)


@pytest.mark.parametrize("strength", [0.1, 1, 8])
def test_margins_that_are_too_bold_or_too_timid_are_put_right(strength):
    rng = np.random.default_rng(4)
    odds = rng.normal(size=(20_000, 3))
    truth = (np.exp(odds).cumsum(axis=1) < rng.random((20_000, 1)) * np.exp(odds).sum(axis=1, keepdims=True)).sum(
        axis=1
    )
    assert calibrate(strength * odds, truth).slope == pytest.approx(1 / strength, rel=0.1)
    label = (rng.random(20_000) < 1 / (1 + np.exp(-odds[:, 0] - 1))).astype(int)
    found = calibrate(strength * odds[:, 0] - 5, label)
    np.testing.assert_allclose([found.slope, found.intercept], [1 / strength, 1 + 5 / strength], rtol=0.1)


@pytest.mark.parametrize("margins", [np.full(6, 0.7), np.full((6, 3), 0.2), np.zeros(6)])
def test_constant_margins_are_left_alone(margins):
    truth = np.array([0, 1, 0, 1, 1, 0])
    assert calibrate(margins, truth) == Calibration()


@pytest.mark.parametrize("label", [0, 1])
def test_margins_of_one_class_only_are_left_alone(label):
    assert calibrate(np.linspace(-1, 1, 9), np.full(9, label)) == Calibration()


def test_margins_that_point_the_wrong_way_are_left_for_the_gates_to_see():
    margins = np.linspace(-2, 2, 50)
    assert calibrate(margins, (margins < 0).astype(int)) == Calibration()


@given(st.lists(st.tuples(MARGIN, st.integers(0, 1)), min_size=1, max_size=50), st.lists(MARGIN, min_size=1))
@settings(deadline=None, max_examples=150)
def test_probabilities_lie_between_nought_and_one_and_grow_with_the_margin(rows, asked):
    probabilities = calibrate(*columns(rows)).probabilities(np.sort(asked))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities) >= 0).all()


@given(
    st.lists(
        st.tuples(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.integers(0, 2)), min_size=1, max_size=30
    )
)
@settings(deadline=None, max_examples=60)
def test_calibration_never_changes_which_of_several_classes_is_the_likeliest(rows):
    margins, truth = columns(rows)
    probabilities = calibrate(margins, truth).probabilities(margins)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    top = margins.argmax(axis=1)
    np.testing.assert_allclose(probabilities[np.arange(len(truth)), top], probabilities.max(axis=1))
