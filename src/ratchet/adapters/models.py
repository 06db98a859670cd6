"""Logged models: a scorer becomes one, and is found, fetched and loaded again."""

import hashlib
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters.patience import made_once
from ratchet.errors import Away

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCORER, ENTRY = "scorer", "model.py"
MANIFEST = "manifest.json"  # artifact of the run that logged it: the sha256 of each file of the model
MODEL = "ratchet.model_uri"  # tag of a run: the model that it made or judged


def log_model(client: "MlflowClient", run_id: str, folder: Path, about: Mapping[str, Any]) -> str:
    """Log a scorer as an MLflow model of the run, unless it is there; return its URI, `models:/<model id>`.

    One that an earlier call began and did not finish is written over.
    It is read back and compared before the run names it, so no version ever stands on a model that is not whole.
    folder: holds the scorer's folder and the file that MLflow copies into the model and runs to load it, as SCORER and
    ENTRY; about: signature columns (`inputs`, `outputs`: name -> (type, required)), `requirements` and `metadata`.
    Raises Away if it came back as another one.
    """
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    def schema(columns: Mapping[str, tuple[str, bool]]) -> Any:
        return Schema([ColSpec(kind, name, required=required) for name, (kind, required) in columns.items()])

    run = client.get_run(run_id)
    if MODEL in run.data.tags:
        return str(run.data.tags[MODEL])
    experiment = run.info.experiment_id
    begun = client.search_logged_models([experiment], f"source_run_id = '{run_id}'", max_results=1)
    # Made here: left to MLflow it would belong to the experiment Default, where a scientist has no rights.
    with made_once():
        made = begun[0] if begun else client.create_logged_model(experiment, "model", run_id, params=run.data.params)
    # Explicit signature and requirements: inferring them costs seconds per model.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Model.log(
            None,
            mlflow.pyfunc,
            model_id=made.model_id,
            run_id=run_id,
            python_model=str(folder / ENTRY),
            artifacts={SCORER: str(folder / SCORER)},
            signature=ModelSignature(schema(about["inputs"]), schema(about["outputs"])),
            pip_requirements=about["requirements"],
            metadata=about["metadata"],
        )
    uri = f"models:/{made.model_id}"
    with tempfile.TemporaryDirectory() as place:
        came = download(uri, Path(place))
        (came / "registered_model_meta").unlink(missing_ok=True)  # MLflow's, of the download itself
        if digests(came / "artifacts" / SCORER) != digests(folder / SCORER):
            raise Away(f"{uri}: what is in the store is not what was sent")
        client.log_dict(run_id, digests(came), MANIFEST)
    client.set_tag(run_id, MODEL, uri)  # last: with it the model is whole
    return uri


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file below a folder, by its path there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def load_scorer(uri: str) -> Any:
    """Return the scorer inside a logged model, run by the model's own code."""
    import mlflow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlflow.pyfunc.load_model(uri).unwrap_python_model().scorer


def download(uri: str, target: Path | None = None) -> Path:
    """Return the local folder of a model."""
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(target) if target else None))
