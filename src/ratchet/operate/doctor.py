"""Is everything there that the commands need? One line for each part, with the mend where it is not."""

import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import requests

from ratchet.adapters import keys, rights, schema, tracking
from ratchet.adapters.patience import CALLS_AGAIN
from ratchet.errors import RatchetError
from ratchet.settings import Settings, masked

FREE_BYTES = 2 * 2**30
SKEW_S = 30
# From MLflow 3.18 on it refuses to load any PyFunc model when this is false, and every model of ours is one.
MODEL_CODE, PICKLE = "MLFLOW_ALLOW_MODEL_CODE_EXECUTION", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
TRUE = ("true", "1")  # as MLflow reads its variables; whatever else is not true
EXPERIMENT = "ratchet-doctor"  # each account has its own: who makes one may also delete in it
# A command waits for what is away; here its absence is the finding.
ONCE = {CALLS_AGAIN: "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


@dataclass(frozen=True)
class Finding:
    """What was found of one part; mend: empty where all is well."""

    part: str
    text: str
    mend: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at each part; yield what was found, in order."""
    os.environ.update(ONCE)
    for look in (_environment, _models, _disk, _database, _server, _account, _clock, _files):
        part = look.__name__.removeprefix("_")
        try:
            yield look(settings)
        except RatchetError as error:
            yield Finding(part, "", str(error))


def _environment(settings: Settings) -> Finding:
    """Whether the packages are those that Ratchet was built with."""
    from packaging.requirements import Requirement

    wrong = []
    for line in requires("ratchet") or ():
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            here = version(wanted.name)
        except PackageNotFoundError:
            here = "missing"
        if not wanted.specifier.contains(here if here != "missing" else "0"):
            wrong.append(f"{wanted.name} {here}, not {wanted.specifier}")
    told = f"Python {sys.version.split()[0]}, mlflow {version('mlflow')}"
    return Finding("environment", told, f"{'; '.join(wrong)}: make setup" if wrong else "")


def _models(settings: Settings) -> Finding:
    """Whether MLflow's settings let a model be loaded. They are looked at whichever MLflow is here: others load too."""
    value = os.environ.get(MODEL_CODE)
    if value is not None and value.lower() not in TRUE:
        return Finding("models", f"{MODEL_CODE}={value}", "MLflow from 3.18 on refuses every PyFunc model, all of"
                       f" Ratchet's too: unset {MODEL_CODE}; nothing of a Ratchet model is unpickled, and each file"
                       " of it is checked before it is loaded")  # fmt: skip
    if PICKLE in os.environ and value is None:
        return Finding("models", f"may be loaded; {PICKLE} is deprecated from MLflow 3.18 on, Ratchet does not need it")
    return Finding("models", "may be loaded")


def _disk(settings: Settings) -> Finding:
    place = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    mend = f"less than {FREE_BYTES / 1e9:.0f} GB are free: remove what is not needed" if free < FREE_BYTES else ""
    return Finding("disk", f"{free / 1e9:.1f} GB are free for {settings.home}", mend)


def _database(settings: Settings) -> Finding:
    state = schema.state(settings)
    may_record = state.is_newest and rights.may_record(settings)
    shown = (f"{masked(settings.database_url)}: role {state.role}, {'may' if state.may_promote else 'may not'} promote,"
             f" {'may' if may_record else 'may not'} record requests and outcomes")  # fmt: skip
    if settings.database_url.startswith("sqlite:") and not state.is_newest:
        return Finding("database", f"{masked(settings.database_url)}: the next command makes its tables")
    mend = "" if state.is_newest else "its tables are missing or old: whoever owns it runs `ratchet migrate`"
    if state.may_promote and not settings.database_url.startswith("sqlite:") and keys.signer() is None:
        mend = f"{keys.PRIVATE} is unset, by which a promoter signs: `ratchet ledger key FILE` makes a key"
    return Finding("database", shown, mend)


def _server(settings: Settings) -> Finding:
    import mlflow
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    uri = settings.tracking_uri
    with tracking.reachable(settings):
        tracking.client(settings)
    if not uri.startswith("http"):
        return Finding("server", f"{masked(uri)}: a store of one's own, without a server")
    with tracking.reachable(settings):
        theirs, ours = http_request(get_default_host_creds(uri), "/version", "GET").text, mlflow.__version__
    mend = "" if theirs == ours else f"the server runs mlflow {theirs}, this machine {ours}: make them the same"
    return Finding("server", f"{masked(uri)}: mlflow {theirs}", mend)


def _account(settings: Settings) -> Finding:
    """Who we are to the server, and whether that account may make an experiment."""
    from mlflow.exceptions import MlflowException

    if not settings.tracking_uri.startswith("http"):
        return Finding("account", "a store of one's own knows no accounts")
    client, name = tracking.client(settings), os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    try:
        tracking.experiment_of(client, _experiment())
    except MlflowException as error:
        return Finding("account", name or "nobody", f"it may not make an experiment ({error.error_code}): ask an admin")
    return Finding("account", f"{name or 'none is asked for'}: may make experiments")


def _experiment() -> str:
    return f"{EXPERIMENT} {os.environ.get('MLFLOW_TRACKING_USERNAME', '')}".strip()


def _clock(settings: Settings) -> Finding:
    if not settings.tracking_uri.startswith("http"):
        return Finding("clock", "this machine's own")
    with tracking.reachable(settings):
        answer = requests.head(f"{settings.tracking_uri}/health", timeout=10)
    apart_s = abs(time.time() - parsedate_to_datetime(answer.headers["Date"]).timestamp())
    mend = "set both clocks by NTP: what ran when is told by them" if apart_s > SKEW_S else ""
    return Finding("clock", f"{apart_s:.0f} s apart from the server's", mend)


def _files(settings: Settings) -> Finding:
    """Whether a file goes to the bucket and comes back the same."""
    from mlflow.exceptions import MlflowException

    client, sent = tracking.client(settings), uuid.uuid4().hex
    with tracking.reachable(settings):
        run = client.create_run(tracking.experiment_of(client, _experiment())).info
        try:
            client.log_text(run.run_id, sent, "sent.txt")
            came = Path(client.download_artifacts(run.run_id, "sent.txt")).read_text(encoding="utf-8")
        except MlflowException as error:
            reason = str(error).splitlines()[0][:200]
            return Finding("files", run.artifact_uri, f"they cannot be written ({reason}): see the server's log, its"
                           " RATCHET_BUCKET and the rights of its account on it")  # fmt: skip
        finally:
            client.set_terminated(run.run_id)
            client.delete_run(run.run_id)
    mend = "" if came == sent else "what came back is not what was sent"
    return Finding("files", f"{run.artifact_uri.rpartition('/')[0]}: written and read back", mend)
