"""Which gates ask for less than those of the champion, and which do not."""

import pytest

from ratchet.config import Task
from ratchet.core.yardstick import approvals_needed, compare, loosened, terms_of

FLOOR = {"metric": "roc_auc", "minimum": 0.8}
SLICED = {"metric": "roc_auc", "minimum": 0.7, "slices": ["SEX"], "min_rows": 200}


def terms(production=(), **sections):
    gates = {"staging": [], "production": list(production)} | sections.pop("gates", {})
    data = {"sources": {"t": {"uris": ["t.csv"]}}, "target": "y"}
    return terms_of(Task(name="t", data=data, gates=gates, **sections))


def said(before, now, stage="Production"):
    return loosened(before, now, stage, 3)


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (FLOOR, FLOOR, "as before"),
        (FLOOR, FLOOR | {"minimum": 0.85}, "as before"),
        (FLOOR, FLOOR | {"minimum": 0.6}, "loosened"),
        (FLOOR, FLOOR | {"point": True}, "loosened"),
        (FLOOR, {"metric": "accuracy", "minimum": 0.9}, "gone"),
        (FLOOR, None, "gone"),
        ({"metric": "ece", "maximum": 0.05}, {"metric": "ece", "maximum": 0.2}, "loosened"),
        ({"metric": "ece", "maximum": 0.05}, {"metric": "ece", "maximum": 0.01}, "as before"),
        ({"metric": "r2", "max_drop": 0.01}, {"metric": "r2", "max_drop": 0.1}, "loosened"),
        ({"metric": "r2", "max_drop": 0.01}, {"metric": "r2", "max_drop": 0.01, "against": "champion"}, "as before"),
        ({"metric": "r2", "max_drop": 0.01}, {"metric": "r2", "max_drop": 0.01, "against": "dummy"}, "gone"),
        ({"metric": "r2", "min_gain": 0.02}, {"metric": "r2", "min_gain": 0.0}, "loosened"),
        (SLICED, SLICED | {"slices": ["SEX", "AGE"]}, "as before"),
        (SLICED, SLICED | {"slices": ["AGE"]}, "loosened"),
        (SLICED, SLICED | {"min_rows": 50}, "loosened"),  # a slice that was insufficient is judged
        (SLICED, FLOOR | {"minimum": 0.7}, "gone"),
        ({"metric": "r2", "minimum": 0.1, "worst": 2}, {"metric": "r2", "minimum": 0.1, "worst": 1}, "loosened"),
        ({"metric": "r2", "minimum": 0.1, "worst": 1},
         {"metric": "r2", "minimum": 0.1, "worst": 1, "min_rows": 9000}, "loosened"),  # small slices are left out
        ({"beats": "rule"}, {"beats": "dummy"}, "gone"),
        ({"fairness": "demographic_parity_ratio", "by": "SEX", "minimum": 0.8},
         {"fairness": "demographic_parity_ratio", "by": "AGE", "minimum": 0.8}, "gone"),
        ({"latency": "one_row", "max_ratio": 1.5}, {"latency": "one_row", "max_ratio": 9}, "loosened"),
        ({"size_mb": 30}, {"size_mb": 31}, "loosened"),
        ({"age_days": 365}, {"age_days": 36}, "as before"),
        ({"serves": "uv"}, {"serves": "local"}, "gone"),
    ],
)  # fmt: skip
def test_a_gate_beside_the_champions(old, new, change):
    (row, *_) = compare(terms([old]), terms([new] if new else []))
    assert row.change == change
    assert bool(said(terms([old]), terms([new] if new else []))) == (change != "as before")


def test_a_new_gate_is_shown_and_loosens_nothing():
    (row,) = compare(terms(), terms([FLOOR]))
    assert (row.champion, row.now, row.change) == ("", "{metric: roc_auc, minimum: 0.8}", "new")
    assert said(terms(), terms([FLOOR])) == []


def test_the_sentence_has_both_gates_as_the_file_has_them():
    assert said(terms([FLOOR]), terms([FLOOR | {"minimum": 0.6}])) == [
        "gates.production: {metric: roc_auc, minimum: 0.8} of version 3 is {metric: roc_auc, minimum: 0.6}"
    ]
    assert said(terms([{"beats": "rule"}]), terms()) == ["gates.production: {beats: rule} of version 3 is gone"]


def test_the_way_to_production_leads_through_staging_and_not_the_other_way_round():
    before, now = terms([FLOOR], gates={"staging": [{"beats": "dummy"}]}), terms([FLOOR])
    assert said(before, now) == said(before, now, "Staging") == ["gates.staging: {beats: dummy} of version 3 is gone"]
    assert said(terms([FLOOR]), terms(), "Staging") == []


STATED = {"hypothesis": {"metric": "roc_auc", "minimum": 0.8}, "rule": "a > 1"}


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"problem": STATED}, {"problem": {"rule": "a > 1"}}, "hypothesis: roc_auc 0.8 of the champion is gone"),
        ({"problem": STATED}, {"problem": STATED | {"hypothesis": {"metric": "roc_auc", "minimum": 0.7}}},
         "problem.hypothesis: roc_auc 0.8 of the champion is roc_auc 0.7"),
        ({"problem": STATED}, {"problem": STATED | {"rule": "a > 9"}}, "problem.rule: 'a > 1', which the champion had"),
        ({}, {"decision": {"cost": {"false_negative": 9}}}, "decision.cost: {false_positive: 1, false_negative: 1}"),
        ({"approvals": {"production": 2}}, {"approvals": {"production": 1}}, "production: 2 of the champion is 1"),
        ({"approvals": {"production": 1}}, {"approvals": {"production": 1, "trust": "local"}}, "approvals.trust"),
        ({}, {"gates": {"accept": [{"gate": "leak", "column": "duration", "reason": "x"}]}},
         "gates.accept: leak duration is accepted, which it was not of the champion"),
    ],
)  # fmt: skip
def test_what_makes_a_gate_easier_from_outside_is_told_too(before, now, words):
    beats = [{"beats": "rule"}]
    before, now = terms(beats, **before), terms(beats, **now)
    (found,) = said(before, now)
    assert words in found
    assert said(before, before) == said(now, now) == []


def test_stricter_terms_loosen_nothing():
    now = terms([FLOOR], problem={"hypothesis": {"metric": "roc_auc", "minimum": 0.9}}, approvals={"production": 2})
    assert said(terms([FLOOR], problem={"hypothesis": {"metric": "roc_auc", "minimum": 0.8}}), now) == []


def test_another_metric_of_the_search_is_told_where_versions_keep_up_on_it():
    keeps = [{"keeps_up": "champion"}]
    (found,) = said(terms(keeps), terms(keeps, search={"metric": "accuracy"}))
    assert found == "search.metric: unset, on which versions keep up, is accuracy"


@pytest.mark.parametrize("stage", ["Staging", "Production"])
def test_a_file_that_drops_the_approvals_of_a_stage_still_needs_one_for_it(stage):
    before, now = terms(approvals={stage.lower(): 2}), terms()
    assert approvals_needed(before, now, stage, bool(said(before, now, stage)), was_approved=False) == 1
    assert approvals_needed(None, now, stage, is_loose=True, was_approved=True) == 1
    assert approvals_needed(terms(), now, stage, is_loose=True, was_approved=False) == 0
    assert approvals_needed(before, before, stage, is_loose=False, was_approved=True) == 2
