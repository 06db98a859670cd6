"""What a run logs, kept on this machine until the server has it: in order, once, also when this process dies.

Each process has an outbox of its own. A thread sends what is in it, one after another; what a process leaves behind is
sent by the next command.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path

from ratchet.adapters import database
from ratchet.adapters.outbox import Outbox, Record
from ratchet.adapters.patience import Patience, is_away
from ratchet.errors import Away, ServerError, told

LOCK = "spool"  # one command at a time sends what others left
POLL_S = 0.2  # a wait without an end would hear no Ctrl-C
Send = Callable[[Record], None]


class Spool:
    """The records of this process that the server does not have yet. Several threads may append."""

    def __init__(self, home: Path, send: Send, patience: Patience, server: str) -> None:
        self.home, self.send, self.patience, self.server = home, send, patience, server
        self.changed = threading.Condition()
        self.queue: Outbox | None = None
        self.away_since: float | None = None
        self.fault: BaseException | None = None

    def room(self) -> Path:
        """Return a new folder for the files of a record that is about to be appended."""
        with self.changed:
            return self._opened().room()

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

        What the server refuses for good is put aside with the rest of its run, and told once, as is what cannot be
        read. Raises Away if the server is away for longer than the patience lasts.
        """
        if not Outbox.left_behind(self.home):
            return 0
        sent = 0
        with database.file_lock(str(self.home / LOCK), LOCK, self.patience.limit_s):
            for folder in Outbox.left_behind(self.home):
                try:
                    sent += self._send_all(folder)
                except (ServerError, OSError) as error:
                    if is_away(error):
                        raise
                    self.patience.tell(str(told(error)))
        return sent

    def _opened(self) -> Outbox:
        if self.queue is None:
            self.queue = Outbox.new(self.home)
            threading.Thread(target=self._drain, args=[self.queue], name="spool", daemon=True).start()
        return self.queue

    def _drain(self, queue: Outbox) -> None:
        try:
            while record := self._next(queue):
                tries = chain([replace(record[1], is_new=True)], repeat(record[1]))
                self.patience.call(partial(self._try, queue, tries), self.server, forever=True)
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

    def _next(self, queue: Outbox) -> tuple[int, Record] | None:
        with self.changed:
            while self.queue is queue and not len(queue):
                self.changed.wait()
            return queue.first() if self.queue is queue else None

    def _try(self, queue: Outbox, tries: Iterator[Record]) -> None:
        if self.queue is not queue:
            raise _ClosedError
        try:
            self.send(next(tries))
        except BaseException as error:
            if is_away(error):
                self.away_since = self.away_since or time.monotonic()
            raise
        self.away_since = None

    def _send_all(self, folder: Path) -> int:
        queue = Outbox.taken_over(folder)
        if queue is None:
            return 0
        sent, refused = 0, dict[str, Exception]()
        try:
            while record := queue.first(but=refused):
                try:
                    self.patience.call(partial(self.send, record[1]), self.server)
                except Exception as error:
                    if is_away(error):
                        raise
                    if _is_ours(error):
                        raise ServerError(f"{told(error)}; what an earlier command logged waits in {folder}") from error
                    refused.setdefault(record[1].run, error)
                else:
                    queue.remove(*record)
                    sent += 1
            if refused:
                why, aside = next(iter(refused.values())), queue.put_aside()
                self.patience.tell(f"{self.server} refused what an earlier command logged: {why}; it is in {aside}")
        finally:
            queue.close()
        return sent


def _is_ours(error: Exception) -> bool:
    """Whether this machine is to blame, such as for a full disk: with the mend the same record is taken."""
    import requests

    if isinstance(error, FileNotFoundError | requests.RequestException):
        return False
    return isinstance(error, OSError | ServerError)


class _ClosedError(Exception):
    """What is left is for the next command."""
