"""Training on more rows than the search looks at, and on a machine without a GPU."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from tests.conftest import Told

MANY = {"sources": {"applicants": {"uris": ["synthetic://credit?rows=4000&seed=3"]}}, "target": "defaulted",
        "positive": 1, "id": "applicant_id", "drop": ["applied_at", "probability_of_default"]}  # fmt: skip

TIMEOUT_S, TOLERANCE = 15, 0.3  # the share by which the estimate of the last fits may be wrong on a busy machine


def test_trees_learn_from_all_rows_when_the_search_sees_a_sample(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    search = {"models": ["xgboost"], "trials": 2, "folds": 2, "max_rows": 1000, "max_rounds": 60}
    told = ratchet("run", "-c", task_file(data=MANY, search=search), "--json")
    assert told.code == 0, told.err
    assert told.json["metrics"]["roc_auc"] > 0.8


def test_linear_models_learn_from_the_sample(ratchet: Callable[..., Told], task_file: Callable[..., Path]) -> None:
    search = {"models": ["linear"], "trials": 2, "folds": 2, "max_rows": 1000}
    told = ratchet("train", "-c", task_file(data=MANY, search=search))
    assert told.code == 0, told.err
    assert re.search(r"trials see 1,000 of 2,\d{3} rows", told.err)


def test_a_search_that_ends_early_says_why(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    search = {"models": ["linear"], "sampler": "grid", "space": {"linear": {"C": [0.1, 1.0]}}, "trials": 9, "folds": 2}
    assert ratchet("train", "-c", task_file(search=search)).code == 0
    search |= {"sampler": "tpe", "space": {}, "trials": 9000, "timeout_s": 2}
    told = ratchet("train", "-c", task_file(search=search))
    assert told.code == 0, told.err
    assert "the search ended early: search.timeout_s (2 s) is over" in told.err
    client = mlflow.MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=9000)
    assert "search.timeout_s (2 s) is over" in {r.data.tags.get("ratchet.ended") for r in runs}
    trials = [r for r in runs if r.data.tags["ratchet.step"] == "trial"]
    assert len({(r.data.tags["ratchet.study"], r.data.tags["ratchet.trial"]) for r in trials}) == len(trials)


@pytest.mark.parametrize(("model", "rows"), [("xgboost", 30_000), ("forest", 6_000)])
def test_train_as_a_whole_ends_by_timeout_s(
    model: str, rows: int, ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    data = MANY | {"sources": {"applicants": {"uris": [f"synthetic://credit?rows={rows}&seed=3"]}}}
    search = {"models": [model], "trials": 500, "folds": 5, "timeout_s": TIMEOUT_S}
    task = task_file(data=data, search=search)
    assert ratchet("preprocess", "-c", task).code == 0
    assert "train ends within 15 s (search.timeout_s)" in ratchet("run", "-c", task, "--plan").out
    told = ratchet("train", "-c", task)
    assert told.code == 0, told.err
    client = mlflow.MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    experiments = [each.experiment_id for each in client.search_experiments()]
    (train,) = client.search_runs(experiments, "tags.`ratchet.step` = 'train'")
    took_s = (train.info.end_time - train.info.start_time) / 1000
    trials = json.loads((Path(train.info.artifact_uri) / "trials.json").read_text())
    least = [len(trial["folds"]) for trial in trials] == [1]  # one fold and its last fits are done in any case
    assert least or took_s <= TIMEOUT_S * (1 + TOLERANCE), f"{took_s:.1f} s"
    assert train.data.tags["ratchet.ended"] == f"search.timeout_s ({TIMEOUT_S} s) is over"
