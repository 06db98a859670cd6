"""The tracking server itself: how it is reached, what it says in one line, its experiments, where runs come from."""

import contextlib
import hashlib
import logging
import os
import shlex
import socket
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ratchet.adapters import database, git, process
from ratchet.adapters.patience import CALLS_AGAIN
from ratchet.errors import ServerError
from ratchet.settings import Settings, masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE, KIND = "mlflow.note.content", "mlflow.experimentKind"
OWN_NOTE = "ratchet.note"  # tag of an experiment: the digest of the description that was written here
METRIC, RISES = "mlflow.experiment.primaryMetric.name", "mlflow.experiment.primaryMetric.greaterIsBetter"
CLASSIC = "custom_model_development"  # the UI then shows runs, models and metrics, and no traces of agents
IDENTITY_S = 30
MIGRATION_S = 120  # how long another command may take to make a store; here it takes 4


def client(settings: Settings) -> "MlflowClient":
    """Return a client of the tracking store, with MLflow's chatter turned down.

    Raises ServerError if the store cannot be opened.
    """
    # A missing proxied object is retried with doubling waits: without a bound that hangs for minutes.
    os.environ.setdefault(CALLS_AGAIN, "4")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # with --json one object is all there is
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
    import mlflow

    mlflow.set_tracking_uri(settings.tracking_uri)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # what it tells is raised as well
    if settings.tracking_uri.startswith("postgresql"):
        database.refuse_if_it_holds(settings.tracking_uri, "studies", "Ratchet; give MLflow")
    with _alone(settings.tracking_uri), reachable(settings):
        found = mlflow.MlflowClient(settings.tracking_uri, registry_uri=settings.tracking_uri)
        found.search_experiments(max_results=1)
        return found


def identity(settings: Settings) -> dict[str, str]:
    """Return who works here and where: the account that the server has confirmed, the system's user, the host.

    The account is empty where the server keeps none: then a name in the environment is nobody's.
    """
    from mlflow.utils.credentials import get_default_host_creds

    parts, account = urlsplit(settings.tracking_uri), ""
    if parts.scheme.startswith("http"):  # an account in the address is the one that is sent
        creds = get_default_host_creds(settings.tracking_uri)
        name, password = parts.username or creds.username or "", parts.password or creds.password or ""
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        account = name if name and _is_account(plain, name, password) else ""
    return {"account": account, "person": process.user(), "host": socket.gethostname()}


@cache
def _is_account(uri: str, name: str, password: str) -> bool:
    """Whether the server keeps accounts, and this is one with that password.

    Raises ServerError if it does not answer.
    """
    import requests

    for path, more in (("current", {}), ("get", {"username": name})):  # a server of before 3.17 has the second alone
        url = f"{uri.rstrip('/')}/api/2.0/mlflow/users/{path}"
        try:
            answer = requests.get(url, params=more, auth=(name, password), timeout=IDENTITY_S)
            told = answer.json() if answer.ok else {}
        except requests.RequestException as error:
            raise ServerError(f"{uri}: no answer to who {name!r} is ({type(error).__name__})") from None
        if told and told.get("user", told).get("username") == name:
            return True
    return False


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
        if "error code 401" in str(error) or "401 Client Error" in str(error):
            mend = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account of this server"
            raise ServerError(f"{shown}: {_as_whom()} is refused; {mend}") from error
        if "error code 403" in str(error) or "403 Client Error" in str(error):
            mend = "an admin of the server grants it, for the task's experiment and model (docs/accounts.md)"
            raise ServerError(f"{shown}: {_as_whom()} may not do this; {mend}") from error
        if away:
            raise ServerError(f"{shown}: no answer; is MLFLOW_TRACKING_URI right, and the server up?") from error
        raise ServerError(f"{shown}: {line.replace(settings.tracking_uri, shown)[:300]}") from error


def _as_whom() -> str:
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return f"the account {name!r}" if name else "a call without an account"


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


@dataclass(frozen=True)
class About:
    """What the UI shows of an experiment. metric: the one by which its runs are compared."""

    text: str
    metric: str
    higher_is_better: bool


def describe_experiment(client: "MlflowClient", experiment_id: str, task: str, about: About) -> None:
    """Write what the UI shows of a task's experiment; a description or kind that somebody chose there stays.

    An experiment of another name, into which `mlflow run` may put the runs of several tasks, is left as it is.
    """
    experiment = client.get_experiment(experiment_id)
    if experiment.name != task:
        return
    tags = experiment.tags
    wanted = {METRIC: about.metric, RISES: str(about.higher_is_better)}
    if not tags.get(NOTE) or _digest(tags[NOTE]) == tags.get(OWN_NOTE):
        wanted |= {NOTE: about.text, OWN_NOTE: _digest(about.text)}
    if tags.get(KIND, "_inferred").endswith(("_inferred", "_inferred_type")):  # what the UI guessed, nobody chose
        wanted[KIND] = CLASSIC
    for name, value in wanted.items():
        if tags.get(name) != value:
            client.set_experiment_tag(experiment_id, name, value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def require_in_place(client: "MlflowClient", settings: Settings, task: str) -> None:
    """Refuse a local store that was moved: MLflow keeps the places of a run's files as absolute paths.

    Raises:
        ServerError: where the files were kept, and how they are found again.
    """
    from mlflow.utils.file_utils import local_file_uri_to_path

    home = settings.home.parent
    experiment = client.get_experiment_by_name(task) if settings.tracking_uri.startswith("sqlite") else None
    if experiment is None or urlsplit(experiment.artifact_location).scheme not in ("", "file"):
        return
    kept = Path(local_file_uri_to_path(experiment.artifact_location))
    if kept.exists() or kept.is_relative_to(home) or not client.search_runs([experiment.experiment_id], max_results=1):
        return
    former = kept.parents[1] if kept.parent.name == "mlruns" else kept
    link = f"ln -s {shlex.quote(str(home))} {shlex.quote(str(former))}"
    raise ServerError(
        f"{masked(settings.tracking_uri)}: the files of its runs were kept in {kept}, which is not there; was the"
        f" project moved from {former}? Move it back, or make a link there: {link}"
    )


@cache
def source() -> dict[str, str]:
    """Return the tags that say from which code a run comes."""
    commit = git.commit()
    tags = {"mlflow.source.name": "ratchet", "mlflow.source.type": "PROJECT"}
    if user := process.user():
        tags["mlflow.user"] = user
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})
