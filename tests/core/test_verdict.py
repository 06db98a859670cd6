"""Whether a rollout goes on, waits or ends, and what it says about that."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.config import Cost, Rollout
from ratchet.core import health
from ratchet.core.health import Pace
from ratchet.core.losses import measure_of
from ratchet.core.sequential import CHALLENGER, CHAMPION, Streams, add
from ratchet.core.verdict import ABORT, ADVANCE, HOLD, Seen, judge

TERMS = Rollout(metric="accuracy", margin=0.05, bake_s=60)
MEASURE = measure_of(TERMS, "binary", ("good", "bad"), Cost())


def seen_of(challenger, rows=12_000, champion=0.2, percent=20.0, failing=0.0, slow=1.0, lacking=0.3, seed=0):  # noqa: PLR0917
    """A rollout whose arms are wrong, fail and lack outcomes this often; slow: how many times the champion's time."""
    rng = np.random.default_rng(seed)
    arms = np.where(rng.random(rows) < percent / 100, CHALLENGER, CHAMPION)
    is_new = arms == CHALLENGER

    def drawn(of_challenger, of_champion):
        return rng.random(rows) < np.where(is_new, of_challenger, of_champion)

    names = arms.tolist()
    times = rng.lognormal(1, 0.4, rows) * np.where(is_new, slow, 1)
    return Seen(
        health.pace(Pace(TERMS.max_latency_ratio), times.tolist(), names),
        add(Streams(), drawn(challenger, champion).astype(float), names, percent),
        health.calls(health.Calls(), drawn(failing, 0.0).tolist(), names, percent),
        add(Streams(), drawn(lacking, 0.3).astype(float), names, percent),
    )


def said(seen, terms=TERMS, at_share_s=3_600.0, since_outcome_s=1.0):
    found = judge(terms, MEASURE, seen, at_share_s, since_outcome_s)
    return found.verdict, "; ".join(found.reasons)


def test_an_equal_challenger_goes_on():
    verdict, why = said(seen_of(0.2))
    assert verdict == ADVANCE
    assert "is not worse by the margin (margin 0.05)" in why
    assert why.startswith("the share of right decisions: 0.79")


def test_a_worse_one_is_ended_and_the_reason_has_the_figures():
    verdict, why = said(seen_of(0.35))
    assert verdict == ABORT
    assert "is surely worse" in why
    assert "the champion's 0.79" in why


def test_one_that_is_surely_worse_but_as_surely_within_the_margin_goes_on():
    assert said(seen_of(0.225, rows=200_000))[0] == ADVANCE


def counted(times, wrong=0.2, percent=20.0):
    """Both arms wrong exactly this often; times: hundreds of rows of the challenger."""
    entries = []
    for arm, rows, share in ((CHALLENGER, 100 * times, wrong), (CHAMPION, 400 * times, 0.2)):
        entries += [(percent, arm, 0.0, round(rows * (1 - share))), (percent, arm, 1.0, round(rows * share))]
    return Seen(Pace(2.0), Streams(tuple(sorted(entries))))


@pytest.mark.parametrize(("wrong", "then"), [(0.2, ADVANCE), (0.3, ABORT)])
def test_few_rows_wait_and_say_how_many_more_would_tell(wrong, then):
    first = judge(TERMS, MEASURE, counted(1, wrong), 3_600, 1)
    assert first.verdict == HOLD
    assert "100 of 200 rows with an outcome of the challenger" in first.reasons[0]
    assert first.more_rows is not None
    assert f"about {first.more_rows:,} more rows" in first.reasons[-1]
    for factor, verdict in ((0.6, HOLD), (1.5, then)):
        times = 1 + factor * first.more_rows / 500
        assert judge(TERMS, MEASURE, counted(times, wrong), 3_600, 1).verdict == verdict


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"since_outcome_s": None}, "no outcome yet"),
        ({"since_outcome_s": 100_000.0}, "no outcome for 100,000 s"),
        ({"at_share_s": 12.0}, "12 of 60 s at this share"),
        (
            {"terms": TERMS.model_copy(update={"minimum_rows": 50_000})},
            "of 50,000 rows with an outcome of the champion",
        ),
    ],
)
def test_a_step_waits_for(changes, reason):
    verdict, why = said(seen_of(0.2), **changes)
    assert verdict == HOLD
    assert reason in why


def test_a_dead_feed_holds_and_does_not_shield_a_challenger_that_fails():
    assert said(replace(seen_of(0.2), outcomes=Streams()), since_outcome_s=None)[0] == HOLD
    assert said(replace(seen_of(0.2, failing=1.0), outcomes=Streams()), since_outcome_s=None)[0] == ABORT


def test_errors_and_slowness_end_a_rollout_however_good_its_outcomes():
    verdict, why = said(seen_of(0.1, failing=0.2))
    assert verdict == ABORT
    assert "1.0% more is allowed" in why
    verdict, why = said(seen_of(0.1, slow=6.0))
    assert verdict == ABORT
    assert "more than 2 times the champion's" in why


def test_outcomes_that_are_missing_far_more_often_hold():
    verdict, why = said(seen_of(0.2, lacking=0.8))
    assert verdict == HOLD
    assert "not comparable" in why


def test_nothing_seen_yet_holds():
    verdict, why = said(Seen(Pace(2.0)), since_outcome_s=None)
    assert verdict == HOLD
    assert "0 of 200 rows with an outcome of the champion" in why


def test_what_was_seen_and_the_verdict_survive_being_written_down():
    seen = seen_of(0.2, rows=900)
    assert Seen.from_json(json.loads(json.dumps(seen.as_json()))) == seen
    found = judge(TERMS, MEASURE, Seen(Pace(2.0)), 0, None).as_json()
    assert json.loads(json.dumps(found, allow_nan=False))["look"]["difference"] is None
    assert found["verdict"] == HOLD


def test_a_cost_is_told_in_its_own_unit():
    measure = measure_of(Rollout(), "binary", ("good", "bad"), Cost(false_positive=1, false_negative=5))
    found = judge(Rollout(), measure, seen_of(0.4), 3_600, 1)
    assert found.verdict == ABORT
    assert found.reasons[0].startswith("cost per row: 2.")


@given(
    losses=st.lists(st.sampled_from([0.0, 0.2, 1.0]), max_size=40),
    arms=st.lists(st.sampled_from([CHAMPION, CHALLENGER]), min_size=40, max_size=40),
    percent=st.sampled_from([1.0, 50.0, 100.0]),
    since=st.none() | st.floats(0, 1e6),
)
@settings(deadline=None, max_examples=25)
def test_every_verdict_has_a_reason(losses, arms, percent, since):
    outcomes = add(Streams(), np.array(losses), arms[: len(losses)], percent)
    found = judge(TERMS, MEASURE, Seen(Pace(2.0), outcomes), 3_600, since)
    assert found.verdict in {ADVANCE, HOLD, ABORT}
    assert found.reasons
    assert not any("nan" in reason for reason in found.reasons)
    assert math.isnan(found.look.difference) or found.look.low <= found.look.difference
