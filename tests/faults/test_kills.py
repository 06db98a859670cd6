"""Searches that are interrupted or killed outright: the budget is met exactly, each trial is on record once."""

import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.end_to_end.commands import run, start
from tests.faults.counts import times

TRIALS, ROWS = times(10, 16), times(4000, 8000)
SEARCH = {"models": ["xgboost"], "trials": TRIALS, "folds": 3, "max_rounds": 400,
          "space": {"xgboost": {"learning_rate": [0.02, 0.03], "max_depth": [4, 6]}}}  # fmt: skip
DATA = {"sources": {"applicants": {"uris": [f"synthetic://credit?rows={ROWS}&seed=3"]}}, "target": "defaulted",
        "positive": 1, "id": "applicant_id", "drop": ["applied_at", "probability_of_default"]}  # fmt: skip
KILLS_A_STORE = 5


def runs_of(place: Path) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000))


def trials_of(place: Path) -> Counter[str]:
    """Optuna's own count of trials by state."""
    with closing(sqlite3.connect(place / ".ratchet" / "ratchet.db")) as database:
        return Counter(state for (state,) in database.execute("SELECT state FROM trials"))


def check(place: Path) -> None:
    """Exactly the budget, in Optuna and in MLflow; nothing twice, nothing left open."""
    states = trials_of(place)
    assert states["COMPLETE"] + states["PRUNED"] == TRIALS, states
    assert not states["RUNNING"], states
    runs = runs_of(place)
    trials = [r for r in runs if r.data.tags["ratchet.step"] == "trial"]
    numbers = Counter(r.data.tags["ratchet.trial"] for r in trials)
    assert not [number for number, count in numbers.items() if count > 1], numbers
    finished = [r for r in trials if r.info.status == "FINISHED"]
    assert len(finished) == TRIALS
    assert all("roc_auc" in r.data.metrics or r.data.tags["ratchet.status"] == "pruned" for r in finished)
    assert not [r.data.tags["ratchet.step"] for r in runs if r.info.status == "RUNNING"]


def wait_for_trials(place: Path, count: int, *processes: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while sum(r.data.tags["ratchet.step"] == "trial" for r in runs_of(place)) < count:
        ended = [process.communicate()[0] for process in processes if process.poll() is not None]
        assert not ended, ended
        assert time.monotonic() < deadline, f"{count} trials were not on record after two minutes"
        time.sleep(0.2)


@pytest.mark.parametrize(("stop", "jobs"), [(signal.SIGINT, 1), (signal.SIGTERM, 2)])
def test_a_stopped_search_goes_on_where_it_was(
    workplace: Path, task_file: Callable[..., Path], stop: int, jobs: int
) -> None:
    config = task_file(search=SEARCH | {"jobs": jobs}, data=DATA)
    process = start("ratchet", "train", "-c", config, cwd=workplace)
    wait_for_trials(workplace, 2, process)
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
    check(workplace)
    after = runs_of(workplace)
    train = next(r for r in after if r.data.tags["ratchet.step"] == "train" and r.info.status == "FINISHED")
    trials = [r for r in after if r.data.tags["ratchet.step"] == "trial"]
    assert {r.data.tags["mlflow.parentRunId"] for r in trials} == {train.info.run_id}


@pytest.mark.parametrize("seed", range(times(1, 10)))
def test_a_search_killed_at_any_moment_meets_its_budget_exactly(
    workplace: Path, task_file: Callable[..., Path], seed: int
) -> None:
    moments, config = random.Random(seed), task_file(search=SEARCH | {"jobs": 1 + seed % 2}, data=DATA)
    for _ in range(KILLS_A_STORE):
        process = start("ratchet", "train", "-c", config, cwd=workplace)
        try:
            process.communicate(timeout=moments.uniform(2, 14))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    last = run("ratchet", "train", "-c", config, cwd=workplace)
    assert last.returncode == 0, last.stderr
    check(workplace)


def test_of_four_workers_two_are_killed_and_the_others_meet_the_budget(
    workplace: Path, task_file: Callable[..., Path]
) -> None:
    config = task_file(search=SEARCH, data=DATA)
    assert run("ratchet", "preprocess", "-c", config, cwd=workplace).returncode == 0
    workers = [start("ratchet", "train", "-c", config, "--json", cwd=workplace) for _ in range(4)]
    wait_for_trials(workplace, 2, *workers)
    for worker in workers[:2]:
        worker.kill()
        worker.communicate()
    said = [worker.communicate(timeout=300)[0] for worker in workers[2:]]
    assert [worker.returncode for worker in workers[2:]] == [0, 0], said
    # The runs of the killed ones are closed by the next command of the task.
    assert run("ratchet", "preprocess", "-c", config, "--force", cwd=workplace).returncode == 0
    check(workplace)
    models = {r.data.tags["ratchet.model_uri"] for r in runs_of(workplace) if "ratchet.model_uri" in r.data.tags}
    assert len(models) == 1, "both workers answer with the same model"
