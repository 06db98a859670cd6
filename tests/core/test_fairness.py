"""Figures of fairness: what the bounds are drawn from is what fairlearn says."""

import warnings

import numpy as np
import pytest

from ratchet.config import FAIRNESS
from ratchet.core import fairness
from ratchet.core.bootstrap import Plan, estimate, plain


def rows(seed, groups=3, n=400, more=0.0):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, n)
    truth = (rng.random(n) < 0.4).astype(int)
    return truth, (rng.random(n) < 0.3 + 0.3 * truth + more * (group == 0)).astype(int), group


@pytest.mark.parametrize("name", FAIRNESS)
def test_the_bounds_are_drawn_from_the_figure_that_fairlearn_gives(name):
    for seed in range(5):
        truth, decided, group = rows(seed)
        found = plain(fairness.statistic(name, truth, decided, group), len(truth))
        assert found == pytest.approx(fairness.figure(name, truth, decided, group)), name
        often = np.random.default_rng(seed).integers(1, 4, len(truth))
        (weighed,) = fairness.statistic(name, truth, decided, group)(often[None, :].astype(float))
        repeated = [np.repeat(column, often) for column in (truth, decided, group)]
        assert weighed == pytest.approx(fairness.figure(name, *repeated)), name


def test_a_group_without_a_rate_has_no_figure():
    truth, decided, group = np.array([0, 1, 0]), np.array([0, 1, 1]), np.array([0, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(plain(fairness.statistic("equal_opportunity_difference", truth, decided, group), 3))


@pytest.mark.parametrize(
    ("name", "truly"), [("demographic_parity_difference", 0.25), ("demographic_parity_ratio", 0.42 / 0.67)]
)
def test_a_gap_as_wide_as_the_threshold_seldom_passes_and_seldom_fails(name, truly):
    below = above = 0
    for seed in range(80):
        truth, decided, group = rows(seed, groups=2, more=0.25)
        found = estimate(fairness.statistic(name, truth, decided, group), Plan(400, seed, draws=400), "one-sided")
        below, above = below + (found.high < truly), above + (found.low > truly)
    assert max(below, above) <= 10  # 4 are due
