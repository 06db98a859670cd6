"""The gateway's role keeps requests and outcomes on the stack, over crashes of PostgreSQL; a scientist reads them."""

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ratchet.adapters import captured, joined
from ratchet.adapters.postgres import IMMEDIATE
from ratchet.operate.stack import Stack
from ratchet.serving import outcomes
from ratchet.serving.outcomes import Labels
from ratchet.serving.recorder import Recorder
from ratchet.serving.routes import Call
from ratchet.settings import Settings
from ratchet.taskfile import load
from tests.conftest import Told
from tests.faults.counts import times

CRASHES = times(3, 20)


def call(n: int) -> Call:
    return Call(f"r{n}", time.time(), 1, "champion", 200, 1.0, ({"x": n},), (f"e{n}",), (0,), ({"label": n % 2},))


def test_requests_and_outcomes_are_kept_over_crashes_of_postgres_and_read_by_a_scientist(
    on_stack: Stack, task_file: Callable[..., Path], ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, chance = task_file(name="kept", serving={"retention_days": 30}), random.Random(6)
    settings = replace(Settings.from_env(), database_url=on_stack.database_url("ratchet_gateway"))
    recorder, count = Recorder(load(file), settings, flush_s=0.05), 0

    def answers(seconds: float) -> None:
        nonlocal count
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            recorder.record(call(count))
            count += 1
            time.sleep(0.001)

    for _ in range(CRASHES):
        answers(chance.uniform(0.1, 0.5))
        on_stack.cluster.stop(IMMEDIATE)
        answers(chance.uniform(0.1, 1))
        on_stack.cluster.start()
    deadline = time.monotonic() + 60
    while recorder.waiting:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    told = [{"entity": f"e{n}", "label": 1} for n in range(0, 100)]
    assert outcomes.keep(recorder, told, Labels((0, 1))) == {"accepted": 100, "corrected": 0, "repeated": 0}
    rows = [row for batch in joined.between(recorder.engine(), "kept") for row in batch]
    assert sorted(int(row.request_id[1:]) for row in rows) == list(range(count)), "each of them once"
    assert captured.losses(recorder.engine(), "kept") == []
    recorder.close()
    monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.database_url("ratchet_scientist"))
    done = ratchet("captured", "-c", file, "--output", "rows.parquet", "--outcomes-only", "--json")
    assert done.code == 0 and done.json["rows"] == pq.read_metadata("rows.parquet").num_rows == 100
    print(f"{CRASHES} crashes of PostgreSQL; {count} requests, each on record once")


def test_a_role_that_may_not_keep_requests_is_told_and_they_wait(
    on_stack: Stack, task_file: Callable[..., Path]
) -> None:
    heard: list[str] = []
    recorder = Recorder(load(task_file(name="refused")), Settings.from_env(), heard.append, flush_s=0.05)
    recorder.record(call(1))
    deadline = time.monotonic() + 30
    while not heard:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    recorder.close(1)
    assert "permission denied for table requests" in heard[0] and recorder.waiting == 1
    allowed = replace(Settings.from_env(), database_url=on_stack.database_url("ratchet_gateway"))
    again = Recorder(load(task_file(name="refused")), allowed)
    again.close()
    assert again.sent == 1
