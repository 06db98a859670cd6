"""The log of requests: a line each, written beside the event loop; never a value of a body, never a key."""

import sys
import threading
import time
from collections import deque
from functools import lru_cache
from logging.handlers import RotatingFileHandler
from typing import NamedTuple, TextIO

import orjson

from ratchet.errors import ConfigError
from ratchet.settings import LogTarget

EMPTY = ("id", "version", "arm", "caller", "problem")  # fields that are null where there is nothing to say
FLUSH_S = 0.1
MOST_WAITING = 50_000  # lines that wait to be written; further ones are counted, and not kept
MOST_BYTES, FILES = 16 * 2**20, 5  # of a file before the next one begins; of older files that are kept
CLOSE_S = 2.0


class Line(NamedTuple):
    """One request. at: seconds since 1970; rows: None where it was not answered; problem: why it was refused.

    path: one of the gateway's addresses, or `other`; bytes_in, bytes_out: of the bodies; caller: the name of the key.
    """

    at: float
    id: str
    method: str
    path: str
    status: int
    ms: float
    version: str = ""
    arm: str = ""
    rows: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    caller: str = ""
    problem: str = ""


class AccessLog:
    """Takes lines from any thread at once, and writes them from one of its own. lost: lines that were not written."""

    def __init__(self, target: LogTarget) -> None:
        """Begin.

        Raises:
            ConfigError: The file cannot be written.
        """
        self.lost = 0
        self._format = _as_json if target.form == "json" else _as_text
        self._waiting = deque[Line]()
        self._write = _Stream(sys.stderr).write if target.file is None else _file(target).write
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def add(self, line: Line) -> None:
        """Have a line written soon; this takes a microsecond, and never waits or fails."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(line)
        else:
            self.lost += 1

    def close(self, limit_s: float = CLOSE_S) -> None:
        """Write what waits; give up after limit_s, as where nobody reads the pipe that it goes to."""
        self._over.set()
        self._thread.join(limit_s)

    def _run(self) -> None:
        while not self._over.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        try:
            self._write("".join(map(self._format, lines)))
        except (OSError, ValueError):  # a full disk, a pipe that was closed: requests are answered all the same
            self.lost += len(lines)


class _Stream:
    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


class _RotatedFile:
    def __init__(self, handler: RotatingFileHandler) -> None:
        self.handler = handler

    def write(self, text: str) -> None:
        stream = self.handler.stream
        assert stream
        stream.write(text)
        stream.flush()
        if stream.tell() >= MOST_BYTES:
            self.handler.doRollover()


def _file(target: LogTarget) -> _RotatedFile:
    assert target.file
    try:
        target.file.parent.mkdir(parents=True, exist_ok=True)
        return _RotatedFile(RotatingFileHandler(target.file, backupCount=FILES, encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"RATCHET_LOG: {target.file}: cannot be written: {error.strerror}; name another file"
        ) from None


def _moment(at: float) -> str:
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1_000):03}Z"


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _as_json(line: Line) -> str:
    fields = line._asdict()
    fields["at"], fields["ms"] = _moment(line.at), round(line.ms, 3)
    for name in EMPTY:
        fields[name] = fields[name] or None
    return orjson.dumps(fields).decode() + "\n"


def _as_text(line: Line) -> str:
    said = f"{_moment(line.at)} {line.status} {line.method} {line.path} {line.ms:.1f} ms"
    if line.id:
        said += f" id={line.id}"
    if line.rows is not None:
        said += f" version={line.version} arm={line.arm} rows={line.rows}"
    said += f" in={line.bytes_in} out={line.bytes_out}"
    if line.caller:
        said += f" caller={line.caller}"
    return f"{said} | {line.problem}\n" if line.problem else f"{said}\n"
