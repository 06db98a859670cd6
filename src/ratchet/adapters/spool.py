"""What a run logs, kept on this machine until the server has it: in order, once, also when this process dies.

Each process has a folder of its own, with the records in SQLite and their files beside them. A thread sends them one
after another; what a process leaves behind is sent by the next command.
"""

import json
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ratchet.adapters import database, process
from ratchet.adapters.patience import Patience, is_away
from ratchet.errors import Away, ServerError

RECORDS, WORKER = "records.db", "worker"
TABLE = "CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, kind TEXT, run TEXT, content TEXT, files TEXT)"
POLL_S = 0.2  # a wait without an end would hear no Ctrl-C


@dataclass(frozen=True)
class Record:
    """One thing to send. kind: see `sending`; run: whose it is; files: the folder with what is to be uploaded."""

    kind: str
    run: str
    content: Mapping[str, Any]
    files: Path | None = None


Send = Callable[[Record], None]


class Spool:
    """The records of this process that the server does not have yet. Several threads may append."""

    def __init__(self, home: Path, send: Send, patience: Patience, server: str) -> None:
        self.home, self.send, self.patience, self.server = home, send, patience, server
        self.changed = threading.Condition()
        self.queue: _Queue | None = None
        self.away_since: float | None = None
        self.fault: BaseException | None = None

    def room(self) -> Path:
        """Return a new folder for the files of a record that is about to be appended."""
        with self.changed:
            return Path(tempfile.mkdtemp(dir=self._opened().folder))

    def append(self, record: Record) -> None:
        """Keep a record until it is sent.

        Raises what an earlier one was refused for.
        """
        with self.changed:
            if self.fault:
                raise self.fault
            self._opened().append(record)
            self.changed.notify_all()

    def flush(self, limit_s: float | None = None) -> None:
        """Return when the server has everything.

        Raises Away if it is not there for longer than the patience lasts, or if this takes longer than limit_s (unset:
        as long as it takes); and what the server refused.
        """
        began = time.monotonic()
        with self.changed:
            while self.queue is not None and not self.fault and (left := len(self.queue)):
                now = time.monotonic()
                waited_s = now - (began if limit_s is not None else self.away_since or now)
                if waited_s > (self.patience.limit_s if limit_s is None else limit_s):
                    raise Away(f"{self.server}: no answer for {waited_s:.0f} s; {left} records wait in"
                               f" {self.queue.folder}, and the next command sends them")  # fmt: skip
                self.changed.wait(POLL_S)
            if self.fault:
                raise self.fault

    def close(self) -> None:
        """End the thread. What was not sent stays; an empty folder goes."""
        with self.changed:
            queue, self.queue = self.queue, None
            self.changed.notify_all()
            if queue is not None:
                queue.close()

    def send_left_behind(self) -> int:
        """Send what processes that are gone could not; return how many records that were.

        Raises Away if the server is away for longer than the patience lasts, and ServerError if it refuses one for
        good: that is told once, and what is left is put aside.
        """
        if not any(self.home.glob("of-*")):
            return 0
        with database.file_lock(str(self.home / RECORDS), "spool", self.patience.limit_s):
            return sum(self._send_all(folder) for folder in sorted(self.home.glob("of-*")) if _is_left(folder))

    def _opened(self) -> "_Queue":
        if self.queue is None:
            self.home.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="of-", dir=self.home))
            self.queue = _Queue(folder)
            (folder / WORKER).write_text(process.me(), encoding="utf-8")  # last: without it the folder is nobody's
            threading.Thread(target=self._drain, args=[self.queue], name="spool", daemon=True).start()
        return self.queue

    def _drain(self, queue: "_Queue") -> None:
        try:
            while record := self._next(queue):
                self.patience.call(partial(self._try, queue, record[1]), self.server, forever=True)
                with self.changed:
                    if self.queue is not queue:
                        return
                    queue.remove(*record)
                    self.changed.notify_all()
        except _ClosedError:
            return
        except BaseException as fault:  # noqa: BLE001  (it is raised where the work is done)
            with self.changed:
                self.fault = fault
                self.changed.notify_all()

    def _next(self, queue: "_Queue") -> tuple[int, Record] | None:
        with self.changed:
            while self.queue is queue and not len(queue):
                self.changed.wait()
            return queue.first() if self.queue is queue else None

    def _try(self, queue: "_Queue", record: Record) -> None:
        if self.queue is not queue:
            raise _ClosedError
        try:
            self.send(record)
        except BaseException as error:
            if is_away(error):
                self.away_since = self.away_since or time.monotonic()
            raise
        self.away_since = None

    def _send_all(self, folder: Path) -> int:
        queue, sent = _Queue(folder), 0
        try:
            while record := queue.first():
                self.patience.call(partial(self.send, record[1]), self.server)
                queue.remove(*record)
                sent += 1
        except Exception as error:
            if is_away(error):
                raise
            aside = folder.with_name(f"refused-{folder.name}")
            folder.replace(aside)
            raise ServerError(
                f"{self.server} refused a record of an earlier command: {error}; what is left is in {aside}"
            ) from error
        finally:
            queue.close()
        return sent


class _ClosedError(Exception):
    """What is left is for the next command."""


class _Queue:
    """The records in one folder. Not for several threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = sqlite3.connect(folder / RECORDS, check_same_thread=False, isolation_level=None)
        self._do("PRAGMA journal_mode = WAL")
        self._do("PRAGMA synchronous = NORMAL")  # outlives the process; a power cut may cost the last ones
        self._do(TABLE)

    def __len__(self) -> int:
        return int(self._do("SELECT count(*) FROM records").fetchone()[0])

    def _do(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self.records.execute(statement, values)
        except sqlite3.Error as error:
            raise ServerError(f"{self.folder}: {error}") from None

    def append(self, record: Record) -> None:
        content = json.dumps(record.content, ensure_ascii=False, default=str)
        values = record.kind, record.run, content, record.files.name if record.files else None
        self._do("INSERT INTO records (kind, run, content, files) VALUES (?, ?, ?, ?)", values)

    def first(self) -> tuple[int, Record] | None:
        row = self._do("SELECT * FROM records ORDER BY number LIMIT 1").fetchone()
        if row is None:
            return None
        number, kind, run, content, files = row
        return number, Record(kind, run, json.loads(content), self.folder / files if files else None)

    def remove(self, number: int, record: Record) -> None:
        self._do("DELETE FROM records WHERE number = ?", [number])
        if record.files:
            shutil.rmtree(record.files, ignore_errors=True)

    def close(self) -> None:
        left = len(self)
        self.records.close()
        if not left:
            shutil.rmtree(self.folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    worker = folder / WORKER
    return worker.exists() and process.is_gone(worker.read_text(encoding="utf-8"))
