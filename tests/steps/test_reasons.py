"""The wording of reasons belongs to the model: a change makes a new one, and searches nothing again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.conftest import Told

SEARCH = {"models": ["linear"], "trials": 2, "folds": 2}
WORDING = {"late_payments": "Record of late payments"}


def finished(workplace: Path, step: str) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    every = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(every, f"tags.`ratchet.step` = '{step}' and attributes.status = 'FINISHED'"))


def state(workplace: Path, model_uri: str) -> dict[str, bytes]:
    """The files of the state of a logged model."""
    place = Path(mlflow.artifacts.download_artifacts(model_uri, tracking_uri=f"sqlite:///{workplace / 'mlflow.db'}"))
    return {file.name: file.read_bytes() for file in (place / "artifacts" / "scorer" / "state").iterdir()}


def test_new_words_for_reasons_make_a_new_model_without_a_search(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    assert ratchet("train", "-c", task_file(search=SEARCH)).code == 0
    told = ratchet("train", "-c", task_file(search=SEARCH, reasons=WORDING))
    assert told.code == 0, told.err
    assert "train runs again: reasons is gone; reasons.late_payments is new" in told.err
    assert [len(finished(workplace, step)) for step in ("preprocess", "trial", "train")] == [1, 2, 2]
    after, before = (state(workplace, run.data.tags["ratchet.model_uri"]) for run in finished(workplace, "train"))
    assert {name for name in after if after[name] != before[name]} == {"scorer.json"}
    specs = [json.loads(files["scorer.json"]) for files in (before, after)]
    assert [spec.pop("reasons") for spec in specs] == [{}, WORDING]
    assert specs[0] == specs[1]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("late_payment", "reasons.late_payment: no feature 'late_payment'; did you mean 'late_payments'?"),
        ("applicant_id", "reasons.applicant_id: is no feature: the id"),
        ("defaulted", "reasons.defaulted: is no feature: the target"),
    ],
)
def test_a_reason_of_no_feature_is_refused_before_the_search(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path, name: str, fault: str
) -> None:
    told = ratchet("train", "-c", task_file(search=SEARCH, reasons=WORDING | {name: "Words"}))
    assert told.code == 1
    assert fault in told.err
    assert not finished(workplace, "trial")
