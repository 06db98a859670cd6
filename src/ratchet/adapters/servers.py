"""Servers as child processes: on a free port, up before anyone asks, stopped with whoever started them."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ratchet.adapters import logs
from ratchet.errors import ServerError
from ratchet.settings import SERVE_HOST

POLL_S, STOP_S = 0.2, 20


@dataclass(frozen=True)
class Child:
    """A server that was started. name: what people call it; log: where it writes."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def require(self, is_up: Callable[[], bool], limit_s: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait until it is up. is_over: whether nobody waits for it any more.

        Raises ServerError, with the end of its log, if it ends before, or is not up within limit_s.
        """
        deadline = time.monotonic() + limit_s
        while not is_up():
            if is_over():
                raise ServerError(f"{self.name} was stopped before it was healthy")
            if self.process.poll() is not None:
                raise ServerError(f"{self.name} ended with {self.process.returncode}; {_tail(self.log)}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} is not healthy after {limit_s:g} s; {_tail(self.log)}")
            time.sleep(POLL_S)


def free_port() -> int:
    """Return a port that is free now."""
    with closing(socket.socket()) as probe:
        probe.bind((SERVE_HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on a port."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that is just over does not count
        try:
            probe.bind((SERVE_HOST, port))
        except OSError:
            return False
    return True


def answers(url: str) -> bool:
    """Whether a server answers 200 at an address."""
    with contextlib.suppress(requests.RequestException):
        return bool(requests.get(url, timeout=2).ok)
    return False


@contextmanager
def running(
    name: str, command: Sequence[str], log: Path, stop: signal.Signals = signal.SIGTERM, **how: Any
) -> Iterator[Child]:
    """Run a server in a process group of its own, its words going to the log; end the group with `stop`.

    how: more of `subprocess.Popen`, such as env and cwd.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    with log.open("ab") as out:  # appending, so that it goes on in a log that was emptied
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, **how)
    try:
        with logs.kept_small(log):
            yield Child(name, process, log)
    finally:
        end(process, stop)


def end(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """End a server and its workers, which share its process group; by force where it takes longer than STOP_S."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"the end of {log}: {' | '.join(lines[-3:])[:500]}"
