"""Serve one version with `mlflow models serve`: started, healthy before it says so, stopped with its caller."""

import json
import math
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import requests
import yaml

from ratchet.adapters import models, servers, tether
from ratchet.errors import Away, ServerError
from ratchet.scoring.encode import Column, TableEncoder, from_state
from ratchet.settings import SERVE_HOST, Settings

START_S = {"local": 120, "uv": 900, "virtualenv": 900, "conda": 1800}
WHO = "x-model-server"  # header by which a child is told from whoever else may listen on its port
# For uvicorn, which MLflow starts without a word about these. A line for each request costs time; and a connection that
# the server closes after 5 s, as by default, may be closed just when it is used again.
UVICORN = {"UVICORN_ACCESS_LOG": "false", "UVICORN_LOG_LEVEL": "warning", "UVICORN_TIMEOUT_KEEP_ALIVE": "86400",
           "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "3"}  # fmt: skip
CellKind = Literal["number", "text", "boolean", "numeral", "code"]  # as `scoring.encode.TableEncoder.kinds` has them
NAMED_TYPES = {"number": "double", "text": "string"}  # MLflow's words for kinds whose cells are all of one type
SECRET = ("RATCHET_", "MLFLOW_TRACKING_")  # a model that lies here has no use for our keys, databases and accounts


def sample_rows(model: Path) -> dict[str, Any]:
    """Return the rows that travel with the model, as the body of a request."""
    found: dict[str, Any] = json.loads((model / "artifacts" / "scorer" / "sample.json").read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Reads:
    """What a model's folder says of it. inputs: column -> (kind of its cells, whether it is required).

    known: the data's further columns, none of a model of an older release; kind, classes: of the scorer; missing: texts
    that mean missing, None where the model does not say; columns: what training saw in each, by name; numbers: how
    numbers are written for people in a column, as `read.numbers` names it.
    """

    inputs: Mapping[str, tuple[CellKind, bool]]
    outputs: tuple[str, ...]
    params: tuple[str, ...]
    known: frozenset[str]
    kind: str
    classes: tuple[Any, ...]
    missing: frozenset[str] | None
    columns: Mapping[str, Column]
    numbers: Mapping[str, str]


def reads(model: Path) -> Reads:
    """Return what a model's folder says of its columns and parameters."""
    from mlflow.models import Model

    loaded: Any = Model.load(str(model))
    found = loaded.signature
    kinds = (loaded.metadata or {}).get("columns", {})
    inputs: dict[str, tuple[CellKind, bool]] = {
        column.name: (kinds.get(column.name) or _kind_of(column.type), column.required)
        for column in found.inputs.inputs
    }
    params = tuple(param.name for param in found.params.params) if found.params else ()
    numbers = (loaded.metadata or {}).get("numbers", {})
    known = frozenset((loaded.metadata or {}).get("known", ())) - inputs.keys()
    state = json.loads((model / "artifacts" / "scorer" / "state" / "scorer.json").read_text(encoding="utf-8"))
    classes, encoder = tuple(state["classes"]), state["encoder"]
    missing = frozenset(encoder["missing"]) if "missing" in encoder else None
    # A model of an older release reads spellings in its own way, so this package cannot tell what it has seen.
    table = from_state(encoder, {}) if missing is not None and encoder["kind"] == "tabular" else None
    columns = dict(table.seen) if isinstance(table, TableEncoder) else {}
    outputs = tuple(found.outputs.input_names())
    return Reads(inputs, outputs, params, known, state["kind"], classes, missing, columns, numbers)


def _kind_of(column_type: Any) -> CellKind:
    """Return the kind of a column of a model whose metadata do not name it, as older releases logged them."""
    return "text" if getattr(column_type, "name", "") == "string" else "number"


@dataclass(frozen=True)
class Server:
    """A healthy server."""

    url: str
    process: "subprocess.Popen[bytes]"

    def wait(self) -> None:
        """Return never, unless by an interrupt.

        Raises ServerError when the server ends: a served model ends by being stopped, so this is a fault.
        """
        code = self.process.wait()
        raise ServerError(f"{self.url}: mlflow models serve has ended with {code}")


class Address(NamedTuple):
    """Where a server listens: 127.0.0.1 for this machine alone, 0.0.0.0 for all that reach it."""

    host: str
    port: int


@contextmanager
def serving(model: Path, address: Address, env_manager: str, settings: Settings) -> Iterator["Server"]:
    """Run `mlflow models serve` on a model's folder; yield it once it is healthy, stop it at the end.

    env_manager: local (this environment), uv, virtualenv or conda (built from the model's own requirements).
    Raises ServerError if the port is taken or the server does not become healthy, with the end of its log.
    """
    host, port = address
    require_free(address)
    log = settings.home / f"serve-{port}.log"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "-h", host, "-p", str(port),
               "--env-manager", env_manager]  # fmt: skip
    environment = (
        os.environ
        | models.PICKLE_OFF
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "MLFLOW_TRACKING_URI": settings.tracking_uri,
        }
    )
    url = f"http://{SERVE_HOST if host == '0.0.0.0' else host}:{port}"
    with servers.running("mlflow models serve", command, log, env=environment) as child:
        child.require(partial(servers.answers, f"{url}/ping"), START_S.get(env_manager, 900))
        yield Server(url, child.process)


def name_types(model: Path, kinds: Mapping[str, str]) -> None:
    """Name the types of cells that reach a server through the gateway, which has read them already.

    A model is logged without them, since MLflow refuses whole numbers where it expects a double; it then looks at every
    cell by itself, which doubles the time of a body of 1,000 rows.

    Args:
        model: The folder of a copy of our own, whose `MLmodel` is written over.
        kinds: What the model reads, by column; numbers and texts are named, the others stay of any type.
    """
    file = model / "MLmodel"
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    inputs = json.loads(about["signature"]["inputs"])
    for column in inputs:
        if column["type"] == "any":
            column["type"] = NAMED_TYPES.get(kinds[column["name"]], "any")
    about["signature"]["inputs"] = json.dumps(inputs)
    file.write_text(yaml.safe_dump(about, sort_keys=False, allow_unicode=True), encoding="utf-8")


class Kept(NamedTuple):
    """How a server that is kept up is run. folder: for its log; timeout_s: of an answer."""

    model: Path
    folder: Path
    env_manager: str
    timeout_s: float


@contextmanager
def kept(how: Kept, name: str, is_over: Callable[[], bool]) -> Iterator["Server"]:
    """Run `mlflow models serve` on a free port of this machine; yield it once it is healthy, stop it at the end.

    It ends with this process. name: of its log; is_over: whether it is not wanted any more, also while it starts.
    Raises ServerError as `serving` does.
    """
    port, who = servers.free_port(), secrets.token_hex(8)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(how.model), "-h", SERVE_HOST,
               "-p", str(port), "-t", str(max(60, math.ceil(how.timeout_s) + 5)),
               "--env-manager", how.env_manager]  # fmt: skip
    log, url = how.folder / f"{name}.log", f"http://{SERVE_HOST}:{port}"
    with tether.tethered(command, log, _environment() | {"UVICORN_HEADERS": f"{WHO}:{who}"}) as process:
        child = servers.Child("mlflow models serve", process, log)
        child.require(partial(_is_itself, url, who), START_S.get(how.env_manager, 900), is_over)
        yield Server(url, process)


def _environment() -> dict[str, str]:
    """Ours, without what a model has no use for, and with one thread: a row is too little work for two."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SECRET)}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return {"OMP_NUM_THREADS": "1"} | kept | models.PICKLE_OFF | UVICORN | {"MLFLOW_DISABLE_TELEMETRY": "true"}


def _is_itself(url: str, who: str) -> bool:
    try:
        answer = requests.get(f"{url}/ping", timeout=2)
    except requests.RequestException:
        return False
    return answer.ok and answer.headers.get(WHO) == who


def require_free(address: Address) -> None:
    """Raise ServerError if somebody listens there."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ServerError(
                f"port {address.port}: {error.strerror}; name another with --port, or 0 for any"
            ) from None


def ask(url: str, body: dict[str, Any]) -> Any:
    """Send one request to a served model; return its answer.

    Raises Away if nobody answers, ServerError if it is not with 200.
    """
    try:
        answer = requests.post(f"{url}/invocations", json=body, timeout=60)
    except requests.RequestException as error:
        raise Away(f"{url}: the model did not answer: {type(error).__name__}") from None
    if answer.status_code != requests.codes.ok:
        raise ServerError(f"{url}: the model answered {answer.status_code}: {_cause(answer)}")
    return answer.json()


def _cause(answer: requests.Response) -> str:
    """Return what went wrong in the model, which MLflow tells as the last line of a traceback."""
    try:
        said = answer.json()
        lines = str(said.get("stack_trace") or said["message"]).strip().splitlines()
    except (ValueError, KeyError, AttributeError):
        lines = answer.text.strip().splitlines()
    return lines[-1][:300] if lines else "without a word"
