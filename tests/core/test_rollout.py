"""What is known of a rollout, whichever way it came to be known; and the terms that were frozen."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.config import Rollout, Task
from ratchet.core import rollout
from ratchet.core.rollout import Answered, Judged, Terms, freeze, share_at, thaw, with_calls, with_pairs, with_rows
from ratchet.errors import ConfigError

DATA = {"sources": {"rows": {"uris": ["rows.csv"]}}, "target": "left", "id": "customer"}


def task(**terms: object) -> Task:
    cost = {"cost": {"false_positive": 1, "false_negative": 5}}
    return Task.model_validate({"name": "churn", "data": DATA, "rollout": terms, "decision": cost})


def terms(**said: object) -> Terms:
    return thaw(freeze(task(**said), "binary", [0, 1]))


# ---------------------------------------------------------------- terms


def test_terms_come_back_as_they_were_frozen_and_any_change_changes_their_digest() -> None:
    frozen = freeze(task(margin=0.1, percents=[1, 50, 100]), "binary", ["No", "Yes"])
    found = thaw(frozen)
    assert found.rollout == Rollout(margin=0.1, percents=(1, 50, 100))
    assert (found.measure.name, found.measure.largest, found.measure.classes) == ("cost", 5, ("No", "Yes"))
    assert found.entity == "customer"
    assert thaw(freeze(task(key="household"), "binary", [0, 1])).entity == "household"
    other = freeze(task(margin=0.2, percents=[1, 50, 100]), "binary", ["No", "Yes"])
    assert rollout.digest(frozen) != rollout.digest(other)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"percents": [100]}, "leaves nobody to compare with"),
        ({"metric": "absolute_error", "largest_error": 1}, "binary"),
    ],
)
def test_terms_by_which_nothing_can_be_judged_are_refused(said: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        freeze(task(**said), "binary", [0, 1])


def test_shares_follow_one_another_and_a_shadow_has_none() -> None:
    found = terms(percents=[5, 20, 100])
    assert [found.after(percent) for percent in (0, 5, 20, 100)] == [5, 20, 100, None]
    assert terms(shadow=True, percents=[100]).percents == (0,)


def test_a_request_belongs_to_the_share_that_held_when_it_came() -> None:
    began, percents = ["10:00", "11:00", "12:00"], [0.0, 5.0, 10.0]
    asked = ["09:59", "10:30", "11:00", "11:59", "12:00", "13:00"]
    assert [share_at(began, percents, at) for at in asked] == [0, 0, 5, 5, 10, 10]


# ---------------------------------------------------------------- what is known

LABELS = st.sampled_from([None, 0, 1])
ROWS = st.lists(
    st.tuples(st.sampled_from(["champion", "challenger"]), st.sampled_from([5.0, 10.0]), st.sampled_from([None, 0, 1]),
              st.lists(LABELS, min_size=1, max_size=4)),
    max_size=30,
)  # fmt: skip


Row = tuple[str, float, int | None]


def answered(rows: list[Row], labels: list[object], former: list[object], is_new: bool) -> Answered:
    answers = [None if called is None else {"label": called, "probability": 0.5} for _, _, called in rows]
    return Answered([row[1] for row in rows], [row[0] for row in rows], answers, labels, former, [is_new] * len(rows))


@given(ROWS)
def test_what_was_corrected_counts_as_it_is_now(given_rows: list[tuple[str, float, int | None, list[int]]]) -> None:
    found = terms(metric="accuracy")
    rows: list[Row] = [row[:3] for row in given_rows]
    stories = [row[3] for row in given_rows]
    step_by_step = Judged.from_json("", found)
    former: list[object] = [None] * len(rows)
    for turn in range(4):
        labels: list[object] = [story[min(turn, len(story) - 1)] for story in stories]
        step_by_step = with_rows(step_by_step, found, answered(rows, labels, former, turn == 0))
        former = labels
    at_once = with_rows(Judged.from_json("", found), found, answered(rows, former, [None] * len(rows), True))
    assert step_by_step.seen.outcomes == at_once.seen.outcomes
    assert step_by_step.seen.awaited == at_once.seen.awaited
    assert step_by_step.made == at_once.made


def test_what_is_known_comes_back_from_the_database_as_it_was() -> None:
    found = terms()
    judged = with_calls(Judged.from_json("", found), [True, False, False], ["challenger", "champion", "challenger"],
                        [math.nan, 10.0, 20.0], [5.0, 5.0, 5.0])  # fmt: skip
    judged = with_rows(judged, found, answered([("challenger", 5.0, 1)], [0], [None], True))
    judged = with_pairs(judged, found, [({"label": 1}, {"label": 1}), ({"label": 1}, {"label": 0})])
    assert Judged.from_json(judged.as_json(), found) == judged
    json.loads(judged.as_json(), parse_constant=pytest.fail)
    arms = rollout.arms_of(judged, found)
    assert arms["challenger"] == {
        "rows": 1, "outcomes": 1, "calls": 2, "loss": 1.0, "errors": 0.5, "latency_ms": 20.0, "decisions": {"1": 1.0},
    }  # fmt: skip
    assert arms["champion"]["loss"] is None
    assert judged.agreed == (1, 2)


def test_values_agree_within_the_margin() -> None:
    said = thaw(freeze(task(metric="absolute_error", largest_error=10, margin=0.5, shadow=True), "regression", []))
    pairs = [({"value": 1.0}, {"value": 1.4}), ({"value": 1.0}, {"value": 1.6})]
    assert with_pairs(Judged.from_json("", said), said, pairs).agreed == (1, 2)


def test_kept_looks_grow_rarer_so_that_they_stay_few() -> None:
    elapsed, kept = 0.0, 0
    while elapsed < 60 * 86_400:
        elapsed, kept = elapsed + rollout.interval_s(elapsed, 10), kept + 1
    assert kept < 4_500
