"""Machines of their own: a network, process and name space each, from which the stack is reached by one way alone.

Nothing on this machine's network is in them. A socket in a folder leads from their 127.0.0.1 to ours, port by port.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.end_to_end.commands import ROOT

SIOCSIFFLAGS, UP_AND_RUNNING = 0x8914, 0x41
NAMESPACES = ["--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]


@contextmanager
def ways(folder: Path, ports: Iterable[int]) -> Iterator[Path]:
    """Lead each port of 127.0.0.1 into a folder, as a socket of that name."""
    with ExitStack() as open_ways:
        for port in ports:
            listener = open_ways.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(folder / str(port)))
            _lead(listener, socket.AF_INET, ("127.0.0.1", port))
        yield folder


def start(
    name: str, folder: Path, words: Iterable[object], cwd: Path, env: Mapping[str, str]
) -> "subprocess.Popen[str]":
    """Run a command on a machine of that name; killing it is pulling the machine's plug."""
    command = ["unshare", *NAMESPACES, sys.executable, "-m", "tests.stack.machines", name, str(folder)]
    return subprocess.Popen(
        [*command, *map(str, words)], cwd=cwd, env={**env, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _lead(listener: socket.socket, family: int, address: object) -> None:
    """Answer a listener's callers by what is at an address, for as long as it is open."""
    listener.listen()

    def serve() -> None:
        with suppress(OSError):
            while True:
                caller, _ = listener.accept()
                there = socket.socket(family)
                try:
                    there.connect(address)
                except OSError:  # nobody is there: the caller is told so
                    caller.close()
                    continue
                for pair in ((caller, there), (there, caller)):
                    threading.Thread(target=_copy, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _be(name: str, folder: Path) -> None:
    """Become the machine: its name, its own 127.0.0.1, and the way out."""
    socket.sethostname(name)
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", UP_AND_RUNNING).ljust(40, b"\0"))
    for way in folder.iterdir():
        listener = socket.create_server(("127.0.0.1", int(way.name)))
        _lead(listener, socket.AF_UNIX, str(way))


if __name__ == "__main__":
    _be(sys.argv[1], Path(sys.argv[2]))
    sys.exit(subprocess.call(sys.argv[3:], env=dict(os.environ)))
