"""Serve one version with `mlflow models serve`: started, healthy before it says so, stopped with its caller."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ratchet.errors import ServerError
from ratchet.settings import SERVE_HOST, Settings

START_S = {"local": 120, "uv": 900, "virtualenv": 900, "conda": 1800}
STOP_S = 10


def free_port() -> int:
    """Return a port that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind((SERVE_HOST, 0))
        return int(probe.getsockname()[1])


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


@contextmanager
def serving(model: Path, port: int, env_manager: str, settings: Settings) -> Iterator["Server"]:
    """Run `mlflow models serve` on a model's folder; yield it once it is healthy, stop it at the end.

    env_manager: local (this environment), uv, virtualenv or conda (built from the model's own requirements).
    Raises ServerError if the port is taken or the server does not become healthy, with the end of its log.
    """
    _require_free(port)
    log = settings.home / f"serve-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "-h", SERVE_HOST, "-p", str(port),
               "--env-manager", env_manager]  # fmt: skip
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            url = f"http://{SERVE_HOST}:{port}"
            _require_health(server, url, START_S.get(env_manager, 900), log)
            yield Server(url, server)
        finally:
            _stop(server)


def _require_free(port: int) -> None:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((SERVE_HOST, port))
        except OSError as error:
            raise ServerError(f"port {port}: {error.strerror}; name another with --port, or 0 for any") from None


def _require_health(server: "subprocess.Popen[bytes]", url: str, limit_s: int, log: Path) -> None:
    if is_healthy(f"{url}/ping", limit_s, server):
        return
    if server.poll() is not None:
        raise ServerError(f"mlflow models serve ended with {server.returncode}; {_tail(log)}")
    raise ServerError(f"mlflow models serve is not healthy after {limit_s} s; {_tail(log)}")


def is_healthy(url: str, limit_s: float, server: "subprocess.Popen[Any]") -> bool:
    """Wait until a server answers at its health address; return whether it did so while it lived, within limit_s."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=2).status_code == requests.codes.ok:
                return True
        time.sleep(0.2)
    return False


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"the end of {log}: {' | '.join(lines[-3:])[:500]}"


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server and its workers: they share a process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


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
