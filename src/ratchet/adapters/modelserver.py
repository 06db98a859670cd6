"""Serve one version with `mlflow models serve`: started, healthy before it says so, stopped with its caller."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import requests

from ratchet.adapters import models, servers
from ratchet.errors import ServerError
from ratchet.settings import SERVE_HOST, Settings

START_S = {"local": 120, "uv": 900, "virtualenv": 900, "conda": 1800}


def sample_rows(model: Path) -> dict[str, Any]:
    """Return the rows that travel with the model, as the body of a request."""
    found: dict[str, Any] = json.loads((model / "artifacts" / "scorer" / "sample.json").read_text(encoding="utf-8"))
    return found


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
    _require_free(address)
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


def _require_free(address: Address) -> None:
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

    Raises ServerError if it does not answer with 200.
    """
    try:
        answer = requests.post(f"{url}/invocations", json=body, timeout=60)
    except requests.RequestException as error:
        raise ServerError(f"{url}: the model did not answer: {type(error).__name__}") from None
    if answer.status_code != requests.codes.ok:
        raise ServerError(f"{url}: the model answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()
