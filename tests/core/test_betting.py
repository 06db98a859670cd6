"""Evidence against a claim about two means: the published formulas, and what holds of it whatever the rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.core import betting
from ratchet.core.betting import ALONE, CAP, IDLE, LINKED, Tally, evidence, stakes, wealth

SIX_VALUES = np.array([0.0, 0.1, 0.2, 0.5, 0.9, 1.0])
counts = st.lists(st.integers(0, 60), min_size=6, max_size=6)
bounds = st.floats(-0.9, 0.9)


def tally_of(champion, challenger, odds=1.0):
    sides = (np.array([side], dtype=float) for side in (champion, challenger))
    return Tally(odds, SIX_VALUES, *sides)


def written_out(rows, a, b, odds, smallest):
    """The capital process, row after row in the order of arrival (Waudby-Smith and Ramdas 2024, s. 4), and its mean."""
    together, up, down = [], [], []
    for on in stakes(smallest):
        of_challenger = 1 / math.hypot(a * (1 - a) / on, a / CAP)
        of_champion = 1 / math.hypot(b * (1 - b) / on, (1 - b) / CAP)
        linked = 1 / math.hypot(1 / (odds * of_challenger), (1 - b) / CAP)
        capitals = [1.0, 1.0, 1.0]
        for arm, loss in rows:
            if arm == "challenger":
                capitals[0] *= 1 + of_challenger * (loss - a)
                capitals[1] *= 1 + of_challenger * (loss - a)
            else:
                capitals[0] *= 1 - linked * (loss - b)
                capitals[2] *= 1 - of_champion * (loss - b)
        for part, capital in zip((together, up, down), capitals, strict=True):
            part.append(capital)
    return LINKED * np.mean(together) + ALONE * np.mean(up) + ALONE * np.mean(down) + IDLE


@pytest.mark.parametrize("above", [0.0, 0.02, -0.1])
def test_the_wealth_is_that_of_the_published_capital_process_row_by_row(above):
    rng = np.random.default_rng(0)
    rows = [("challenger" if rng.random() < 0.3 else "champion", float(rng.choice(SIX_VALUES))) for _ in range(80)]
    seen = {
        arm: [sum(row == (arm, value) for row in rows) for value in SIX_VALUES] for arm in ("champion", "challenger")
    }
    tally = tally_of(seen["champion"], seen["challenger"], odds=3 / 7)
    for b in (0.15, 0.4, 0.6):
        (found,) = wealth(tally, np.array([[b]]), above, 0.02)[0]
        assert math.exp(found) == pytest.approx(written_out(rows, b + above, b, 3 / 7, 0.02))


def test_on_losses_of_0_and_1_each_stake_is_a_likelihood_ratio():
    for mean, p in ((0.2, 0.3), (0.05, 0.5)):  # Bernoulli: stake (p - m) / (m (1 - m)) is the ratio of p to m
        stake = (p - mean) / (mean * (1 - mean))
        assert 1 + stake * (1 - mean) == pytest.approx(p / mean)
        assert 1 - stake * mean == pytest.approx((1 - p) / (1 - mean))


@given(a=st.floats(0.01, 0.99), b=st.floats(0.01, 0.99), smallest=st.floats(0.001, 0.5), odds=st.floats(0.01, 10))
@settings(deadline=None, max_examples=50)
def test_a_bet_is_fair_and_no_row_can_cost_more_than_all(a, b, smallest, odds):
    """One row of either arm, 0 or 1, by the claimed chance: the wealth stays the same in the mean, and above 0."""
    values = np.array([0.0, 1.0])
    nothing = np.zeros((1, 2))

    def after(champion, challenger):
        tally = Tally(odds, values, nothing + champion, nothing + challenger)
        return math.exp(wealth(tally, np.array([[b]]), a - b, smallest)[0, 0])

    for mean, rows in ((a, [(0, [1, 0]), (0, [0, 1])]), (b, [([1, 0], 0), ([0, 1], 0)])):
        lost, won = (after(*row) for row in rows)
        assert min(lost, won) > 0
        assert (1 - mean) * lost + mean * won == pytest.approx(1)


@given(champion=counts, challenger=counts, above=bounds, odds=st.sampled_from([1 / 19, 1 / 4, 1.0]))
@settings(deadline=None, max_examples=50)
def test_the_least_wealth_is_found(champion, challenger, above, odds):
    tally = tally_of(champion, challenger, odds)
    everywhere = np.linspace(max(0.0, -above), min(1.0, 1 - above), 2_001)[None, :]
    least = wealth(tally, everywhere, above, 0.02).min()
    (found,) = evidence(tally, above, 0.02)
    assert found <= least + 0.02 or found == pytest.approx(least, rel=1e-3)


@given(champion=counts, challenger=counts, above=bounds)
@settings(deadline=None, max_examples=50)
def test_there_is_no_evidence_for_what_the_rows_do_not_show(champion, challenger, above):
    if sum(champion) and sum(challenger):
        means = [np.dot(side, SIX_VALUES) / sum(side) for side in (champion, challenger)]
        if means[1] - means[0] <= above:
            assert evidence(tally_of(champion, challenger), above, 0.02)[0] <= 1e-6


@given(seen=counts)
@settings(deadline=None, max_examples=30)
def test_one_arm_alone_says_nothing_about_the_difference(seen):
    for tally in (tally_of(seen, [0] * 6), tally_of([0] * 6, seen)):
        assert evidence(tally, 0.0, 0.02)[0] <= 1e-6


def test_a_claim_beyond_the_scale_cannot_be_refuted_or_cannot_stand():
    tally = tally_of([1] * 6, [1] * 6)
    assert evidence(tally, 1.5, 0.02)[0] == -math.inf
    assert evidence(tally, -1.5, 0.02)[0] == math.inf


def test_many_runs_at_once_are_the_same_as_one_by_one():
    rng = np.random.default_rng(1)
    champion, challenger = (rng.integers(0, 50, (20, 6)).astype(float) for _ in range(2))
    together = evidence(Tally(0.25, SIX_VALUES, champion, challenger), 0.02, 0.02)
    alone = [evidence(Tally(0.25, SIX_VALUES, champion[at : at + 1], challenger[at : at + 1]), 0.02, 0.02)[0]
             for at in range(20)]  # fmt: skip
    assert together == pytest.approx(alone, abs=0.02)


def test_stakes_begin_below_what_matters_and_end_at_the_scale():
    for smallest in (0.0001, 0.02, 0.5, 3.0):
        found = stakes(smallest)
        assert found[0] <= smallest
        assert found[-1] >= 1
        assert len(found) < 25
    assert betting.stakes(0.02)[0] == pytest.approx(0.01)
