"""A process that records is killed at any moment: what it was given is in the database or counted as lost, once."""

import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from ratchet.adapters import captured, joined
from ratchet.serving.recorder import Recorder
from ratchet.serving.routes import Call
from ratchet.settings import Settings
from ratchet.taskfile import load
from tests.faults.counts import times

KILLS = times(5, 50)
TASK = """
name: killed
data: {sources: {rows: {uris: [rows.csv]}}, target: y, id: person}
serving: {sensitive: {person: hash, salary: drop, place: hash}}
"""
SECRETS = ("secret-person", "secret-salary", "secret-place")
COUNTED = struct.Struct("<Q")


def settings(place: Path) -> Settings:
    return Settings("", f"sqlite:///{place / 'ratchet.db'}", (), place / ".ratchet")


def call(name: str, rows: int = 1) -> Call:
    given: dict[str, Any] = {"age": 31, "salary": SECRETS[1], "place": SECRETS[2]}
    answer = {"label": "No", "probability": 0.25, "reasons": [{"text": f"place = {SECRETS[2]}"}]}
    return Call(name, time.time(), 1, "champion", 200, 1.25, (given,) * rows, (SECRETS[0],) * rows,
                tuple(range(rows)), (answer,) * rows, f"of {SECRETS[2]}")  # fmt: skip


def records(place: Path, seed: int) -> None:
    """Record for ever, and say before each call and after it how many rows they were."""
    draw = random.Random(seed)
    recorder = Recorder(load(place / "task.yaml"), settings(place), flush_s=draw.choice([0.01, 0.1, 0.5]))
    with (place / "said").open("r+b") as file, mmap.mmap(file.fileno(), 16) as said:
        rows = 0
        for n in range(1_000_000):
            more = draw.choice([1, 1, 1, 7])
            COUNTED.pack_into(said, 8, rows + more)
            recorder.record(call(f"{seed}-{n}", more))
            rows += more
            COUNTED.pack_into(said, 0, rows)
            if draw.random() < 0.2:
                time.sleep(0.001)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "task.yaml").write_text(TASK)
    return tmp_path


def started(place: Path, seed: int) -> "subprocess.Popen[bytes]":
    (place / "said").write_bytes(bytes(16))
    script = f"import sys; from pathlib import Path; from {__name__} import records; records(Path('.'), {seed})"
    root = Path(__file__).parents[2]
    env = os.environ | {"PYTHONPATH": f"{root / 'src'}:{root}"}
    return subprocess.Popen([sys.executable, "-c", script], cwd=place, env=env)


def said(place: Path) -> tuple[int, int]:
    content = (place / "said").read_bytes()
    return COUNTED.unpack_from(content, 0)[0], COUNTED.unpack_from(content, 8)[0]


def on_record(engine: Engine) -> tuple[list[tuple[str, int]], int]:
    rows = [(row.request_id, row.row) for batch in joined.between(engine, "killed") for row in batch]
    return rows, sum(each["lost"] for each in captured.losses(engine, "killed"))


def test_what_a_killed_process_was_given_is_in_the_database_or_counted_as_lost_and_never_twice(place: Path) -> None:
    draw, surely, at_most = random.Random(6), 0, 0
    engine = captured.engine(settings(place))
    for seed in range(KILLS):
        process = started(place, seed)
        while said(place)[0] == 0:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 1.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        surely, at_most = surely + said(place)[0], at_most + said(place)[1]
        if draw.random() < 0.3:  # the next one begins, and is killed, while two have left something
            continue
        send_what_is_left(place)
        rows, lost = on_record(engine)
        assert len(set(rows)) == len(rows)
        assert surely <= len(rows) + lost <= at_most
    send_what_is_left(place)
    rows, lost = on_record(engine)
    print(f"{KILLS} kills: {len(rows)} rows on record, {lost} counted as lost, of {surely} to {at_most}")
    assert surely <= len(rows) + lost <= at_most
    assert len(rows) > surely / 2
    assert list((place / ".ratchet" / "captured" / "killed").glob("of-*")) == []
    assert nowhere(place)


def send_what_is_left(place: Path) -> None:
    recorder = Recorder(load(place / "task.yaml"), settings(place))
    recorder.close(60)


def nowhere(place: Path) -> bool:
    """Whether no sensitive value is in any file."""
    files = [file for file in place.rglob("*") if file.is_file()]
    assert len(files) > 2
    return not [(file, secret) for file in files for secret in SECRETS if secret.encode() in file.read_bytes()]


def test_sensitive_values_are_in_no_file_while_the_database_is_away(place: Path) -> None:
    (place / "ratchet.db").mkdir()  # which cannot be opened
    recorder = Recorder(load(place / "task.yaml"), settings(place), flush_s=0.01)
    for n in range(100):
        recorder.record(call(str(n)))
    recorder.close(0.5)
    (left,) = (place / ".ratchet" / "captured" / "killed").glob("of-*")
    lines = [line for file in left.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(lines) == 100
    row = json.loads(lines[0])
    inputs, answer = (json.loads(row[name]) for name in ("inputs", "answer"))
    assert set(inputs) == {"age", "place"} and len(inputs["place"]) == len(row["entity"]) == 64
    assert answer == {"label": "No", "probability": 0.25}
    assert nowhere(place)
    (place / "ratchet.db").rmdir()
    send_what_is_left(place)
    rows, lost = on_record(captured.engine(settings(place)))
    assert (len(rows), lost) == (100, 0)
