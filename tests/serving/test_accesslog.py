"""The log of requests: a line each, a reason for each refusal, never what a caller sent, and never in anybody's way."""

import json
import os
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.errors import ConfigError
from ratchet.serving import accesslog, apikeys, bodies
from ratchet.serving.accesslog import AccessLog, Line
from ratchet.serving.apikeys import Keys
from ratchet.serving.problems import Fault, Problem, without_values
from ratchet.serving.routes import Routes, Signature
from ratchet.serving.rows import Reader
from ratchet.settings import LogTarget, log_target
from tests.serving.parts import INPUTS, Model, gateway, serving

SECRET = "ZEBRA4711"  # stands in each place of a request that a caller fills
ROW = {"dataframe_records": [{"x": 0.5}]}


@pytest.fixture(scope="module")
def model():
    with serving(Model()) as running:
        yield running


def lines(file: Path, count: int) -> list[dict[str, Any]]:
    """The lines of a file of JSON, once there are so many."""
    for _ in range(200):
        found = file.read_text().splitlines() if file.exists() else []
        if len(found) >= count:
            return [json.loads(line) for line in found]
        time.sleep(0.05)
    raise AssertionError(f"{len(found)} lines, not {count}")


def test_each_request_has_a_line_with_what_an_operator_asks_for(model, tmp_path):
    file, keys = tmp_path / "log.jsonl", tmp_path / "keys"
    key = apikeys.added(keys, "shop", ("predict",))
    log = AccessLog(LogTarget("json", file))
    with gateway(Routes(model.backend(3)), keys=Keys(keys), log=log) as running:
        body = json.dumps({"dataframe_records": [{"x": 0.5}, {"x": 0.25}]})
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        answer = requests.post(f"{running.url}/invocations", data=body, headers=headers, timeout=30)
        requests.post(f"{running.url}/invocations", json=ROW, headers={"X-API-Key": SECRET}, timeout=30)
        requests.post(f"{running.url}/outcomes", json={}, headers={"X-API-Key": key}, timeout=30)
        requests.get(f"{running.url}/{SECRET}", timeout=30)
        for _ in range(3):
            requests.get(f"{running.url}/ping", timeout=30)
        answered, unknown, forbidden, nowhere = lines(file, 4)
        figures = requests.get(f"{running.url}/metrics", headers={"X-API-Key": key}, timeout=30)
        assert figures.status_code == 403
        text = running.gateway.meters.text().decode()
    log.close()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ", answered["at"])
    assert 0 < answered["ms"] < 30_000
    plain = {name: value for name, value in answered.items() if name not in ("at", "ms")}
    assert plain == {
        "id": answer.headers["X-Request-Id"], "method": "POST", "path": "/invocations", "status": 200, "version": "3",
        "arm": "champion", "rows": 2, "bytes_in": len(body), "bytes_out": len(answer.content), "caller": "shop",
        "problem": None,
    }  # fmt: skip
    assert (unknown["status"], unknown["caller"], unknown["problem"]) == (
        401, None, "Unauthorized: no key that is known; send Authorization: Bearer KEY")  # fmt: skip
    assert (forbidden["status"], forbidden["path"], forbidden["problem"]) == (
        403, "/outcomes", "Forbidden: this key may not do that; it takes the scope outcomes")  # fmt: skip
    assert (nowhere["status"], nowhere["path"], nowhere["problem"]) == (404, "other", "Not Found: no such address")
    assert SECRET not in file.read_text()
    for label in ('path="/invocations",status="200"', 'path="other",status="404"', 'path="/ping",status="200"'):
        assert f"ratchet_request_seconds_count{{{label}}}" in text


def test_text_lines_go_to_stderr_unless_it_is_off(model, capfd):
    log = AccessLog(LogTarget("text"))
    with gateway(Routes(model.backend(3)), log=log) as running:
        requests.post(f"{running.url}/invocations", json=ROW, timeout=30)
        requests.post(f"{running.url}/invocations", json={"dataframe_records": [{"x": SECRET}]}, timeout=30)
        with socket.create_connection(("127.0.0.1", running.port), 5) as raw:
            raw.sendall(f"NO {SECRET}\r\n\r\n".encode())
            raw.recv(1000)
    log.close()
    told = capfd.readouterr().err
    assert re.search(
        r"Z 200 POST /invocations [\d.]+ ms id=\S{36} version=3 arm=champion rows=1 in=\d+ out=\d+\n", told
    )
    assert re.search(r"Z 400 POST /invocations .* \| Bad Request: dataframe_records\[0\]\.x: expected a number\n", told)
    assert "400 - other" in told
    assert "Bad Request: not HTTP" in told
    assert SECRET not in told


def test_nothing_that_a_caller_sends_is_ever_in_the_log(model, tmp_path):
    file = tmp_path / "log.jsonl"
    log = AccessLog(LogTarget("json", file))
    asked = [
        {"dataframe_records": [{"x": SECRET}]}, {"dataframe_records": [{SECRET: 1, "x": 1}]}, {SECRET: 1},
        {"dataframe_records": [SECRET]}, {"dataframe_split": {"columns": [SECRET], "data": [[1]]}},
        {"dataframe_split": {"columns": ["x", SECRET, SECRET], "data": [[1, 2, 3]]}}, {"inputs": {SECRET: 1}},
        {"inputs": {SECRET: [1, 2], "x": [1]}}, {"instances": SECRET}, {**ROW, "params": {SECRET: 1}},
        {**ROW, "params": {"explain": SECRET}}, {"instances": [[SECRET, "a"]]}, {"instances": [[SECRET]]},
        [SECRET], SECRET,
    ]  # fmt: skip
    texts = [*map(json.dumps, asked), f'{{"{SECRET}": 1, "{SECRET}": 2}}', f"{SECRET}", f'{{"x": "{SECRET}\\']
    with gateway(Routes(model.backend(3)), log=log) as running:
        url = f"{running.url}/invocations"
        for text in texts:
            assert (
                requests.post(url, data=text, headers={"Content-Type": "application/json"}, timeout=30).status_code
                == 400
            )
        more = [("text/csv", f"{SECRET}\n1\n"), ("text/csv", f"x\n{SECRET}\n"), (f"text/{SECRET}", "x"),
                (f"text/csv; charset={SECRET}", "x\n1\n"), ("application/vnd.apache.parquet", SECRET)]  # fmt: skip
        for kind, text in more:
            assert requests.post(url, data=text, headers={"Content-Type": kind}, timeout=30).status_code in (400, 415)
        requests.get(f"{running.url}/v1/models/{SECRET}", params={"key": SECRET}, timeout=30)
        requests.request(SECRET[:5], url, headers={"X-Request-Id": SECRET, "Authorization": SECRET}, timeout=30)
        found = lines(file, len(texts) + len(more) + 2)
    log.close()
    assert SECRET not in file.read_text()
    assert all(len(line["problem"]) > 12 for line in found), "and still each refusal has its reason"


PARTS = (
    "x",
    "note",
    "instances",
    "inputs",
    "dataframe_records",
    "dataframe_split",
    "columns",
    "data",
    "params",
    "explain",
)
THEIRS = st.text(max_size=80).map(SECRET.__add__)
KEYS = st.sampled_from(PARTS) | THEIRS
BODIES = st.recursive(
    st.none() | st.floats() | THEIRS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(BODIES)
@settings(deadline=None)
def test_the_reason_of_a_refusal_holds_nothing_of_any_body(body):
    reason = ""
    try:
        bodies.read("application/json", json.dumps(body).encode(), Reader(Signature(INPUTS)))
    except Problem as problem:
        reason = without_values(problem, INPUTS)
    assert SECRET not in reason


def test_the_names_of_columns_stay_in_a_reason():
    fault = Problem.of([Fault("dataframe_records[3].x", "expected a number, got 'abc'"), Fault("inputs.y", "so")])
    assert without_values(fault, INPUTS) == "Bad Request: dataframe_records[3].x: expected a number and 1 more"
    absent = Problem.of([Fault("line 1", "no column 'x', which is required")])
    assert without_values(absent, INPUTS) == "Bad Request: line 1: no column 'x', which is required"


def test_a_file_is_rotated_and_so_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(accesslog, "MOST_BYTES", 2_000)
    monkeypatch.setattr(accesslog, "FLUSH_S", 0.001)
    file = tmp_path / "logs" / "gateway.log"
    log = AccessLog(LogTarget("text", file))
    for number in range(300):
        log.add(Line(0.0, f"request {number}", "POST", "/invocations", 200, 1.0))
        time.sleep(0.001)
    log.close()
    kept = sorted(path.name for path in file.parent.iterdir())
    assert kept == ["gateway.log", *(f"gateway.log.{number}" for number in range(1, 6))]
    assert "request 299" in file.read_text() + (file.parent / "gateway.log.1").read_text()
    assert log.lost == 0


def test_a_pipe_that_nobody_reads_holds_up_neither_requests_nor_the_end(model, monkeypatch):
    monkeypatch.setattr(accesslog, "MOST_WAITING", 1_000)
    monkeypatch.setattr(accesslog, "CLOSE_S", 0.2)
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", pipe)
            log = AccessLog(LogTarget("text"))
        try:
            began = time.monotonic()
            for number in range(5_000):
                log.add(Line(0.0, str(number), "POST", "/invocations", 200, 1.0))
            with gateway(Routes(model.backend(3)), log=log) as running:
                assert requests.post(f"{running.url}/invocations", json=ROW, timeout=5).status_code == 200
            log.close(0.2)
            assert time.monotonic() - began < 15
            assert log.lost > 0, "and what is not written is counted"
        finally:
            threading.Thread(target=_drained, args=[reader], daemon=True).start()
            log.close(30)


def _drained(reader: int) -> None:
    while os.read(reader, 65_536):
        pass


@pytest.mark.parametrize(
    ("said", "target"),
    [("off", None), ("", LogTarget("text")), ("text", LogTarget("text")), ("json", LogTarget("json")),
     ("json:/var/log/a:b.log", LogTarget("json", Path("/var/log/a:b.log")))],
)  # fmt: skip
def test_the_environment_says_where_lines_go(said, target, monkeypatch):
    monkeypatch.setenv("RATCHET_LOG", said)
    assert log_target() == target


def test_a_wrong_word_and_a_file_that_cannot_be_written_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("RATCHET_LOG", "jason")
    with pytest.raises(ConfigError, match="RATCHET_LOG: 'jason' is no way to log requests; did you mean 'json'"):
        log_target()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"RATCHET_LOG: .*: cannot be written: .*; name another file"):
        AccessLog(LogTarget("text", tmp_path / "file" / "log"))
