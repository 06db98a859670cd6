"""What is to be kept of requests goes to the database by way of files here, and holds up nobody.

`append` puts it into a queue. One thread makes lines of what is there, a little at a time, and writes a segment of them
every FLUSH_S; another brings the segments to the database, first those that processes which are gone left behind. What
cannot be kept is counted, and the count is kept.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ratchet.adapters.capturesender import Sender, Sink
from ratchet.adapters.segments import REASONS, Segments, Why

FLUSH_S = 0.5  # so much is lost when the process is killed
STEP_S, PORTION, YIELD_S = 0.02, 100, 0.0005  # who answers would wait for the interpreter while many lines are made
MOST_WAITING = 20_000  # lines that are not made yet
MOST_BYTES = 256 * 2**20  # that wait in files
SEGMENT_BYTES = 2 * 2**20  # more is written before its time


class Spool:
    """The way of this process. One thread appends.

    Counts, of lines: seen: handed in; too_many: of those, more than could wait; thrown: not written down.
    """

    def __init__(self, home: Path, sink: Sink, flush_s: float = FLUSH_S, most_bytes: int = MOST_BYTES) -> None:
        self.home, self.sink, self.flush_s, self.most_bytes = home, sink, flush_s, most_bytes
        self.segments = Segments.new(home)
        # Each number is changed by one thread alone. By who appends:
        self.seen = self.settled = self.too_many = 0
        # By who writes. taken, cut: the numbers up to which lines were made, and are in segments.
        self.taken = self.cut = self.thrown = self.bytes_written = 0
        self.queue: deque[tuple[Any, int, int]] = deque()
        self.lines: list[bytes] = []
        self.size = 0
        self.why: Why = "whole"
        self.closing = threading.Event()
        self.sender = Sender(home, self.segments.folder, sink)
        self.writer = threading.Thread(target=self._write_on, name="capture_write_on", daemon=True)
        self.writer.start()

    @property
    def sent(self) -> int:
        """Lines that came to the database, also those that earlier processes left."""
        return self.sender.sent

    @property
    def lost(self) -> int:
        """Lines that will never be in the database."""
        return self.too_many + self.thrown + self.sender.gone

    @property
    def waiting(self) -> int:
        """Lines that are on their way."""
        return max(0, self.seen + self.sender.found - self.sender.sent - self.lost)

    def append(self, item: Any, count: int) -> None:
        """Take an item of so many lines; this never waits and never fails."""
        self.seen += count
        if self.closing.is_set():
            self.too_many += count
            return
        self.segments.give_out(self.seen)
        waiting = self.settled - self.taken
        if waiting > 0 and waiting + count > MOST_WAITING:
            self.too_many += count
        else:
            self.queue.append((item, count, self.seen))
        self.settled = self.seen

    def close(self, limit_s: float = 10) -> None:
        """Write what is there, and send for so long; what is not sent by then waits for the next process."""
        if self.closing.is_set():
            return
        deadline = time.monotonic() + limit_s
        self.closing.set()
        self.writer.join()
        self.sender.over.set()
        self.sender.thread.join(max(0.0, deadline - time.monotonic()))
        self.sender.given_up.set()
        self.sender.thread.join(1)
        self.segments.close(is_done=not self.segments.waiting() and not self.segments.killed())

    def _write_on(self) -> None:
        due = time.monotonic() + self.flush_s
        is_last = False
        while not is_last:
            is_last = self.closing.wait(STEP_S)
            settled = self.settled  # before the queue is looked at: what comes to it later has numbers above this one
            while self._take_some():
                if self.size > SEGMENT_BYTES:
                    self._write()
            self.taken = max(self.taken, settled)
            if is_last or time.monotonic() >= due:
                self._write()
                due = time.monotonic() + self.flush_s

    def _take_some(self) -> bool:
        """Make lines of some items; whether there may be more."""
        for _ in range(PORTION):
            if not self.queue:
                return False
            item, count, number = self.queue.popleft()
            try:
                made = list(_unhurried(self.sink.lines(item)))
            except Exception as error:  # noqa: BLE001  (one that is odd must not end the record of all others)
                self._throw(count, "odd", type(error).__name__)
                made = []
            self.lines += made
            self.size += sum(map(len, made)) + len(made)
            self.taken = number
        time.sleep(YIELD_S)
        return True

    def _write(self) -> None:
        """Make a segment of the lines; where there is no room they are thrown away, and the next one tells of them."""
        lines, size, upto = self.lines, self.size, self.taken
        self.lines, self.size = [], 0
        if upto == self.cut:
            return
        if self.why == "whole" and len(lines) < upto - self.cut:
            self.why = "many"
        waiting = self.bytes_written - self.sender.bytes_sent
        if waiting + max(size, self.most_bytes // 100) > self.most_bytes:
            self._throw(len(lines), "full", str(self.home))
            return
        try:
            segment = self.segments.write(lines, self.cut, upto, self.why)
        except OSError as error:
            self._throw(len(lines), "disk", f"{self.segments.folder}: {error.strerror}")
            return
        self.cut, self.why = upto, "whole"
        self.bytes_written += size
        self.sender.ready.append((segment, size))

    def _throw(self, lines: int, why: Why, what: str) -> None:
        if self.why != why:
            self.sink.tell(f"requests are not kept: {REASONS[why]} ({what})")
        self.thrown, self.why = self.thrown + lines, why


def _unhurried(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Make lines, and let others have the interpreter after each portion."""
    for n, line in enumerate(lines, 1):
        yield line
        if n % PORTION == 0:
            time.sleep(YIELD_S)
