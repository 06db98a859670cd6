"""Which process does the work, so that another can tell whether it still lives; and what it needs to begin."""

import getpass
import os
import socket
from functools import cache
from pathlib import Path

from ratchet.errors import RatchetError

try:
    import pwd
    import resource
except ImportError:  # not on Windows
    pwd = resource = None  # type: ignore[assignment]

NEEDED_BYTES = 3 * 2**30  # of address space: the libraries, their threads, and a small table


@cache
def _host() -> str:
    """The machine and, where containers share its name, the container."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return socket.gethostname()


def user() -> str:
    """Return the system's user; empty where a container runs as one without a name.

    Not by LOGNAME or USER, which anybody can set to any name.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name if pwd else getpass.getuser()
    except (KeyError, OSError):
        return ""


def me() -> str:
    """Return a name of this process that no later one will bear: host, pid and when it began."""
    return f"{_host()}:{os.getpid()}:{_began(os.getpid())}"


def is_gone(worker: str) -> bool:
    """Whether the process of that name is known to have ended; of another machine nothing is known."""
    host, _, pid = worker.rpartition(":")[0].rpartition(":")
    return host == _host() and pid.isdigit() and _began(int(pid)) != worker.rpartition(":")[2]


def is_here(worker: str) -> bool:
    """Whether the process of that name is, or was, one of this machine."""
    return worker.startswith(f"{_host()}:")


def require_memory() -> None:
    """Refuse to begin where the libraries hardly fit: under such a limit some of them wait for ever or crash.

    Raises RatchetError.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0] if resource else -1
    if 0 < limit < NEEDED_BYTES:
        have, need = (f"{size / 2**30:.1f} GiB" for size in (limit, NEEDED_BYTES))
        raise RatchetError(
            f"this process may use {have} of memory addresses (ulimit -v), {need} are needed; raise the limit"
        )


def _began(pid: int) -> str:
    """Return when a process began, in the system's own count; empty if it is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _alive(pid)
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]  # a zombie works no more


def _alive(pid: int) -> str:
    """Where there is no /proc: whether the pid is in use, which a later process may have taken."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
