"""What callers get while the version in Production is withdrawn: a 503 that says so, or the task's rule."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

from ratchet.core import baselines
from ratchet.scoring.encode import Column
from ratchet.serving import openapi
from ratchet.serving.fallback import Rule
from ratchet.serving.routes import Backend, Routes, Signature, Withdrawn
from tests.serving.parts import INPUTS, Model, gateway, serving, task

AT = "2026-05-03T14:00:00Z"
ROWS = {"dataframe_records": [{"x": 0.9, "note": "a", "who": "k7"}, {"x": 0.1}, {"x": 0.9, "note": None}]}


def last(kind: str = "binary", classes: tuple[Any, ...] = (0, 1)) -> Backend:
    return Backend(3, "", Signature(INPUTS, kind=kind, classes=classes), ({"x": 0.5, "note": "서울"},))


def withdrawn(**more: Any) -> Routes:
    return Routes(withdrawn=Withdrawn(3, AT, last(**more)))


def by_rule(rule: str, **more: Any) -> Any:
    return task(problem={"rule": rule}, serving={"fallback": "rule"}, **more)


def ask(url: str, body: Any = ROWS) -> requests.Response:
    return requests.post(f"{url}/invocations", json=body, timeout=30)


def test_callers_are_told_at_once_which_version_was_withdrawn_and_when_but_not_why():
    with gateway(withdrawn()) as running:
        answer = ask(running.url)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.elapsed.total_seconds() < 2, "nobody waits for a version that is not to come back"
        assert answer.json()["detail"] == (
            f"version 3 was withdrawn at {AT}, and no other version is in Production; the reason is on the ledger"
        )
        ready = requests.get(f"{running.url}/ready", timeout=10)
        assert (ready.status_code, ready.json()["detail"]) == (503, answer.json()["detail"])
        page = requests.get(f"{running.url}/openapi.json", timeout=10).json()
        assert page == openapi.document(running.gateway.task, last(), "who"), "what to send stays to be read"
        assert running.kept.calls == []


def test_a_request_on_its_way_is_answered_and_the_next_one_is_told():
    with serving(Model()) as model, gateway(Routes(model.backend(3))) as running:
        assert ask(running.url).status_code == 200
        running.gateway.route(withdrawn())
        assert ask(running.url).status_code == 503
        running.gateway.route(Routes(model.backend(4)))
        assert ask(running.url).headers["X-Model-Version"] == "4"


def test_the_rule_answers_where_the_task_says_so_and_is_told_from_a_model_everywhere():
    with gateway(withdrawn(), by_rule("x > 0.5 and note == 'a'")) as running:
        answer = ask(running.url)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == [
            {"label": 1, "probability": None, "fallback": "rule"},
            {"label": 0, "probability": None, "fallback": "rule"},
            {"label": 0, "probability": None, "fallback": "rule"},
        ]
        assert (answer.headers["X-Model-Version"], answer.headers["X-Arm"]) == ("none", "rule")
        (call,) = running.kept.calls
        assert (call.version, call.arm, call.status, len(call.rows), call.entities[0]) == (0, "rule", 200, 3, "k7")
        metrics = requests.get(f"{running.url}/metrics", timeout=10).text
        assert 'ratchet_rows_total{arm="rule",version="0"} 3.0' in metrics
        assert 'ratchet_decisions_total{arm="rule",label="1",version="0"} 1.0' in metrics
        ready = requests.get(f"{running.url}/ready", timeout=10)
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "version": None, "fallback": "rule"})


def test_what_the_last_version_could_not_read_the_rule_does_not_answer_either():
    with gateway(withdrawn(), by_rule("x > 0.5")) as running:
        answer = ask(running.url, {"dataframe_records": [{"x": "much"}]})
        assert (answer.status_code, answer.json()["detail"]) == (
            400, "dataframe_records[0].x: expected a number, got 'much'")  # fmt: skip


def test_who_asks_for_reasons_gets_none_of_the_rule():
    explains = Withdrawn(3, AT, Backend(3, "", Signature(INPUTS, explains=True, classes=(0, 1))))
    with gateway(Routes(withdrawn=explains), by_rule("x > 0.5")) as running:
        answer = ask(running.url, {**ROWS, "params": {"explain": True}})
        assert [row["reasons"] for row in answer.json()["predictions"]] == [[], [], []]


@pytest.mark.parametrize(
    ("kind", "classes", "rule", "answers"),
    [
        ("regression", (), "x * 2", [{"value": 1.0}, {"value": None}]),
        ("multiclass", ("good", "bad"), "where(missing(note), 'bad', 'good')",
         [{"label": "good", "probabilities": None}, {"label": "bad", "probabilities": None}]),
        ("multiclass", (1, 2), "where(missing(note), 1, 2)",
         [{"label": 2, "probabilities": None}, {"label": 1, "probabilities": None}]),
        ("multiclass", ("good", "bad"), "where(missing(note), 'so so', 'good')",
         [{"label": "good", "probabilities": None}, {"label": None, "probabilities": None}]),
        ("binary", ("no", "yes"), "x > 0.4",
         [{"label": "yes", "probability": None}, {"label": "no", "probability": None}]),
    ],
)  # fmt: skip
def test_the_rule_answers_in_the_form_of_the_model_for_each_kind_of_target(kind, classes, rule, answers):
    found = Rule.of(by_rule(rule), Withdrawn(3, AT, last(kind, classes)))
    assert found
    assert found.answers([[0.5, "a"], [None, None]]) == [{**answer, "fallback": "rule"} for answer in answers]
    assert json.dumps(found.answers([[0.5, None]]))


@pytest.mark.parametrize(
    ("kind", "column", "train", "rule", "sent"),
    [
        ("boolean", Column("c", "category", ("true", "false")), "true", "c == 'true'", [True, "TRUE", " true", "true"]),
        ("boolean", Column("c", "category", ("False", "True")), "True", "c == 'True'", [True, "true", "True"]),
        ("boolean", None, "true", "c == 'true'", [True, "true"]),
        ("numeral", Column("c", "category", (3.0, 4.0)), 3, "c == 3", [3, 3.0]),
        ("code", Column("c", "category", ("7", "8")), "7", "c == '7'", [7, 7.0, "7", "7.0"]),
        ("code", Column("c", "category", ("007", "8")), "007", "c == '007'", [7, "007"]),
        ("code", None, "7", "c == '7'", [7, 7.0, "7"]),
        ("text", Column("c", "category", ("서울",)), "서울", "c == '서울'", ["서울", "\u1109\u1165\u110b\u116e\u11af"]),
        ("text", Column("c", "category", ("a",)), "b", "c == 'b'", ["b"]),
        ("text", Column("c", "category", ("a",)), None, "missing(c)", [None, "NA"]),
        ("number", None, 0.5, "c == 0.5", [0.5]),
    ],
)  # fmt: skip
def test_the_rule_reads_each_kind_of_cell_as_it_did_where_it_was_judged(kind, column, train, rule, sent):
    judged = baselines.rule(rule, pd.DataFrame({"c": [train, None]}), np.zeros(2), "binary", (0, 1))
    assert judged.decided[0] == 1
    signature = Signature({"c": (kind, False)}, classes=(0, 1), columns={"c": column} if column else {})
    found = Rule.of(by_rule(rule), Withdrawn(3, AT, Backend(3, "", signature)))
    assert found
    assert [answer["label"] for answer in found.answers([[value] for value in sent])] == [1] * len(sent)


def test_cells_that_training_gives_no_ground_for_are_told_and_refused_while_the_rule_answers():
    signature = Signature(INPUTS, classes=(0, 1), columns={"x": Column("x", "number", low=0.0, high=1.0)})
    routes = Routes(withdrawn=Withdrawn(3, AT, Backend(3, "", signature)))
    body = {"dataframe_records": [{"x": 9.5}]}
    with gateway(routes, by_rule("x > 0.5")) as running:
        told = requests.post(f"{running.url}/invocations", json=body, headers={"X-Warnings": "true"}, timeout=30)
        assert told.json()["predictions"][0]["warnings"] == [{"column": "x", "warning": "range"}]
    with gateway(routes, by_rule("x > 0.5", features={"range": "refuse"})) as running:
        assert ask(running.url, body).status_code == 400


def test_a_rule_that_does_not_fit_the_inputs_leaves_callers_with_the_503(caplog):
    with gateway(withdrawn(), by_rule("income > 3")) as running:
        assert ask(running.url).status_code == 503
    assert "serving.fallback: the rule does not fit the inputs: in 'income > 3'" in caplog.text


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ({}, "serving.fallback: rule, and there is none; write problem.rule, or leave fallback out"),
        ({"problem": {"rule": "who > 3"}}, "serving.fallback: the rule reads 'who', which is no input of the model"),
    ],
)
def test_a_fallback_without_a_rule_that_can_answer_is_a_fault_of_the_file(sections, fault):
    with pytest.raises(ValueError, match=fault):
        task(serving={"fallback": "rule"}, **sections)
