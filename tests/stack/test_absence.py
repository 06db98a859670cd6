"""What the stack stands on goes away in the middle of the work: nothing is lost, nothing is there twice."""

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ratchet.adapters.postgres import IMMEDIATE
from ratchet.operate.stack import Stack
from tests.end_to_end.commands import environment, run, start
from tests.faults.counts import times
from tests.stack import records
from tests.stack.unreliable import way_to

SHARE = 0.15
TRIALS = times(10, 60)
SEARCH = {"models": ["xgboost"], "trials": TRIALS, "folds": 3, "max_rounds": 200,
          "space": {"xgboost": {"learning_rate": [0.02, 0.03], "max_depth": [4, 6]}}}  # fmt: skip
DATA = {"sources": {"applicants": {"uris": ["synthetic://credit?rows=4000&seed=3"]}}, "target": "defaulted",
        "positive": 1, "id": "applicant_id", "drop": ["applied_at", "probability_of_default"]}  # fmt: skip


def search(seed: int) -> dict[str, object]:
    """A search that no other test has done: a finished one would be used again."""
    return SEARCH | {"seed": seed}


def begun(stack: Stack, config: Path, workplace: Path, **more: str) -> "subprocess.Popen[str]":
    """Start a training, in an environment of its own; return when its first trial is on record."""
    env = environment(**stack.environment(), **more)
    training = start("ratchet", "train", "-c", config, cwd=workplace, env=env)
    deadline = time.monotonic() + 120
    while not records.runs_of(stack, config.stem, "trial"):
        assert training.poll() is None, training.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return training


def test_a_training_goes_on_over_crashes_of_postgres(
    stack: Stack, task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file(name="crashes", data=DATA, search=search(1))
    training, chance, crashes = begun(stack, config, workplace), random.Random(4), 0
    while training.poll() is None and crashes < times(3, 20):
        stack.cluster.stop(IMMEDIATE)
        time.sleep(chance.uniform(0, 2))
        stack.cluster.start()
        crashes += 1
        time.sleep(chance.uniform(0.5, 3))
    said = training.communicate(timeout=300)[0]
    assert training.returncode == 0, said
    assert crashes >= times(3, 20), f"it was over after {crashes} crashes"
    records.check_trials(stack, "crashes", TRIALS)
    print(f"{crashes} crashes of PostgreSQL; {TRIALS} trials, each on record once")


@pytest.mark.parametrize("away", ["server", "postgres"])
def test_a_training_waits_for_what_is_away_and_ends_well(
    away: str, stack: Stack, task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file(name=f"away-{away}", data=DATA, search=search(len(away)))
    training = begun(stack, config, workplace)
    part = stack.tracking if away == "server" else stack.cluster
    part.stop()
    time.sleep(times(10, 60))
    part.start()
    said = training.communicate(timeout=300)[0]
    assert training.returncode == 0, said
    if away == "postgres":  # over a short absence of the server MLflow's own client tries again
        assert "waiting for" in said
    records.check_trials(stack, f"away-{away}", TRIALS)


def test_a_server_that_stays_away_keeps_the_finished_training_for_the_next_command(
    stack: Stack, task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file(name="later", data=DATA, search=search(2))
    training = begun(stack, config, workplace, RATCHET_PATIENCE_S="5")
    stack.tracking.stop()
    said = training.communicate(timeout=300)[0]
    stack.tracking.start()
    assert training.returncode == 1, said
    assert "the next command sends them" in said
    env = environment(**stack.environment())
    again = run("ratchet", "train", "-c", config, cwd=workplace, env=env)
    assert again.returncode == 0, again.stderr
    assert "records that an earlier command had left behind are sent" in again.stderr
    assert "train reused" in again.stderr
    records.check_trials(stack, "later", TRIALS)


def test_answers_that_are_lost_make_nothing_twice(
    stack: Stack, task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file(name="lost", search={"models": ["linear"], "trials": 4, "folds": 2})
    with way_to(stack.ports.tracking, SHARE) as (uri, seen):
        env = environment(**stack.environment() | {"MLFLOW_TRACKING_URI": uri})
        done = run("ratchet", "run", "-c", config, cwd=workplace, env=env, timeout_s=600)
    assert done.returncode == 0, done.stderr
    assert seen["cut after"] > 5, seen
    for step in ("main", "preprocess", "train", "evaluate", "promote"):
        assert list(records.runs_of(stack, "lost", step).values()) == ["FINISHED"], step
    records.check_trials(stack, "lost", 4)
    doubles = "SELECT count(*) FROM runs JOIN experiments USING (experiment_id) WHERE experiments.name = 'lost'"
    assert records.rows(stack, doubles) == [(4 + 5,)], "none was made and taken away again"
    models = "SELECT count(*) FROM logged_models JOIN experiments USING (experiment_id) WHERE experiments.name = 'lost'"
    assert records.rows(stack, models) == [(1,)]
    assert records.rows(stack, "SELECT count(*) FROM model_versions WHERE name = 'lost'") == [(1,)]
    print(f"{dict(seen)}: five steps, 4 trials, one model, one version")
