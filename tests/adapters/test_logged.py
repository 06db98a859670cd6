"""A model comes into the store once, however often what it needs breaks on the way."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Metric

from ratchet.adapters import models, tracking
from ratchet.adapters.logged import log_model
from ratchet.errors import ModelError
from ratchet.settings import Settings
from ratchet.steps.inputs import PACKAGE

ABOUT: dict[str, Any] = {
    "inputs": {"x": ("double", False)}, "outputs": {"label": ("string", True)},
    "requirements": [f"mlflow=={mlflow.__version__}"], "metadata": {"task": "small"},
}  # fmt: skip
IN_THE_WAY = {"its files": "models", "its run's files": "{run}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What becomes a model: MLflow runs the file to log it, and loads nothing yet."""
    made = tmp_path / "made"
    (made / models.SCORER).mkdir(parents=True)
    (made / models.SCORER / "state.json").write_text("{}", encoding="utf-8")
    (made / models.ENTRY).write_text((PACKAGE / "serving" / "model.py").read_text(encoding="utf-8"), encoding="utf-8")
    return made


def test_a_file_of_somebody_else_in_the_store_is_named(workplace: Path, folder: Path) -> None:
    client = tracking.client(Settings.from_env())
    experiment = client.create_experiment("small")
    run_id = client.create_run(experiment).info.run_id
    made = client.create_logged_model(experiment, "model", run_id)
    place = Path(made.artifact_location.removeprefix("file://"))
    (place / "artifacts").mkdir(parents=True)
    (place / "artifacts" / "notes.txt").touch()
    with pytest.raises(ModelError, match=r"artifacts/notes\.txt is in the store beside what was sent; remove it there"):
        log_model(client, run_id, folder, ABOUT)
    (place / "artifacts" / "notes.txt").unlink()
    assert log_model(client, run_id, folder, ABOUT) == f"models:/{made.model_id}"


@pytest.mark.parametrize("broken", IN_THE_WAY)
def test_a_model_whose_way_into_the_store_broke_is_logged_by_the_next_call_as_the_same_one(
    workplace: Path, folder: Path, broken: str
) -> None:
    client = tracking.client(Settings.from_env())
    experiment = client.create_experiment("small")
    run_id = client.create_run(experiment).info.run_id
    client.log_batch(run_id, [Metric("roc_auc", 0.75, 1, 0), Metric("each_round", 0.5, 1, 7)])
    place = workplace / "mlruns" / experiment / IN_THE_WAY[broken].format(run=run_id)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()
    with pytest.raises(OSError, match=place.name):
        log_model(client, run_id, folder, ABOUT)
    assert models.MODEL not in client.get_run(run_id).data.tags
    place.unlink()

    uri = log_model(client, run_id, folder, ABOUT)
    assert log_model(client, run_id, folder, ABOUT) == uri
    (made,) = client.search_logged_models([experiment])
    run = client.get_run(run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [made.model_id]
    assert uri == run.data.tags[models.MODEL] == f"models:/{made.model_id}"
    assert made.status == "READY"
    assert [(metric.key, metric.value) for metric in made.metrics] == [("roc_auc", 0.75)]
    (workplace / "fetched").mkdir()
    assert models.fetched(client, models.Model(uri, uri, run_id, {}), workplace / "fetched")
