"""Runs on the tracking server: opened, adopted, nested, filled and found again; plain values in and out."""

import contextlib
import getpass
import json
import logging
import math
import os
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters import database, process, records
from ratchet.adapters.records import STEP, TASK
from ratchet.errors import RatchetError, ServerError
from ratchet.settings import Settings, masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

WORKER, BEAT = "ratchet.worker", "ratchet.beat"
BEAT_S, GRACE_S = 20, 60
MIGRATION_S = 120  # how long another command may take to make a store; here it takes 4
PARENT = "mlflow.parentRunId"
BATCH = 900  # the server takes 1,000 metrics in one call


def client(settings: Settings) -> "MlflowClient":
    """Return a client of the tracking store, with MLflow's chatter turned down.

    Raises ServerError if the store cannot be opened.
    """
    # A missing proxied object is retried with doubling waits: without a bound that hangs for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # with --json one object is all there is
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
    import mlflow

    mlflow.set_tracking_uri(settings.tracking_uri)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # what it tells is raised as well
    with _alone(settings.tracking_uri), reachable(settings):
        found = mlflow.MlflowClient(settings.tracking_uri, registry_uri=settings.tracking_uri)
        found.search_experiments(max_results=1)
        return found


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Keep other commands away while an SQLite store is opened: MLflow makes and migrates it without a lock."""
    store = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not os.access(store.parent, os.W_OK):
        yield
        return
    with database.file_lock(uri, store.name, MIGRATION_S):
        yield


@contextlib.contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """Turn MLflow's own errors into one line that names the server."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        lines = [*str(error).splitlines(), type(error).__name__]
        line = next((line for line in lines if "Error) " in line), lines[0])  # SQLAlchemy may put advice before it
        away = isinstance(error, requests.RequestException) or "API request to" in line
        shown = masked(settings.tracking_uri)
        if away:
            raise ServerError(f"{shown}: no answer; is MLFLOW_TRACKING_URI right, and the server up?") from error
        raise ServerError(f"{shown}: {line.replace(settings.tracking_uri, shown)[:300]}") from error


@dataclass(frozen=True)
class Run:
    """One open run: what is logged is on record at once."""

    client: "MlflowClient"
    id: str
    experiment_id: str
    until_closed: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, compare=False)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters, each cut at 500 characters."""
        from mlflow.entities import Param

        entries = [Param(name, str(value)[:500]) for name, value in params.items()]
        for start in range(0, len(entries), 100):
            self.client.log_batch(self.id, params=entries[start : start + 100])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics at one step; NaN ones are left out, since a chart cannot show them."""
        self.log_curves({name: [(step, value)] for name, value in metrics.items()})

    def log_curves(self, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Log metrics as (step, value) pairs."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [(n, step, v) for n, pairs in curves.items() for step, v in pairs if not math.isnan(v)]
        entries = [Metric(name, float(value), now, step) for name, step, value in points]
        for start in range(0, len(entries), BATCH):
            self.client.log_batch(self.id, metrics=entries[start : start + BATCH])

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags on the run."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.id, tags=[RunTag(name, str(value)[:5000]) for name, value in tags.items()])

    def log_json(self, content: Any, path: str) -> None:
        """Log plain values as a JSON artifact."""
        self.client.log_text(self.id, json.dumps(content, ensure_ascii=False, indent=1, default=str), path)

    def log_figures(self, figures: Mapping[str, Any], folder: str = "plots") -> None:
        """Log matplotlib figures as PNG artifacts, in one upload."""
        with tempfile.TemporaryDirectory() as place:
            with warnings.catch_warnings():  # without a font for Hangul its letters are boxes; that stops nothing
                warnings.filterwarnings("ignore", message="Glyph .* missing from")
                for name, figure in figures.items():
                    figure.savefig(Path(place) / f"{name}.png", dpi=110)
            self.client.log_artifacts(self.id, place, folder)

    def log_files(self, folder: Path, path: str) -> None:
        """Log the files of a folder as artifacts."""
        self.client.log_artifacts(self.id, str(folder), path)

    def log_data(self, name: str, digest: str, origin: str, context: str) -> None:
        """Record the data set that the run used, with its digest."""
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        data = MetaDataset(CodeDatasetSource({"uri": origin}), name=name[:500], digest=digest[:36])
        tag = InputTag("mlflow.data.context", context)
        self.client.log_inputs(self.id, [DatasetInput(data._to_mlflow_entity(), [tag])])


@contextlib.contextmanager
def opened(client: "MlflowClient", task: str, step: str, parent: Run | None = None) -> Iterator[Run]:
    """Open the run of a step: the one that `mlflow run` opened, else a new one, nested under the parent if given.

    It ends FINISHED, FAILED, or KILLED when interrupted. What hangs on `until_closed`, such as a lock, is let go after
    that. A run whose process was killed outright stays RUNNING until a later one of the task begins.
    """
    if not parent:
        _close_abandoned(client, task)
    tags = {STEP: step, TASK: task, WORKER: process.me(), "mlflow.runName": step} | source()
    adopted = None if parent else os.environ.pop("MLFLOW_RUN_ID", None)
    if adopted:
        opened_by_mlflow = client.get_run(adopted)
        experiment = opened_by_mlflow.info.experiment_id
        run = Run(client, adopted, experiment)
        named = set(opened_by_mlflow.data.tags) - {"mlflow.runName"}  # the source, such as a git URL, is its own
        run.set_tags({name: value for name, value in tags.items() if name not in named})
    else:
        experiment = parent.experiment_id if parent else experiment_of(client, task)
        if parent:
            tags[PARENT] = parent.id
        run = Run(client, client.create_run(experiment, tags=tags).info.run_id, experiment)
    status = "FAILED"
    with run.until_closed:
        try:
            with _beating(run):
                yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        except RatchetError as error:
            run.set_tags({"ratchet.error": error})
            raise
        finally:
            client.set_terminated(run.id, status)


@contextlib.contextmanager
def _beating(run: Run) -> Iterator[None]:
    """Say every BEAT_S that the run lives, for other machines, which cannot see its process."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_S):
            with contextlib.suppress(Exception):  # an absent server is noticed by the work itself
                run.set_tags({BEAT: int(time.time())})

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _close_abandoned(client: "MlflowClient", task: str) -> None:
    """End, as KILLED, the runs whose process is gone; of another machine: those that no longer say that they live."""
    steps = f"tags.`{TASK}` = '{task}' and tags.`{STEP}` != 'trial' and attributes.status = 'RUNNING'"
    for run in records.find(client, steps, 1000):
        tags = run.data.tags
        said = float(tags.get(BEAT, run.info.start_time / 1000))
        worker = tags.get(WORKER, "")
        silent = time.time() - said > BEAT_S + GRACE_S
        if process.is_gone(worker) or (silent and not process.is_here(worker)):
            client.set_terminated(run.info.run_id, "KILLED")


def experiment_of(client: "MlflowClient", task: str) -> str:
    """Return the id of the task's experiment, made when it is not there."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(task)
    if found is None:
        try:
            return str(client.create_experiment(task))
        except MlflowException:  # another process made it in between
            found = client.get_experiment_by_name(task)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise ServerError(f"experiment {task!r} is deleted; restore it (mlflow experiments restore) or rename the task")
    return str(found.experiment_id)


@cache
def source() -> dict[str, str]:
    """Return the tags that say from which code a run comes."""
    commit = git_commit()
    tags = {"mlflow.source.name": "ratchet", "mlflow.source.type": "PROJECT"}
    with contextlib.suppress(KeyError, OSError):  # a container may run as a user without a name
        tags["mlflow.user"] = getpass.getuser()
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


@cache
def git_commit() -> str:
    """Return the commit of Ratchet's own source, with `-dirty` if it was changed; empty outside a checkout."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
