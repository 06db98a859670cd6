"""The gates that every task has: what closes them, what opens them, and what is said."""

import math

import pytest
from pydantic import ValidationError

from ratchet.config import Acceptance
from ratchet.core.findings import hypothesis_found, leaks_found, unmatched, verdicts
from ratchet.core.leaks import Leak

STATED = {"text": "", "metric": "roc_auc", "minimum": 0.8, "value": 0.7, "interval": (0.6, 0.75)}
DURATION, SUM = Leak(("duration",), 0.999), Leak(("casual", "registered"), 1.0)


def accept(**values):
    return Acceptance(**{"gate": "leak", "reason": "known before"} | values)


def said(found, hypothesis=None, *given):
    return [(each.kind, each.verdict, each.accepted) for each in verdicts(found, hypothesis, given)]


def test_a_leak_closes_until_it_is_accepted_by_its_own_name():
    found = leaks_found([DURATION, SUM], {}, {})
    assert said(found) == [("leak", "fail", ""), ("leak", "fail", "")]
    given = (accept(column="duration"), accept(column="casual + registered", reason=" a test "))
    assert said(found, None, *given) == [("leak", "pass", "known before"), ("leak", "pass", "a test")]
    assert said(found, None, given[0]) == [("leak", "pass", "known before"), ("leak", "fail", "")]


def test_a_refusal_ends_with_the_line_that_accepts_it():
    found = verdicts(leaks_found([DURATION, SUM], {}, {}), None, ())
    assert found[0].sentence == (
        "leak: duration alone predicts the target (0.999); is it known beforehand? if not, name it in data.drop; if so:"
        " gates: {accept: [{gate: leak, column: duration, reason: …}]}"
    )
    assert found[1].sentence.endswith('column: "casual + registered", reason: …}]}')


def test_a_perfect_score_is_a_leak_of_its_own_unless_a_column_explains_it():
    perfect = {"r2": 0.99999}, {"r2": 400}
    found = leaks_found([], *perfect)
    assert [(each.subject, each.figure) for each in found] == [("r2", 0.99999)]
    assert said(found, None, accept(metric="r2")) == [("leak", "pass", "known before")]
    assert [each.subject for each in leaks_found([SUM], *perfect)] == ["casual + registered"]
    assert leaks_found([], {"roc_auc": 0.93}, {"roc_auc": 400}) == []


@pytest.mark.parametrize(
    ("verdict", "value", "closes"),
    [("refuted", 0.7, "fail"), ("open", 0.79, "pass"), ("holds", 0.9, "pass"), ("open", math.nan, "insufficient")],
)
def test_only_a_hypothesis_that_is_refuted_or_cannot_be_figured_closes(verdict, value, closes):
    hypothesis = STATED | {"verdict": verdict, "value": value}
    found = hypothesis_found(hypothesis)
    assert said(found, hypothesis) == [("leak", "pass", ""), ("hypothesis", closes, "")] or closes == "fail"
    if closes == "fail":
        assert ("hypothesis", "fail", "") in said(found, hypothesis)
        given = accept(gate="hypothesis", reason="a first version")
        assert ("hypothesis", "pass", "a first version") in said(found, hypothesis, given)


def test_a_task_without_a_hypothesis_is_asked_for_none():
    assert said([]) == [("leak", "pass", "")]


def test_an_acceptance_of_what_was_not_found_is_told():
    given = (accept(column="durration"), accept(gate="hypothesis"), accept(column="duration"))
    assert unmatched(leaks_found([DURATION], {}, {}), given) == [
        "gates.accept[0]: no leak 'durration' was found; did you mean 'duration'?",
        "gates.accept[1]: no hypothesis is refuted; take it out, or it lets pass what comes later",
    ]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"gate": "leak", "column": "a", "reason": " "}, "reason: say why it is accepted"),
        ({"gate": "leak", "column": "a"}, "reason"),
        ({"gate": "leak", "reason": "x"}, "by its column or by its metric"),
        ({"gate": "leak", "column": "a", "metric": "r2", "reason": "x"}, "by its column or by its metric"),
        ({"gate": "hypothesis", "column": "a", "reason": "x"}, "column does not go with hypothesis"),
        ({"gate": "beats", "reason": "x"}, "gate"),
    ],
)
def test_an_acceptance_names_what_it_accepts_and_why(values, fault):
    with pytest.raises(ValidationError, match=fault):
        Acceptance(**values)
