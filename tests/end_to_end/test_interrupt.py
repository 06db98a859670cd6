"""Ctrl-C in the middle of a search: nothing is lost, nothing stays RUNNING, the next run goes on."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.end_to_end.commands import run, start

TRIALS = 8


def runs_of(place: Path) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_search_goes_on_where_it_was(workplace: Path, task_file: Callable[..., Path], stop: int) -> None:
    search = {"models": ["xgboost"], "trials": TRIALS, "folds": 3, "max_rounds": 400,
              "space": {"xgboost": {"learning_rate": [0.02, 0.03], "max_depth": [4, 6]}}}  # fmt: skip
    sources = {"applicants": {"uris": ["synthetic://credit?rows=8000&seed=3"]}}
    data = {"sources": sources, "target": "defaulted", "positive": 1, "id": "applicant_id",
            "drop": ["applied_at", "probability_of_default"]}  # fmt: skip
    config = task_file(search=search, data=data)
    process = start("ratchet", "train", "-c", config, cwd=workplace)
    deadline = time.monotonic() + 120
    while sum(r.data.tags["ratchet.step"] == "trial" for r in runs_of(workplace)) < 2:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no trial was on record after two minutes"
        time.sleep(0.2)
    process.send_signal(stop)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    statuses = Counter((r.data.tags["ratchet.step"], r.info.status) for r in runs_of(workplace))
    assert statuses["train", "KILLED"] == 1
    assert not [step for step, status in statuses if status == "RUNNING"]

    again = run("ratchet", "train", "-c", config, cwd=workplace)
    assert again.returncode == 0, again.stderr
    assert "the search goes on after" in again.stderr
    after = runs_of(workplace)
    train = next(r for r in after if r.data.tags["ratchet.step"] == "train" and r.info.status == "FINISHED")
    finished = [r for r in after if r.data.tags["ratchet.step"] == "trial" and r.info.status == "FINISHED"]
    assert len(finished) == TRIALS
    assert len({r.data.tags["ratchet.trial"] for r in finished}) == TRIALS
    assert {r.data.tags["mlflow.parentRunId"] for r in finished} == {train.info.run_id}
    assert not [r for r in after if r.info.status == "RUNNING"]
