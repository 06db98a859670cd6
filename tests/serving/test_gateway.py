"""The gateway in front of real servers: batches, faults, arms, and what is on record of them."""

import concurrent.futures
import itertools
import json
import math
import socket
import threading
import time

import pytest
import requests

from ratchet.serving.problems import Problem
from ratchet.serving.routes import Routes, Trial
from tests.serving.parts import Model, gateway, serving, task


@pytest.fixture
def model():
    with serving(Model()) as running:
        yield running


@pytest.fixture
def other():
    with serving(Model(label=0)) as running:
        yield running


def ask(url, *xs, session=requests, **more):
    rows = [{"x": x} if not isinstance(x, dict) else x for x in xs]
    return session.post(f"{url}/invocations", json={"dataframe_records": rows, **more}, timeout=30)


def probabilities(answer):
    assert answer.status_code == 200, answer.text
    return [row["probability"] for row in answer.json()["predictions"]]


def at_once(url, *asked):
    with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda xs: ask(url, *xs), asked))


def test_an_answer_says_who_gave_it(model):
    with gateway(Routes(model.backend(3))) as running:
        answer = ask(running.url, 0.25, 0.5)
        assert probabilities(answer) == [0.25, 0.5]
        assert answer.headers["X-Model-Version"] == "3"
        assert answer.headers["X-Arm"] == "champion"
        assert len(answer.headers["X-Request-Id"]) == 36
        (call,) = running.kept.calls
        assert (call.request_id, call.version, call.arm, call.status) == (
            answer.headers["X-Request-Id"], 3, "champion", 200)  # fmt: skip
        assert [dict(row) for row in call.rows] == [{"x": 0.25, "note": None}, {"x": 0.5, "note": None}]
        assert call.latency_ms > 0


def test_what_queues_while_the_model_is_busy_travels_together_and_comes_back_to_whom_it_belongs(model):
    model.delay_s = 0.1
    with gateway(Routes(model.backend(1))) as running:
        asked = [[n / 1000 + part / 100_000 for part in range(n % 4 + 1)] for n in range(40)]
        answers = at_once(running.url, *asked)
        assert [probabilities(answer) for answer in answers] == asked
        assert len(model.calls) < 10
        assert sum(map(len, model.calls)) == sum(map(len, asked))
        assert len({call.request_id for call in running.kept.calls}) == 40


def test_a_batch_is_no_larger_than_the_task_says_and_a_larger_request_goes_whole(model):
    model.delay_s = 0.05
    with gateway(Routes(model.backend(1)), task(serving={"max_rows": 8})) as running:
        at_once(running.url, *[[0.1] * 3 for _ in range(12)], [0.2] * 20)
        assert max(len(call) for call in model.calls if call[0]["x"] == 0.1) <= 8
        assert [len(call) for call in model.calls if call[0]["x"] == 0.2] == [20]


def test_requests_with_other_parameters_do_not_travel_together(model):
    model.delay_s = 0.05
    with gateway(Routes(model.backend(1, explains=True))) as running:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda n: ask(running.url, 0.5, params={"explain": n % 2 == 0}), range(12)))
        assert {json.dumps(params) for params in model.params} == {"null", '{"explain": true}'}


def test_a_row_on_which_the_model_fails_spoils_nobody_elses(model):
    model.fails, model.delay_s = (lambda row: row["x"] > 1), 0.05
    with gateway(Routes(model.backend(1))) as running:
        answers = at_once(running.url, *[[0.5] for _ in range(10)], [2.0], *[[0.25] for _ in range(10)])
        assert [answer.status_code for answer in answers] == [200] * 10 + [500] + [200] * 10
        failed = answers[10]
        assert failed.headers["Content-Type"] == "application/problem+json"
        assert "Traceback" not in failed.text and "2.0" not in failed.text
        assert failed.headers["X-Request-Id"] in failed.json()["instance"]
        assert [call.status for call in running.kept.calls].count(500) == 1
        assert 'ratchet_model_errors_total{arm="champion",kind="model",version="1"} 1.0' in requests.get(
            f"{running.url}/metrics", timeout=5).text  # fmt: skip


def test_who_is_to_blame_for_a_batch_is_found_in_few_calls(model):
    model.fails, model.delay_s = (lambda row: row["x"] > 1), 0.05
    with gateway(Routes(model.backend(1))) as running:
        answers = at_once(running.url, *[[2.0 if n == 40 else 0.5] for n in range(64)])
        assert [answer.status_code for answer in answers].count(200) == 63
        assert len(model.calls) < 30


def test_answers_whose_sum_is_too_large_are_answers(model):
    with gateway(Routes(model.backend(1))) as running:
        assert probabilities(ask(running.url, 1.7e308, 1.7e308)) == [1.7e308, 1.7e308]


@pytest.mark.parametrize(
    "said",
    ['{"predictions": [{"label": 1, "probability": NaN}]}', '{"predictions": []}', '{"predictions": [{"label": 1}]}x',
     '{"predictions": [{"label": [], "probability": 0.5}]}', "<html>",
     '{"predictions": [{}]}', '{"predictions": [{"value": null}]}', '{"predictions": [7]}'],
)  # fmt: skip
def test_an_answer_that_is_none_is_a_fault_of_the_model(model, said):
    model.says = said
    with gateway(Routes(model.backend(1))) as running:
        assert ask(running.url, 0.5).status_code == 500


def test_a_fault_of_the_model_is_logged_under_the_requests_id_and_without_its_values(model, caplog):
    model.fails = lambda row: True
    with gateway(Routes(model.backend(1))) as running:
        number = ask(running.url, 0.8125).headers["X-Request-Id"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert number in line and "0.8125" not in line


def test_a_balancer_that_knows_no_model_server_is_no_fault_of_the_model(model):
    model.refuses = 503
    with gateway(Routes(model.backend(1))) as running:
        answer = ask(running.url, 0.5)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        threading.Timer(0.3, setattr, [model, "refuses", 0]).start()
        assert probabilities(ask(running.url, 0.5)) == [0.5]


def test_an_answer_that_takes_too_long_is_a_504(model):
    model.delay_s = 3
    with gateway(Routes(model.backend(1)), task(serving={"timeout_s": 0.3})) as running:
        began = time.monotonic()
        answer = ask(running.url, 0.5)
        assert answer.status_code == 504
        assert time.monotonic() - began < 2


def test_without_a_model_it_is_503_and_not_ready():
    with gateway(Routes()) as running:
        answer = ask(running.url, 0.5)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert requests.get(f"{running.url}/ready", timeout=5).status_code == 503
        assert requests.get(f"{running.url}/ping", timeout=5).status_code == 200


def test_a_model_server_that_is_gone_is_waited_for_and_another_takes_over(model, other):
    with gateway(Routes(model.backend(1))) as running:
        dead = model.backend(1)
        running.gateway.route(Routes(dead.__class__(1, "http://127.0.0.1:9", dead.signature)))
        time.sleep(0.1)
        threading.Timer(0.5, running.gateway.route, [Routes(other.backend(1))]).start()
        assert probabilities(ask(running.url, 0.5)) == [0.5]
        assert len(other.calls) == 1


def test_rows_on_which_the_process_ends_are_not_asked_for_ever(model):
    asked = []

    def listen(listener):
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            asked.append(caller.recv(65536))
            caller.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, args=[listener], daemon=True).start()
        backend = model.backend(1)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with gateway(Routes(backend.__class__(1, url, backend.signature))) as running:
            assert ask(running.url, 0.5).status_code == 500
    assert len(asked) == 3


def test_a_full_queue_is_a_429(model):
    model.delay_s = 0.5
    with gateway(Routes(model.backend(1)), task(serving={"max_waiting": 3})) as running:
        answers = at_once(running.url, *[[0.5] for _ in range(8)])
        statuses = [answer.status_code for answer in answers]
        assert 200 in statuses
        full = [answer for answer in answers if answer.status_code == 429]
        assert full and full[0].headers["Retry-After"] == "1"


def test_a_caller_who_leaves_while_it_waits_is_not_computed(model, caplog):
    model.delay_s = 0.5
    with gateway(Routes(model.backend(1))) as running:
        first = threading.Thread(target=ask, args=[running.url, 0.1])
        first.start()
        time.sleep(0.15)
        with pytest.raises(requests.Timeout):
            requests.post(f"{running.url}/invocations", json={"dataframe_records": [{"x": 0.9}]}, timeout=0.1)
        first.join()
        ask(running.url, 0.2)
        assert [row["x"] for call in model.calls for row in call] == [0.1, 0.2]
        assert running.door.waiting == 0
        assert not caplog.records  # it is no fault


def test_outcomes_that_wait_for_their_database_hold_up_no_large_body(model):
    is_back = threading.Event()

    class Slow:
        def accept(self, body):
            is_back.wait(20)
            return {"accepted": 1}

    with gateway(Routes(model.backend(1)), outcomes=Slow()) as running:
        with concurrent.futures.ThreadPoolExecutor(80) as pool:
            sent = [pool.submit(requests.post, f"{running.url}/outcomes", json={}, timeout=30) for _ in range(80)]
            time.sleep(0.5)
            rows = {"dataframe_records": [{"x": 0.5}] * 8_000}
            answer = requests.post(f"{running.url}/invocations", json=rows, timeout=10)
            is_back.set()
            statuses = [each.result().status_code for each in sent]
        assert answer.status_code == 200
        assert (statuses.count(200), statuses.count(429)) == (64, 16)


# ---------------------------------------------------------------- two versions side by side


def trial(percent, **more):
    return Trial(7, "salt", percent, **more)


def theirs(percent, count=400):
    return {f"c{n}" for n in range(count) if trial(percent).has(f"c{n}")}


def test_an_entity_stays_with_its_arm_and_a_growing_share_keeps_its_own(model, other):
    shares = [theirs(percent) for percent in (5, 10, 20, 50, 100)]
    assert all(small <= large for small, large in itertools.pairwise(shares))
    assert [abs(len(share) / 400 - p) < 0.06 for share, p in zip(shares, (0.05, 0.1, 0.2, 0.5, 1), strict=True)]
    routes = Routes(model.backend(1), other.backend(2), trial(20))
    with gateway(routes) as running:
        rows = [{"x": 0.5, "who": f"c{n}"} for n in range(60)]
        for _ in range(2):
            answer = ask(running.url, *rows)
            labels = [row["label"] for row in answer.json()["predictions"]]
            assert labels == [0 if f"c{n}" in theirs(20) else 1 for n in range(60)]
            assert (answer.headers["X-Model-Version"], answer.headers["X-Arm"]) == ("1,2", "champion,challenger")
        calls = running.kept.calls
        assert {(call.arm, call.version, call.rollout) for call in calls} == {("champion", 1, 7), ("challenger", 2, 7)}
        kept = {call.arm: set(call.entities) for call in calls}
        assert kept["challenger"] == {f"c{n}" for n in range(60)} & theirs(20)
        positions = sorted(place for call in calls[-2:] for place in call.positions)
        assert positions == list(range(60))


def test_large_bodies_that_wait_for_a_busy_model_are_bounded_together(model, monkeypatch):
    monkeypatch.setattr("ratchet.serving.upload.TOGETHER", 2)
    model.delay_s = 1
    rows = [0.5] * 40_000
    with gateway(Routes(model.backend(1)), task(serving={"max_body_mb": 0.5})) as running:
        statuses = [answer.status_code for answer in at_once(running.url, *[rows] * 6)]
        assert statuses.count(200) >= 1 and statuses.count(429) >= 1
        assert set(statuses) == {200, 429}
        assert running.door.uploads.held == 0
        assert ask(running.url, 0.5).status_code == 200


@pytest.mark.parametrize("how", ["fails", "hangs", "is gone", "answers NaN"])
def test_what_the_challenger_fails_the_champion_answers_and_it_is_on_record(model, other, how):
    if how == "fails":
        other.fails = lambda row: True
    elif how == "hangs":
        other.delay_s = 5
    elif how == "answers NaN":
        other.says = '{"predictions": [{"label": 0, "probability": NaN}]}'
    backend = other.backend(2)
    if how == "is gone":
        backend = backend.__class__(2, "http://127.0.0.1:9", backend.signature)
    with gateway(Routes(model.backend(1), backend, trial(100)), task(serving={"timeout_s": 2})) as running:
        answer = ask(running.url, 0.5)
        assert probabilities(answer) == [0.5]
        assert answer.headers["X-Arm"] == "champion"
        assert [(call.arm, call.status >= 500) for call in running.kept.calls] == [
            ("challenger", True), ("champion", False)]  # fmt: skip


def test_a_version_that_is_let_go_still_answers_who_came_before(model, other):
    other.delay_s = 5
    routes = Routes(model.backend(1), other.backend(2), trial(100))
    with gateway(routes, task(serving={"timeout_s": 2})) as running:
        threading.Timer(0.3, running.gateway.route, [Routes(model.backend(3))]).start()
        answer = ask(running.url, 0.5)  # of version 2, which hangs, and therefore of version 1
        assert (probabilities(answer), answer.headers["X-Model-Version"]) == ([0.5], "1")
        assert running.gateway.busy(1) == 0


def test_a_challenger_that_reads_other_columns_gets_them_and_one_that_refuses_the_rows_is_held_to_it(model, other):
    wider = {"x": ("number", True), "z": ("number", False)}
    with gateway(Routes(model.backend(1), other.backend(2, inputs=wider), trial(100))) as running:
        assert ask(running.url, {"x": 0.5, "z": 4, "note": "a"}).headers["X-Arm"] == "challenger"
        assert other.calls == [[{"x": 0.5, "z": 4}]]
    strict = {"x": ("number", True), "z": ("number", True)}
    with gateway(Routes(model.backend(1), other.backend(2, inputs=strict), trial(100))) as running:
        assert ask(running.url, 0.5).headers["X-Arm"] == "champion"
        refused, answered = running.kept.calls
        assert (refused.arm, refused.status, answered.arm, answered.status) == ("challenger", 500, "champion", 200)
    other_kind = {"x": ("number", True), "note": ("number", False)}
    with gateway(Routes(model.backend(1), other.backend(2, inputs=other_kind), trial(100))) as running:
        ask(running.url, {"x": 0.5, "note": 'it\'s her "secret"'})
        refused = running.kept.calls[0]
        assert refused.problem == "its signature refuses it: dataframe_records[0].note: expected a number"


def test_in_the_shadow_the_challenger_gets_copies_and_never_answers(model, other):
    with gateway(Routes(model.backend(1), other.backend(2), trial(5, shadow=True))) as running:
        answer = ask(running.url, 0.5, 0.25)
        assert answer.headers["X-Arm"] == "champion"
        for _ in range(100):
            if len(running.kept.calls) == 2:
                break
            time.sleep(0.02)
        assert {call.arm for call in running.kept.calls} == {"champion", "shadow"}
        assert len({call.request_id for call in running.kept.calls}) == 1
        assert other.calls == [[{"x": 0.5, "note": None}, {"x": 0.25, "note": None}]]


def test_the_place_of_entities_is_uniform():
    places = [trial(5).place(f"c{n}") for n in range(5_000)]
    assert all(0 <= place < 100 for place in places)
    assert math.isclose(sum(places) / len(places), 50, abs_tol=1.5)


def test_a_problem_of_many_faults_tells_how_many_more():
    from ratchet.serving.problems import Fault

    problem = Problem.of([Fault("a", "bad"), Fault("b", "bad")])
    assert problem.detail == "a: bad and 1 more"
