"""Whether a challenger answers at all, in time, and like the champion."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.core.health import Calls, Pace, calls, errors, has_failed, missing, pace, shares, slower
from ratchet.core.sequential import CHALLENGER, CHAMPION, Streams, add

SURE = 0.005  # a tenth of alpha, as verdict.py asks


def arms_of(rng, rows, percent):
    return np.where(rng.random(rows) < percent / 100, CHALLENGER, CHAMPION).tolist()


def failing_until_found(before, percent, share_of_failures=1.0, seed=0):
    """How many failed answers it takes, after so many good ones of the challenger."""
    rng = np.random.default_rng(seed)
    arms = arms_of(rng, int(before / percent * 100), percent)
    seen = calls(Calls(), [False] * len(arms), arms, percent)
    for failed in range(1, 3_000):
        row = arms_of(rng, 1, percent)
        while row != [CHALLENGER]:
            seen, row = calls(seen, [False], row, percent), arms_of(rng, 1, percent)
        seen = calls(seen, [rng.random() < share_of_failures], row, percent)
        if errors(seen, 0.01).beyond(SURE):
            return failed
    return math.inf


@pytest.mark.parametrize("percent", [5.0, 50.0])
@pytest.mark.parametrize("before", [0, 300, 5_000])
def test_a_challenger_that_always_fails_is_found_within_dozens_of_calls(before, percent):
    assert failing_until_found(before, percent) <= 40


def test_one_failure_in_ten_is_found_within_hundreds():
    assert failing_until_found(0, 50.0, 0.1) <= 400


@pytest.mark.parametrize("share_of_failures", [0.0, 0.01, 0.2])
def test_arms_that_fail_alike_are_left_alone(share_of_failures):
    rng, found = np.random.default_rng(1), 0
    for _ in range(20):
        seen = Calls()
        for _ in range(20):
            arms = arms_of(rng, 300, 10.0)
            seen = calls(seen, (rng.random(300) < share_of_failures).tolist(), arms, 10.0)
            found += errors(seen, 0.01).beyond(SURE)
    assert found == 0


@given(
    rows=st.lists(st.tuples(st.booleans(), st.sampled_from([CHAMPION, CHALLENGER])), max_size=30),
    before=st.integers(485, 500),
)
@settings(deadline=None, max_examples=40)
def test_calls_one_by_one_tell_the_same_as_together(rows, before):
    start = calls(Calls(), [False] * before, [CHALLENGER] * before, 5.0)
    failed, arms = [row[0] for row in rows], [row[1] for row in rows]
    together, one_by_one = calls(start, failed, arms, 5.0), start
    for bad, arm in rows:
        one_by_one = calls(one_by_one, [bad], [arm], 5.0)
    assert together == one_by_one


def test_what_counts_as_a_failure_of_the_model():
    good = {"label": "bad", "probability": 0.3}
    assert not has_failed(200, [good, good])
    assert has_failed(200, [good, {"label": "bad", "probability": math.nan}])
    assert has_failed(200, [{"label": None}])
    assert has_failed(200, [])
    assert has_failed(500, [])
    assert has_failed(504, [])
    assert not has_failed(400, [])  # the caller's fault
    assert not has_failed(429, [])


# ---------------------------------------------------------------- the time of an answer


def paced(times, percent, rows, seed=0, spread=0.5, ratio=2.0):
    rng = np.random.default_rng(seed)
    arms = arms_of(rng, rows, percent)
    latencies_ms = rng.lognormal(1, spread, rows) * np.where(np.array(arms) == CHALLENGER, times, 1.0)
    return pace(Pace(ratio), latencies_ms.tolist(), arms)


@pytest.mark.parametrize(("percent", "rows"), [(5.0, 1_500), (50.0, 400)])
def test_a_slow_challenger_is_found_and_an_equal_one_is_left_alone(percent, rows):
    assert slower(paced(5, percent, rows)).beyond(SURE)
    assert not slower(paced(1, percent, 20 * rows)).beyond(SURE)


def test_one_that_hangs_is_found_within_dozens_of_calls():
    seen = pace(Pace(2.0), [3.0] * 200, [CHAMPION] * 200)
    assert slower(pace(seen, [3.0, math.inf] * 15, [CHAMPION, CHALLENGER] * 15)).beyond(SURE)


def test_just_within_the_allowed_ratio_is_hardly_ever_called_too_slow():
    wrong = sum(slower(paced(2.0, 50.0, 400, seed)).beyond(0.05) for seed in range(200))
    assert wrong <= 15  # 10 are due at the most


def test_slow_after_a_long_good_time_is_found():
    seen = paced(1, 50.0, 20_000)
    later = [3.0, 30.0] * 150
    assert slower(pace(seen, later, [CHAMPION, CHALLENGER] * 150)).beyond(SURE)


@given(
    rows=st.lists(
        st.tuples(st.floats(0.1, 100) | st.just(math.nan), st.sampled_from([CHAMPION, CHALLENGER])), max_size=40
    ),
    scale=st.sampled_from([0.5, 4.0, 1024.0]),
)
@settings(deadline=None)
def test_times_one_by_one_and_in_another_unit_tell_the_same(rows, scale):
    times, arms = [row[0] for row in rows], [row[1] for row in rows]
    together, one_by_one = pace(Pace(2.0), times, arms), Pace(2.0)
    for latency_ms, arm in rows:
        one_by_one = pace(one_by_one, [latency_ms], [arm])
    assert together == one_by_one
    scaled = pace(Pace(2.0), [latency_ms * scale for latency_ms in times], arms)
    assert scaled.whole == together.whole


# ---------------------------------------------------------------- outcomes that are missing, shares of decisions


def test_outcomes_that_are_missing_in_one_arm_are_seen():
    rng = np.random.default_rng(2)
    arms = arms_of(rng, 2_000, 20.0)

    def awaited(of_challenger):
        lacks = rng.random(2_000) < np.where(np.array(arms) == CHALLENGER, of_challenger, 0.3)
        return missing(add(Streams(), lacks.astype(float), arms, 20.0))

    assert awaited(0.7).beyond(0.05)
    assert not awaited(0.3).beyond(0.05)


def test_the_share_of_each_decision_is_told_with_its_bounds():
    found = shares({CHAMPION: {"good": 900, "bad": 100}, CHALLENGER: {"good": 40}}, 0.05)
    assert found["bad"][CHAMPION].mean == pytest.approx(0.1)
    assert found["bad"][CHAMPION].low < 0.1 < found["bad"][CHAMPION].high
    assert found["bad"][CHALLENGER].mean == 0
    assert found["bad"][CHALLENGER].high > 0.05
    assert found["good"][CHALLENGER].rows == 40
