"""What earlier runs left on the tracking server: the runs themselves, found by step and key, and their artifacts."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ratchet.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

STEP, TASK, KEY = "ratchet.step", "ratchet.task", "ratchet.key"


def find_finished(client: "MlflowClient", step: str, key: str) -> str | None:
    """Return the id of the newest finished run of the step with this key, in any experiment."""
    found = find(client, f"tags.`{STEP}` = '{step}' and tags.`{KEY}` = '{key}' and attributes.status = 'FINISHED'", 1)
    return str(found[0].info.run_id) if found else None


def last_finished(client: "MlflowClient", task: str, step: str) -> str | None:
    """Return the id of the task's newest finished run of a step that did its work itself."""
    found = find(client, f"tags.`{TASK}` = '{task}' and tags.`{STEP}` = '{step}' and attributes.status = 'FINISHED'"
                 f" and tags.`{KEY}` LIKE '%'", 1)  # fmt: skip
    return str(found[0].info.run_id) if found else None


def last_runs(client: "MlflowClient", task: str, limit: int = 8) -> list[dict[str, Any]]:
    """Return the newest runs of the task's steps: step, status, run id, start (ms)."""
    runs = find(client, f"tags.`{TASK}` = '{task}' and tags.`{STEP}` != 'trial'", limit)
    return [
        {
            "step": run.data.tags[STEP],
            "status": run.info.status,
            "run_id": run.info.run_id,
            "start_ms": run.info.start_time,
        }
        for run in runs
    ]


def find(client: "MlflowClient", condition: str, limit: int) -> list[Any]:
    """Return MLflow's runs that meet the condition, of all experiments, the newest first."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found: list[Any] = []
    token = None
    while len(found) < limit:
        page = client.search_runs(
            experiments, condition, max_results=min(limit - len(found), 1000), page_token=token,
            order_by=["attributes.start_time DESC"],
        )  # fmt: skip
        found += page
        token = page.token
        if not token:
            break
    return found


def read_json(client: "MlflowClient", run_id: str, path: str) -> Any:
    """Return a JSON artifact of a run."""
    return json.loads(fetch(client, run_id, path).read_text(encoding="utf-8"))


def read_json_if_there(client: "MlflowClient", run_id: str, path: str) -> Any:
    """Return a JSON artifact of a run; None if it is not there, as in runs of older versions."""
    return read_json(client, run_id, path) if is_there(client, run_id, path) else None


def is_there(client: "MlflowClient", run_id: str, path: str) -> bool:
    """Whether a run has an artifact. Asked for by name a missing one of a server is retried for long; a list is not."""
    parent, _, _ = path.rpartition("/")
    return path in {entry.path for entry in client.list_artifacts(run_id, parent or None)}


def fetch(client: "MlflowClient", run_id: str, path: str) -> Path:
    """Return the local path of an artifact: itself where it is local, else a copy that is kept.

    Raises FileNotFoundError if somebody removed it from a local store.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.utils.file_utils import local_file_uri_to_path

    root = client.get_run(run_id).info.artifact_uri
    if urlsplit(root).scheme in ("", "file"):
        found = Path(local_file_uri_to_path(root)) / path
        if not found.exists():
            raise FileNotFoundError(found)
        return found
    kept = Settings.from_env().home / "cache" / "runs" / run_id
    if (kept / path).exists():
        return kept / path
    with tempfile.TemporaryDirectory(dir=_made(kept)) as place:
        came = Path(
            download_artifacts(run_id=run_id, artifact_path=path, dst_path=place, tracking_uri=client.tracking_uri)
        )
        _made((kept / path).parent)
        try:
            came.replace(kept / path)
        except OSError:
            if not (kept / path).exists():  # else another process fetched it in between
                raise
    return kept / path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
