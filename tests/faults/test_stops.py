"""SIGINT and SIGTERM in each step: exit 130, nothing half-done, and the same command goes on."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from tests.end_to_end.commands import run, start
from tests.faults.case import columns, csv
from tests.faults.counts import times
from tests.faults.drive import SOUND

ROWS = 60_000
STEPS = ("preprocess", "train", "evaluate", "promote", "score")
# How long after a step has begun it is stopped at the latest: in the search, too.
LATEST_S = {"preprocess": 0.2, "train": 2.0, "evaluate": 0.2, "promote": 0.2, "score": 0.2}
SHORT = ("evaluate", "promote")  # these may be over by then


def stop_in(step: str, words: list[str], place: Path, sign: signal.Signals, after_s: float) -> tuple[int, str]:
    """Start a command, send it the signal once it says that the step has begun; return its exit code and words."""
    process = start(*words, cwd=place)
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith(f"{step} …"):
            time.sleep(after_s)
            process.send_signal(sign)
            break
    rest, _ = process.communicate(timeout=180)  # it hangs, not: it is slow
    return process.returncode, said + rest


def runs_of(place: Path) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000))


def champion_of(place: Path) -> tuple[list[int], int]:
    """The versions in Production, and the one that bears the alias."""
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    there = [v.version for v in client.search_model_versions() if v.current_stage == "Production"]
    models = client.search_registered_models()
    return [int(number) for number in there], int(models[0].aliases["champion"])


@pytest.mark.parametrize("first", range(times(1, 10)))
def test_every_step_can_be_stopped_and_goes_on(first: int, workplace: Path) -> None:
    target = [int((i % 50 > 24) != (i % 17 == 0)) for i in range(ROWS)]
    (workplace / "data.csv").write_bytes(csv(columns(ROWS, y=target)))
    search = {"models": ["xgboost"], "trials": 2, "folds": 2, "max_rounds": 60}
    (workplace / "task.yaml").write_text(yaml.safe_dump(SOUND | {"search": search}), encoding="utf-8")
    moments = random.Random(first)
    for number, step in enumerate(STEPS):
        sign = (signal.SIGINT, signal.SIGTERM)[(first + number) % 2]
        words = ["ratchet", step, "-c", "task.yaml"]
        words += ["--input", "data.csv", "--output", "answers.csv"] if step == "score" else []
        code, said = stop_in(step, words, workplace, sign, moments.uniform(0, LATEST_S[step]))
        assert "Traceback" not in said
        assert not list(workplace.glob(".ratchet/work-*")) and not list(workplace.glob("*.part"))
        statuses = {r.info.status for r in runs_of(workplace) if r.data.tags["ratchet.step"] == step}
        if step in SHORT and code == 0:  # it was done before the signal came
            assert statuses == {"FINISHED"}, said
            continue
        assert code == 130, said
        assert "the same command goes on from here" in said
        assert not (workplace / "answers.csv").exists()
        assert statuses == {"KILLED"}, said
        again = run(*words, cwd=workplace)  # to its end, so that the next step is stopped in its own work
        assert again.returncode == 0, again.stderr
        assert not [r for r in runs_of(workplace) if r.info.status == "RUNNING"]
    assert champion_of(workplace) == ([1], 1)
    assert len((workplace / "answers.csv").read_text().splitlines()) == ROWS + 1
