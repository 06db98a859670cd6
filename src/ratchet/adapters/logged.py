"""A scorer becomes a logged model of its run, with a manifest of its files: once, however often it is tried."""

import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters import copies, signatures
from ratchet.adapters.models import DIGEST, ENTRY, MANIFEST, MODEL, SCORER, manifest_digest
from ratchet.adapters.patience import made_once
from ratchet.errors import Away, ModelError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_model(
    client: "MlflowClient", run_id: str, folder: Path, about: Mapping[str, Any], key: Path | None = None
) -> str:
    """Log a scorer as an MLflow model of the run, unless it is there; return its URI, `models:/<model id>`.

    One that an earlier call began and did not finish is written over.
    It is read back and compared before the run names it, so no version ever stands on a model that is not whole.
    folder: holds the scorer's folder and the file that MLflow copies into the model and runs to load it, as SCORER and
    ENTRY; about: signature columns (`inputs`, `outputs`: name -> (type, required)), `params` of a request (name ->
    (type, default)), `requirements` and `metadata`; key: the private one that signs it.
    Raises Away if it came back as another one, ModelError if the store holds files of somebody else in it.
    """
    run = client.get_run(run_id)
    if MODEL in run.data.tags:
        return str(run.data.tags[MODEL])
    experiment = run.info.experiment_id
    begun = client.search_logged_models([experiment], f"source_run_id = '{run_id}'", max_results=1)
    # Made here: left to MLflow it would belong to the experiment Default, where a scientist has no rights.
    with made_once():
        made = begun[0] if begun else client.create_logged_model(experiment, "model", run_id, params=run.data.params)
    uri = f"models:/{made.model_id}"
    with tempfile.TemporaryDirectory() as place:
        saved = _saved(made, run_id, folder, about, Path(place) / "saved")
        client.log_model_artifacts(made.model_id, str(saved))
        came = copies.copied(uri, Path(place) / "model")
        manifest = copies.digests(came)
        sent = copies.digests(saved)
        if any(manifest.get(path) != digest for path, digest in sent.items()):
            raise Away(f"{uri}: what is in the store is not what was sent")
        if extra := sorted(manifest.keys() - sent.keys()):
            raise ModelError(f"{uri}: {extra[0]} is in the store beside what was sent; remove it there, and try again")
        _named_by_run(client, run, made)
        client.log_dict(run_id, manifest, MANIFEST)
        if key:
            signature = Path(place) / signatures.SIGNATURE
            signatures.sign(came, key, signature)
            client.log_artifact(run_id, str(signature))
    client.set_tag(run_id, DIGEST, manifest_digest(manifest))
    client.set_tag(run_id, MODEL, uri)  # last: with it the model is whole
    return uri


def _saved(made: Any, run_id: str, folder: Path, about: Mapping[str, Any], target: Path) -> Path:
    """Write the files of a logged model."""
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType

    def schema(columns: Mapping[str, tuple[str, bool]]) -> Any:
        return Schema([
            ColSpec(AnyType() if kind == "any" else kind, name, required=required)
            for name, (kind, required) in columns.items()
        ])  # fmt: skip

    params = [ParamSpec(name, kind, default) for name, (kind, default) in about.get("params", {}).items()]
    # Explicit signature and requirements: inferring them costs seconds per model.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            str(target),
            python_model=str(folder / ENTRY),
            artifacts={SCORER: str(folder / SCORER)},
            # What may be set when it is loaded: the one column of the answers that is wanted (serving/model.py).
            model_config={"column": ""},
            signature=ModelSignature(schema(about["inputs"]), schema(about["outputs"]), ParamSchema(params)),
            pip_requirements=about["requirements"],
            mlflow_model=Model(made.artifact_location, run_id, model_uuid=made.model_id, model_id=made.model_id,
                               metadata=about["metadata"]),
        )  # fmt: skip
    for bytecode in target.rglob("__pycache__"):  # of the code, which MLflow ran to see that it can be
        shutil.rmtree(bytecode)
    return target


def _named_by_run(client: "MlflowClient", run: Any, made: Any) -> None:
    """Have the run name the model as its own, and the model the run's metrics, as `mlflow.pyfunc.log_model` does.

    That one cannot be called again: a run takes the same model once. Here one whose way broke stays PENDING until then.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    if made.model_id not in [output.model_id for output in (run.outputs.model_outputs if run.outputs else [])]:
        with made_once():
            client.log_outputs(run.info.run_id, [LoggedModelOutput(made.model_id, step=0)])
    points = [point for name in run.data.metrics for point in client.get_metric_history(run.info.run_id, name)]
    client.log_batch(run.info.run_id, [
        Metric(p.key, p.value, p.timestamp, p.step, model_id=made.model_id, run_id=run.info.run_id)
        for p in points if p.step == 0 and p.model_id is None])  # fmt: skip
    client.finalize_logged_model(made.model_id, "READY")
