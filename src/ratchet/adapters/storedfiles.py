"""Files of runs and models in MLflow's artifact store: how large they are, and how they are removed."""

from typing import TYPE_CHECKING, Any

from ratchet.adapters.records import KEY

if TYPE_CHECKING:
    from mlflow import MlflowClient

PRUNED = "ratchet.pruned"  # tag of a run: when files of it were removed


def bytes_below(address: str, path: str | None = None) -> int:
    """Return how many bytes the files below a path of an artifact store take.

    Args:
        address: Of a run's or a model's artifacts, as MLflow gives it.
        path: A folder there; None: all.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    store, total, folders = get_artifact_repository(address), 0, [path]
    while folders:
        for entry in store.list_artifacts(folders.pop()):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                total += entry.file_size or 0
    return total


def remove(address: str, path: str | None = None) -> None:
    """Remove the files below a path of an artifact store; what is gone already is no fault."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    store = get_artifact_repository(address)
    if path is None or path in {entry.path for entry in store.list_artifacts(path.rpartition("/")[0] or None)}:
        store.delete_artifacts(path)


def forget(client: "MlflowClient", run: Any, when: str) -> None:
    """Have a run found no more as one to use again, and say on it that files were removed."""
    if KEY in run.data.tags:
        client.delete_tag(run.info.run_id, KEY)
    client.set_tag(run.info.run_id, PRUNED, when)


def deleted_runs(client: "MlflowClient", condition: str) -> list[Any]:
    """Return the runs that somebody deleted and that MLflow still keeps."""
    from mlflow.entities import ViewType

    found: list[Any] = []
    token = None
    experiments = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
    while True:
        page = client.search_runs(experiments, condition, ViewType.DELETED_ONLY, 1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def may_erase(client: "MlflowClient") -> bool:
    """Whether deleted runs can be erased from here: in the store itself, and not through a server."""
    return hasattr(client._tracking_client.store, "_hard_delete_run")


def erase(client: "MlflowClient", run: Any) -> None:
    """Erase a deleted run with its files, as `mlflow gc` does; that one erases all deleted experiments as well."""
    remove(run.info.artifact_uri)
    client._tracking_client.store._hard_delete_run(run.info.run_id)
