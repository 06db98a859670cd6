"""A child that is noticed the moment it ends, and that ends with its parent, however that one ends."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratchet.adapters import logs

LOOK_S, GONE_S = 0.2, 5
# Beside the command waits a shell on a pipe whose other end its parent holds: where that is closed, by whatever ends
# the parent, it ends the group. The command itself cannot see to that, and prctl knows Linux alone.
TETHERED = 'exec 3<&0; { read _ <&3; %s; } & exec "$@" </dev/null 3<&-'
BY_FORCE, BY_INTERRUPT = "kill -KILL 0", "kill -INT $$"  # the group; or its leader, which sees to the rest


@dataclass(frozen=True)
class Ending:
    """How a group of processes is ended.

    Attributes:
        by: What is sent to it first.
        limit_s: After so many seconds it is ended by force.
        with_parent: What the shell beside it does when the parent is gone.
    """

    by: signal.Signals = signal.SIGTERM
    limit_s: float = GONE_S
    with_parent: str = BY_FORCE


@contextlib.contextmanager
def tethered(
    command: Sequence[str], log: Path, environment: Mapping[str, str], ending: Ending = Ending(), **how: Any
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a command in a process group of its own, its words appended to the log; end the group afterwards.

    Args:
        command: The program and its words.
        log: The file for its output.
        environment: Its environment variables.
        ending: How the group is ended.
        how: More of `subprocess.Popen`, such as cwd and user.

    Yields:
        The process, which leads the group.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["/bin/sh", "-c", TETHERED % ending.with_parent, "sh", *command],
            stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=environment, **how,
        )  # fmt: skip
    try:
        with logs.kept_small(log):
            yield process
    finally:
        _end(process, ending)


def until_one_ends(process: "subprocess.Popen[bytes]", is_over: Callable[[], bool]) -> bool:
    """Return True at once when a process of the group ends, False a moment after it is over."""
    with contextlib.ExitStack() as opened:
        poll = select.poll()
        for member in members(process.pid) if hasattr(os, "pidfd_open") else ():
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(member)
                opened.callback(os.close, descriptor)
                poll.register(descriptor, select.POLLIN)
        while not is_over():
            if poll.poll(LOOK_S * 1000) or process.poll() is not None:
                return True
    return False


def members(group: int) -> list[int]:
    """Return the processes of a group that live; where there is no /proc, only its leader."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended in between
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found or [group]


def _end(process: "subprocess.Popen[bytes]", ending: Ending) -> None:
    """End the group: kindly, after a while by force."""
    group = process.pid
    _send(group, ending.by)
    deadline = time.monotonic() + ending.limit_s
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    _send(group, signal.SIGTERM)  # the shell beside it hears no SIGINT
    while time.monotonic() < deadline and members(group) != [group]:
        time.sleep(0.02)
    _send(group, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
    with contextlib.suppress(ChildProcessError):  # as the first process of a container this one inherits orphans
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass


def _send(group: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of one that is a zombie
        os.killpg(group, sign)
