"""Servers as child processes: on a free port, up before anyone asks, stopped with whoever started them."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from ratchet.adapters import tether
from ratchet.adapters.tether import Ending
from ratchet.errors import ServerError
from ratchet.settings import SERVE_HOST

POLL_S, STOP_S = 0.2, 20
KINDLY = Ending(limit_s=STOP_S)


@dataclass(frozen=True)
class Child:
    """A server that was started. name: what people call it; log: where it writes, from `since` bytes on."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    since: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Return the last lines of its log, with the log's name."""
        with self.log.open("rb") as file:
            was_rotated = self.log.stat().st_size < self.since
            file.seek(0 if was_rotated else self.since)
            text = file.read().decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return f"the end of {self.log}: {' | '.join(lines[-3:])[-500:] or 'nothing'}"

    def require(self, is_up: Callable[[], bool], limit_s: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait until it is up. is_over: whether nobody waits for it any more.

        Raises ServerError, with the end of its log, if it ends before, or is not up within limit_s.
        """
        deadline = time.monotonic() + limit_s
        while not is_up():
            if is_over():
                raise ServerError(f"{self.name} was stopped before it was healthy")
            if self.process.poll() is not None:
                raise ServerError(f"{self.name} ended with {self.process.returncode}; {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} is not healthy after {limit_s:g} s; {self.last_words()}")
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
    name: str, command: Sequence[str], log: Path, ending: Ending = KINDLY,
    env: Mapping[str, str] | None = None, **how: Any,
) -> Iterator[Child]:  # fmt: skip
    """Run a server in a process group of its own, which ends with the block and with this process.

    Args:
        name: What people call it.
        command: The program and its words.
        log: The file to which its output is appended.
        ending: How the group is ended.
        env: Its environment variables; None for our own.
        how: More of `subprocess.Popen`, such as cwd.

    Yields:
        The server, which may not be healthy yet.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    since = log.stat().st_size if log.exists() else 0
    with tether.tethered(command, log, os.environ if env is None else env, ending, **how) as process:
        yield Child(name, process, log, since)


def end(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    """End a server and its workers, which share its process group; by force where it takes longer than STOP_S."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
