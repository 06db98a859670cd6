"""The addresses of the gateway: statuses, keys, limits of size and time, and an end that loses nobody."""

import json
import re
import socket
import threading
import time
import uuid

import psutil
import pytest
import requests

from ratchet.errors import ConfigError, ServerError
from ratchet.serving import apikeys
from ratchet.serving.apikeys import Keys
from ratchet.serving.problems import Problem
from ratchet.serving.routes import Routes
from tests.serving.parts import Model, gateway, serving, task

ROW = {"dataframe_records": [{"x": 0.5}]}


@pytest.fixture(scope="module")
def model():
    with serving(Model()) as running:
        yield running


@pytest.fixture(scope="module")
def running(model):
    routes = Routes(model.backend(3))
    with gateway(routes, task(serving={"max_body_mb": 1})) as found:
        yield found


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert answer.headers["X-Request-Id"] in told["instance"]
    return told


def test_the_addresses_that_a_balancer_asks(running):
    for path in ("/ping", "/health", "/ready"):
        assert requests.get(f"{running.url}{path}", timeout=5).status_code == 200
    version = requests.get(f"{running.url}/version", timeout=5)
    assert (version.text, version.headers["X-Model-Version"]) == ("3.17.2", "3")


def test_the_first_protocol_of_kserve_is_answered_by_the_name_of_the_model(running):
    url = f"{running.url}/v1/models/small"
    answer = requests.post(f"{url}:predict", json={"instances": [[0.5, "a"], [0.25, None]]}, timeout=5)
    assert (answer.status_code, answer.headers["X-Model-Version"]) == (200, "3")
    assert [row["probability"] for row in answer.json()["predictions"]] == [0.5, 0.25]
    assert requests.get(url, timeout=5).json() == {"name": "small", "ready": True}
    for method, path in (("POST", "/v1/models/large:predict"), ("GET", "/v1/models/large")):
        told = problem(requests.request(method, f"{running.url}{path}", json={}, timeout=5), 404)
        assert re.fullmatch(r"no model 'large'; 'small' is served here", told["detail"])
    problem(requests.get(f"{url}:predict", timeout=5), 405)
    times = running.gateway.meters.text().decode()
    assert 'ratchet_request_seconds_count{path="/v1/models/small:predict",status="200"}' in times
    assert "large" not in times


def test_another_address_is_404_and_another_method_405(running):
    problem(requests.get(f"{running.url}/nope", timeout=5), 404)
    wrong = requests.get(f"{running.url}/invocations", timeout=5)
    problem(wrong, 405)
    assert wrong.headers["Allow"] == "POST"
    wrong = requests.delete(f"{running.url}/ping", timeout=5)
    problem(wrong, 405)
    assert "GET" in wrong.headers["Allow"]


def test_a_missing_content_type_is_415(running):
    told = problem(requests.post(f"{running.url}/invocations", data=b"{}", timeout=5), 415)
    assert "Content-Type is missing" in told["detail"]


def test_a_callers_uuid_is_its_requests_id_and_no_other_text_is(running):
    mine = str(uuid.uuid4())
    for said, kept in ((mine, True), (mine.upper(), True), ("order 7", False), ("x" * 500, False)):
        answer = requests.post(f"{running.url}/invocations", json=ROW, headers={"X-Request-Id": said}, timeout=5)
        assert (answer.headers["X-Request-Id"] == said.lower()) == kept


def test_a_body_that_is_too_large_is_413_announced_or_not(running):
    large = b"x" * (2**20 + 1)
    for body in (large, iter([large[:700_000]] * 3)):
        told = problem(requests.post(f"{running.url}/invocations", data=body, timeout=5), 413)
        assert told["detail"] == "a body has at most 1,048,576 bytes (serving.max_body_mb)"


def raw(running, *parts, pause_s=0.0):
    with socket.create_connection(("127.0.0.1", running.port), 10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
            began = time.monotonic()
            answer = connection.recv(65536)
        except ConnectionError:
            return b"", 0.0
        return answer, time.monotonic() - began


HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"


def test_a_body_that_stalls_or_trickles_is_refused_after_a_second(running):
    for begun in (HEAD, HEAD + b"{"):
        answer, waited_s = raw(running, begun)
        assert answer.startswith(b"HTTP/1.1 408")
        assert waited_s < 2
    began = time.monotonic()
    answer, _ = raw(running, HEAD, *[b" "] * 2, pause_s=0.4)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 4


def test_a_head_that_never_ends_is_let_go(running, monkeypatch):
    monkeypatch.setattr("ratchet.serving.server.HEADERS_S", 0.5)
    answer, waited_s = raw(running, b"POST /invocations HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert answer.startswith(b"HTTP/1.1 408")
    assert waited_s < 2


def test_what_is_no_http_is_400(running):
    assert raw(running, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")[0].startswith(b"HTTP/1.1 400")


def test_memory_stays_flat_under_hostile_bodies(running):
    deep = b'{"dataframe_records": [{"x": ' + b"[" * 500_000
    keys = b'{"dataframe_records": [' + b'{"x":1},' * 100_000 + b'{"x":"a"}]}'
    digits = b'{"dataframe_records": [{"x": ' + b"9" * 900_000 + b"}]}"
    me, sizes = psutil.Process(), []
    for _ in range(8):
        for body in (deep, keys, digits):
            began = time.monotonic()
            answer = requests.post(f"{running.url}/invocations", data=body, timeout=20,
                                   headers={"Content-Type": "application/json"})  # fmt: skip
            problem(answer, 400)
            assert time.monotonic() - began < 2
        sizes.append(me.memory_info().rss)
    assert sizes[-1] - sizes[2] < 60 * 2**20


def test_many_who_never_finish_do_not_stop_the_others(running):
    slow = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(100)]
    for connection in slow:
        connection.sendall(HEAD + b"{")
    began = time.monotonic()
    assert requests.post(f"{running.url}/invocations", json=ROW, timeout=5).status_code == 200
    assert time.monotonic() - began < 1
    for connection in slow:
        connection.close()


def test_connections_send_without_delay(running):
    kept = requests.Session()
    kept.post(f"{running.url}/invocations", json=ROW, timeout=5)
    here = [c for c in psutil.Process().net_connections() if c.status == "ESTABLISHED" and c.laddr.port == running.port]
    assert here
    for connection in here:
        with socket.socket(fileno=socket.dup(connection.fd)) as copy:
            assert copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_vertex_ai_finds_its_own_addresses(model, monkeypatch):
    monkeypatch.setenv("AIP_PREDICT_ROUTE", "/v1/models/m:predict")
    monkeypatch.setenv("AIP_HEALTH_ROUTE", "/v1/models/m")
    with gateway(Routes(model.backend(3))) as found:
        assert requests.get(f"{found.url}/v1/models/m", timeout=5).status_code == 200
        answer = requests.post(f"{found.url}/v1/models/m:predict", json={"instances": [{"x": 0.5}]}, timeout=5)
        assert answer.json() == {"predictions": [{"label": 1, "probability": 0.5}]}


def test_openapi_tells_the_signature_with_the_sample_rows(model):
    backend = model.backend(3)
    sample = ({"x": 0.5, "note": "a"},)
    with gateway(Routes(backend.__class__(3, model.url, backend.signature, sample))) as found:
        document = requests.get(f"{found.url}/openapi.json", timeout=5).json()
    body = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]
    assert body["examples"]["one row"]["value"] == {"dataframe_records": [{"x": 0.5, "note": "a"}]}
    record = body["schema"]["oneOf"][0]["properties"]["dataframe_records"]["items"]
    assert record["required"] == ["x"]
    assert record["properties"]["note"] == {"type": ["string", "null"]}
    assert record["properties"]["who"]["type"] == ["string", "number", "null"]


# ---------------------------------------------------------------- keys


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys"
    made = {name: apikeys.made(name, scopes) for name, scopes in {
        "shop": ("predict",), "court": ("outcomes",), "root": ("predict", "outcomes", "admin")}.items()}  # fmt: skip
    file.write_text("# who may ask\n" + "\n".join(line for _, line in made.values()))
    return file, {name: key for name, (key, _) in made.items()}


def test_each_key_may_do_what_its_scopes_say(model, keys):
    file, known = keys
    for key in known.values():
        assert key not in file.read_text()
    with gateway(Routes(model.backend(3)), keys=Keys(file)) as found:

        def status(path, key, how):
            headers = {"bearer": {"Authorization": f"Bearer {key}"}, "header": {"X-API-Key": key}, "none": {}}[how]
            if path == "/metrics":
                return requests.get(f"{found.url}{path}", headers=headers, timeout=5)
            return requests.post(f"{found.url}{path}", json=ROW, headers=headers, timeout=5)

        assert status("/invocations", known["shop"], "bearer").status_code == 200
        assert status("/invocations", known["shop"], "header").status_code == 200
        problem(status("/invocations", known["court"], "bearer"), 403)
        problem(status("/invocations", "rk_made_up", "bearer"), 401)
        assert "WWW-Authenticate" in status("/invocations", "", "none").headers
        assert status("/metrics", known["root"], "bearer").status_code == 200
        problem(status("/metrics", known["shop"], "bearer"), 403)
        assert requests.get(f"{found.url}/ready", timeout=5).status_code == 200


def test_a_key_that_is_taken_out_of_the_file_is_taken_in_no_more(keys):
    file, known = keys
    read = Keys(file)
    headers = {b"authorization": f"Bearer {known['shop']}".encode()}
    assert read.caller(headers) == ("shop", {"predict"})
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("shop")))
    assert read.refresh() == ""
    assert read.caller(headers) is None


def test_a_damaged_file_of_keys_names_its_line_and_the_keys_of_before_go_on(keys):
    file, known = keys
    read = Keys(file)
    file.write_text(file.read_text() + "\nnobody everything 12\n")
    assert f"{file}:5: expected NAME SCOPES HASH" in read.refresh()
    assert read.caller({b"x-api-key": known["shop"].encode()}) == ("shop", {"predict"})
    with pytest.raises(ConfigError, match=":5: expected"):
        Keys(file)


def test_a_key_with_a_scope_that_is_none_is_not_made():
    with pytest.raises(ConfigError, match="no scope 'predct'; did you mean 'predict'"):
        apikeys.made("shop", ("predct",))
    with pytest.raises(ConfigError, match="the name of a key is one word"):
        apikeys.made("my shop", ("predict",))


def test_without_keys_only_the_machines_own_names_are_answered(model):
    with gateway(Routes(model.backend(3)), hosts=frozenset({"127.0.0.1", "localhost"})) as found:
        for host, status in (("127.0.0.1:5001", 200), ("localhost", 200), ("evil.example:5001", 403), ("", 403)):
            asked = {"headers": {"Host": host}, "timeout": 5}
            assert requests.get(f"{found.url}/openapi.json", **asked).status_code == status, host
            answer = requests.post(f"{found.url}/invocations", json=ROW, **asked)
            assert answer.status_code == status, host


# ---------------------------------------------------------------- the end


def test_at_the_end_those_on_their_way_are_answered_and_asked_to_close():
    with serving(Model(delay_s=0.5)) as slow, gateway(Routes(slow.backend(1))) as found:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            requests.post(f"{found.url}/invocations", json=ROW, timeout=10)))  # fmt: skip
        thread.start()
        time.sleep(0.2)
        found.door.is_draining = True
        thread.join()
        (answer,) = answers
        assert answer.status_code == 200
        assert answer.headers["Connection"] == "close"
        time.sleep(0.5)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{found.url}/ping", timeout=5)


def test_no_value_of_a_caller_is_logged(running, caplog):
    secret = "880101-1234567"
    requests.post(f"{running.url}/invocations", json={"dataframe_records": [{"x": secret}]}, timeout=5)
    requests.post(f"{running.url}/invocations", data=json.dumps(ROW)[:-1] + secret, timeout=5,
                  headers={"Content-Type": "application/json"})  # fmt: skip
    assert secret not in caplog.text


def test_outcomes_that_another_sites_page_sends_are_refused():
    class Kept:
        def accept(self, body):
            return {"accepted": 1}

    with gateway(Routes(), outcomes=Kept()) as running:
        for said in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
            plain = said | {"Content-Type": "text/plain"}  # which a browser sends without asking before
            problem(requests.post(f"{running.url}/outcomes", data="{}", headers=plain, timeout=5), 403)
        assert requests.post(f"{running.url}/outcomes", json={}, timeout=5).status_code == 200


def test_an_answer_that_may_take_long_is_waited_for_at_the_end(monkeypatch):
    monkeypatch.setattr("ratchet.serving.server.END_S", 1)
    monkeypatch.setattr("ratchet.serving.server.DRAIN_S", 0.2)
    with serving(Model(delay_s=3)) as slow, gateway(Routes(slow.backend(3)), task(serving={"timeout_s": 4})) as running:
        threading.Timer(0.3, setattr, [running.door, "is_draining", True]).start()
        assert requests.post(f"{running.url}/invocations", json=ROW, timeout=10).status_code == 200


def test_why_outcomes_could_not_be_kept_is_logged_under_the_requests_id(caplog):
    class Refused:
        def accept(self, body):
            raise Problem(500, "the outcomes could not be kept") from ServerError("no such table: outcomes")

    with gateway(Routes(), outcomes=Refused()) as running:
        answer = requests.post(f"{running.url}/outcomes", json={}, timeout=5)
        assert "no such table" not in problem(answer, 500)["detail"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert answer.headers["X-Request-Id"] in line and "no such table: outcomes" in line
