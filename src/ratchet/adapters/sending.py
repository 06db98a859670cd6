"""Records of a spool become calls of the tracking server, each such that doing it twice does no harm."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters import logged, trialruns
from ratchet.adapters.outbox import Record

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_PARAMS, MOST_METRICS = 100, 900  # in one call; the server takes 100 and 1,000
Locked = Callable[[str], AbstractContextManager[None]]


def send(client: "MlflowClient", locked: Locked, record: Record, key: Path | None = None) -> None:
    """Send one record. locked: the lock of a name, over all machines; key: the private one that signs models, if any.

    Raises what MLflow raises.
    """
    content, files = record.content, record.files or Path()
    match record.kind:
        case "batch":
            _log_batch(client, record.run, content)
        case "files":
            client.log_artifacts(record.run, str(files), content["path"] or None)
        case "data":
            _log_data(client, record.run, content)
        case "trial":
            _record(client, locked, record)
        case "study":
            with locked(content["lock"]):
                trialruns.settle(client, content["study"])
        case "model":
            logged.log_model(client, record.run, files, content, key)
        case "end":
            client.set_terminated(record.run, content["status"], content["at_ms"])


def _record(client: "MlflowClient", locked: Locked, record: Record) -> None:
    experiment, entry = record.content["experiment"], trialruns.Entry(**record.content["entry"])
    if record.is_new and entry.is_own():
        trialruns.write(client, experiment, record.run, entry)
        return
    with locked(record.content["lock"]):
        trialruns.record(client, experiment, record.run, entry)


def _log_batch(client: "MlflowClient", run_id: str, content: Mapping[str, Sequence[Any]]) -> None:
    """Params and tags as (name, value), metrics as (name, value, ms since 1970, step)."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(*pair) for pair in content.get("params", ())]
    metrics = [Metric(*point) for point in content.get("metrics", ())]
    tags = [RunTag(*pair) for pair in content.get("tags", ())]
    while params or metrics or tags:
        client.log_batch(run_id, metrics[:MOST_METRICS], params[:MOST_PARAMS], tags[:MOST_PARAMS])
        params, metrics, tags = params[MOST_PARAMS:], metrics[MOST_METRICS:], tags[MOST_PARAMS:]


def _log_data(client: "MlflowClient", run_id: str, content: Mapping[str, str]) -> None:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    source = CodeDatasetSource({"uri": content["origin"]})
    data = MetaDataset(source, name=content["name"][:500], digest=content["digest"][:36])
    tag = InputTag("mlflow.data.context", content["context"])
    client.log_inputs(run_id, [DatasetInput(data._to_mlflow_entity(), [tag])])
