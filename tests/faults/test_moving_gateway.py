"""Requests come while versions are promoted and rolled back and model processes are killed: none fails."""

import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from benchmarks import load
from ratchet.adapters import servers
from ratchet.stages import PRODUCTION
from tests import moving
from tests.end_to_end.commands import environment, settle, start
from tests.faults.counts import times

REQUESTS, PER_S, PAUSE_S = times(2_400, 100_000), times(80, 400), times(2, 6)


@pytest.fixture(scope="module")
def place(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("moving")
    moving.copied(store, found)
    return found


@pytest.fixture
def served(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any, psutil.Process]]:
    """The gateway's address, a session that moves versions, and its process."""
    settle(monkeypatch, place)
    server = start("ratchet", "serve", "-c", "small.yaml", "--port", "0", "--json", cwd=place, env=environment())
    try:
        assert server.stdout
        yield (
            json.loads(server.stdout.readline())["url"],
            moving.session(place / "small.yaml"),
            psutil.Process(server.pid),
        )
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


def model_servers(gateway: psutil.Process) -> list[psutil.Process]:
    """The processes that answer by now: MLflow's scoring servers, each on its port."""
    found = []
    for child in gateway.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = child.cmdline()
            if "mlflow.pyfunc.scoring_server.app:app" in words and "--port" in words:
                port = words[words.index("--port") + 1]
                if servers.answers(f"http://127.0.0.1:{port}/ping"):
                    found.append(child)
    return found


def test_no_request_fails_while_versions_move_and_model_processes_are_killed(
    served: tuple[str, Any, psutil.Process],
) -> None:
    url, session, gateway = served
    first, second = 1, moving.again(session)[0]
    rows = requests.get(f"{url}/openapi.json", timeout=10).json()["paths"]["/invocations"]["post"]["requestBody"]
    sample = rows["content"]["application/json"]["examples"]["rows"]["value"]["dataframe_records"]
    bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in sample]
    seen: list[load.Seen] = []
    thread = threading.Thread(
        target=lambda: seen.append(load.constant(load.Target(f"{url}/invocations", bodies), PER_S, REQUESTS))
    )
    thread.start()
    done = {"promoted": 0, "rolled back": 0, "killed": 0}
    moving.promote(session, second)
    done["promoted"] += 1
    while thread.is_alive():
        time.sleep(PAUSE_S)
        if done["killed"] <= done["rolled back"] and len(up := model_servers(gateway)) > 1:
            random.choice(up).kill()
            done["killed"] += 1
            continue
        moving.back(session, second if moving.in_production(session) == [first] else first)
        done["rolled back"] += 1
    thread.join()
    (found,) = seen
    print(f"{sum(found.statuses.values()):,} requests at {PER_S}/s, {dict(found.statuses)}, {done},"
          f" p50 {found.quantile_ms(0.5):.1f} ms, p99 {found.quantile_ms(0.99):.1f} ms")  # fmt: skip
    assert found.failed == 0, found.broken[:3]
    assert found.statuses[200] == REQUESTS
    assert done["killed"] and done["rolled back"]
    assert len([number for number, (stage, _) in moving.stages(session).items() if stage == PRODUCTION]) == 1


def test_at_its_end_it_answers_what_it_was_asked(place: Path) -> None:
    server = start("ratchet", "serve", "-c", "small.yaml", "--port", "0", "--json", cwd=place, env=environment())
    assert server.stdout
    url = json.loads(server.stdout.readline())["url"]
    document = requests.get(f"{url}/openapi.json", timeout=10).json()
    example = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    body = json.dumps(example["one row"]["value"]).encode()
    seen: list[load.Seen] = []
    thread = threading.Thread(
        target=lambda: seen.append(load.closed(load.Target(f"{url}/invocations", [body]), 4, 60, 20_000))
    )
    thread.start()
    time.sleep(1.5)
    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    time.sleep(2.5)  # by now each client was asked to close, and finds nobody to connect to
    seen_by_then = list(seen)
    assert server.wait(60) == 0
    assert time.monotonic() - began < 40
    thread.join(90)
    found = (seen_by_then or seen)[0]
    refused = [text for text in found.broken if not text.startswith("ConnectionRefused")]
    print(f"until the end: {found.statuses[200]} answered; {len(found.broken)} found nobody to connect to")
    assert found.statuses[200] > 50
    assert not refused, refused[:3]
