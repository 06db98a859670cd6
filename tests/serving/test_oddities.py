"""Cells that training gives no ground for: told on request, counted, kept, and refused where the task says so."""

from typing import Any

import pytest
import requests

from ratchet.scoring.encode import Column
from ratchet.serving.routes import Backend, Routes, Signature
from tests.serving.parts import Model, Running, gateway, serving, task

COLUMNS = {
    "x": Column("x", "number", low=0.0, high=1.0),
    "plan": Column("plan", "category", ("pro", "basic")),
    "code": Column("code", "category", ("7", "12")),
    "paid": Column("paid", "category", ("True", "False")),
    "town": Column("town", "category", ("a", "b"), has_more=True),
}
INPUTS: Any = {"x": ("number", True), "plan": ("text", False), "code": ("code", False), "paid": ("boolean", False),
               "town": ("text", False)}  # fmt: skip
KNOWN = {"x": 0.5, "plan": "pro", "code": "7", "paid": True, "town": "z"}
ODD = KNOWN | {"x": 1.6, "plan": "gold", "code": 13}
SEEN_ELSEWHERE = [{"plan": " basic "}, {"plan": None}, {"plan": "NA"}, {"code": 12}, {"code": 12.0}, {"paid": "TRUE"},
                  {"paid": 1}, {"x": 1.5}, {"x": 0}]  # fmt: skip


def ask(running: Running, *rows: dict[str, Any], **headers: str) -> requests.Response:
    return requests.post(f"{running.url}/invocations", json={"instances": list(rows)}, headers=headers, timeout=10)


def routes(model: Model) -> Routes:
    return Routes(Backend(3, model.url, Signature(INPUTS, columns=COLUMNS)))


def warnings(answer: requests.Response) -> list[Any]:
    return [[(w["column"], w["warning"]) for w in each["warnings"]] for each in answer.json()["predictions"]]


def test_odd_cells_are_told_to_who_asks_counted_and_kept() -> None:
    with serving(Model()) as model, gateway(routes(model)) as running:
        quiet = ask(running, ODD, KNOWN)
        assert [sorted(each) for each in quiet.json()["predictions"]] == [["label", "probability"]] * 2
        told = ask(running, KNOWN, ODD, **{"X-Warnings": "true"})
        assert warnings(told) == [[], [("x", "range"), ("plan", "unseen"), ("code", "unseen")]]
        figures = requests.get(f"{running.url}/metrics", timeout=10).text
        assert 'ratchet_odd_cells_total{column="plan",version="3",warning="unseen"} 2.0' in figures
        kept = [call.answers for call in running.kept.calls]
        assert [["warnings" in answer for answer in answers] for answers in kept] == [[True, False], [False, True]]
        assert "gold" not in str(kept)


def test_a_wish_for_warnings_that_is_neither_true_nor_false_is_refused() -> None:
    with serving(Model()) as model, gateway(routes(model)) as running:
        answer = ask(running, KNOWN, **{"X-Warnings": "maybe"})
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "X-Warnings")


@pytest.mark.parametrize("change", SEEN_ELSEWHERE, ids=str)
def test_another_spelling_of_what_training_saw_is_not_odd(change: dict[str, Any]) -> None:
    with serving(Model()) as model, gateway(routes(model)) as running:
        assert warnings(ask(running, KNOWN | change, **{"X-Warnings": "true"})) == [[]]


def test_the_task_may_want_each_answer_to_tell() -> None:
    with serving(Model()) as model, gateway(routes(model), task(serving={"warnings": True})) as running:
        assert warnings(ask(running, ODD | {"x": 0.5, "code": "7"})) == [[("plan", "unseen")]]


@pytest.mark.parametrize(("key", "path", "fault"), [
    ("range", "instances[1].x", "expected a number from 0 to 1.5, as training gives ground for, got 1.6"),
    ("unseen", "instances[1].plan", "expected a level that training has seen, got 'gold'"),
])  # fmt: skip
def test_odd_cells_are_refused_with_their_place_where_the_task_says_so(key: str, path: str, fault: str) -> None:
    with serving(Model()) as model, gateway(routes(model), task(features={key: "refuse"})) as running:
        answer = ask(running, KNOWN, ODD)
        assert answer.status_code == 400
        assert answer.json()["errors"][0] == {"path": path, "detail": fault}
        assert ask(running, KNOWN, **{"X-Warnings": "true"}).status_code == 200
        assert not model.calls or model.calls == [[KNOWN]]


def test_nothing_is_looked_for_where_the_task_lets_it_pass() -> None:
    about = task(features={"unseen": "pass", "range": "pass"})
    with serving(Model()) as model, gateway(routes(model), about) as running:
        assert warnings(ask(running, ODD, **{"X-Warnings": "true"})) == [[]]
        assert "ratchet_odd_cells_total{" not in requests.get(f"{running.url}/metrics", timeout=10).text
