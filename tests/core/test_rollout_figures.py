"""How often a rollout errs, and how soon it finds a loss: the benchmark of rollouts with fewer runs."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import rollout

from tests.faults.counts import times

RUNS = times(300, 10_000)


def at_most(level):
    """How many runs may err by chance if each errs with this probability: more in 1 of 10,000 tries."""
    return binom.ppf(0.9999, RUNS, level)


@pytest.mark.parametrize("percent", [5.0, 50.0])
@pytest.mark.parametrize("base", [0.05, 0.2, 0.5])
def test_equal_arms_looked_at_after_every_row_are_hardly_ever_ended(base, percent):
    case = rollout.Case(rollout.WORSE, base, 0.0, percent, 4_000)
    assert np.isfinite(rollout.first_rows(case, RUNS, seed=5)).sum() <= at_most(case.level)


@pytest.mark.parametrize("percent", [5.0, 50.0])
@pytest.mark.parametrize("base", [0.05, 0.2])
def test_a_challenger_worse_by_exactly_the_margin_hardly_ever_goes_on(base, percent):
    case = rollout.Case(rollout.HARMLESS, base, 0.02, percent, 4_000)
    assert np.isfinite(rollout.first_rows(case, RUNS, seed=6)).sum() <= at_most(case.level)


@pytest.mark.parametrize("percent", [5.0, 50.0])
@pytest.mark.parametrize(("base", "gap"), [(0.05, 0.1), (0.2, 0.1), (0.5, 0.2)])
def test_a_real_loss_is_found_within_twice_the_rows_of_the_planned_test(base, gap, percent):
    case = rollout.Case(rollout.WORSE, base, gap, percent, 0)
    found = rollout.first_rows(rollout.Case(rollout.WORSE, base, gap, percent, int(4 * case.planned)), RUNS, seed=7)
    assert np.median(found) <= 2 * case.planned


def test_a_harmless_challenger_is_let_on_within_twice_the_rows_of_the_planned_test():
    case = rollout.Case(rollout.HARMLESS, 0.2, 0.0, 50.0, 6_000, margin=0.05)
    assert np.median(rollout.first_rows(case, RUNS, seed=8)) <= 2 * case.planned


def test_the_screen_of_the_simulation_lets_no_crossing_pass():
    """The likelihood ratio that spares most looks is never below the evidence."""
    rng = np.random.default_rng(9)
    for claim in (rollout.WORSE, rollout.HARMLESS):
        case = rollout.Case(claim, 0.2, 0.0, 20.0, 0)
        rows = rng.integers(1, 400, (2, 500, 1))
        lost = [rng.binomial(rows[0], 0.35), rng.binomial(rows[1], 0.2)]
        counts = [rows[0], lost[0], rows[1], lost[1]]
        may = rollout._may_be_enough(case, counts)[:, 0]
        is_enough = rollout._is_enough(case, [each[:, 0] for each in counts])
        assert is_enough.any() or claim == rollout.HARMLESS
        assert not (is_enough & ~may).any()
