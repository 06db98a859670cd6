"""What is to be kept of requests goes to the database by way of files here, and holds up nobody.

`append` puts it into a queue. One thread makes lines of what is there, a little at a time, and writes a segment of them
every FLUSH_S; another brings the segments to the database, first those that processes which are gone left behind. What
cannot be kept is counted, and the count is kept.
"""

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ratchet.adapters import owned
from ratchet.adapters.captured import RefusedError
from ratchet.adapters.segments import KILLED, REASONS, Segment, Segments, Why
from ratchet.errors import ServerError

FLUSH_S = 0.5  # so much is lost when the process is killed
STEP_S, PORTION, YIELD_S = 0.02, 100, 0.0005  # who answers would wait for the interpreter while many lines are made
MOST_WAITING = 20_000  # lines that are not made yet
MOST_BYTES = 256 * 2**20  # that wait in files
SEGMENT_BYTES = 2 * 2**20  # more is written before its time
MOST_LINES = 2_000  # in one transaction
FIRST_S, LONGEST_S = 0.2, 15.0  # between two tries
SEND_S, TIDY_S = 0.1, 3_600
GIVES_WAY = 10  # of 19
REFUSED = "the database refused them"


@dataclass(frozen=True)
class Sink:
    """Where it goes.

    lines: of one item, JSON without a line break; append: lines to the database, which has each once however often it
    is given; lose: notes (how many, why, under which name) once per name; tidy: from time to time; tell: people.
    """

    lines: Callable[[Any], Iterable[bytes]]
    append: Callable[[Sequence[bytes]], object]
    lose: Callable[[int, str, str], None]
    tidy: Callable[[], object] = lambda: None
    tell: Callable[[str], None] = lambda text: None


class Spool:
    """The way of this process. One thread appends.

    Counts, of lines: seen: handed in; found: left by processes that are gone; sent: of both, in the database.
    """

    def __init__(self, home: Path, sink: Sink, flush_s: float = FLUSH_S, most_bytes: int = MOST_BYTES) -> None:
        self.home, self.sink, self.flush_s, self.most_bytes = home, sink, flush_s, most_bytes
        self.segments = Segments.new(home)
        # Each number is changed by one thread alone. By who appends:
        self.seen = self.settled = self.too_many = 0
        # By who writes. taken, cut: the numbers up to which lines were made, and are in segments.
        self.taken = self.cut = self.thrown = self.bytes_written = 0
        # By who sends. gone: lost in another way than above.
        self.sent = self.found = self.gone = self.bytes_sent = 0
        self.queue: deque[tuple[Any, int, int]] = deque()
        self.ready: deque[tuple[Segment, int]] = deque()
        self.lines: list[bytes] = []
        self.size = 0
        self.why: Why = "whole"
        self.closing, self.written, self.given_up = threading.Event(), threading.Event(), threading.Event()
        self.writer, self.sender = (threading.Thread(target=work, name=f"capture{work.__name__}", daemon=True)
                                    for work in (self._write_on, self._send_on))  # fmt: skip
        self.writer.start()
        self.sender.start()

    @property
    def lost(self) -> int:
        """Lines that will never be in the database."""
        return self.too_many + self.thrown + self.gone

    @property
    def waiting(self) -> int:
        """Lines that are on their way."""
        return max(0, self.seen + self.found - self.sent - self.lost)

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
        self.sender.join(max(0.0, deadline - time.monotonic()))
        self.given_up.set()
        self.sender.join(1)
        self.segments.close(is_done=not self.segments.waiting() and not self.segments.killed())

    def _write_on(self) -> None:
        due = time.monotonic() + self.flush_s
        while not self.written.is_set():
            is_last = self.closing.wait(STEP_S)
            settled = self.settled  # before the queue is looked at: what comes to it later has numbers above this one
            while self._take_some():
                if self.size > SEGMENT_BYTES:
                    self._write()
            self.taken = max(self.taken, settled)
            if is_last or time.monotonic() >= due:
                self._write()
                due = time.monotonic() + self.flush_s
            if is_last:
                self.written.set()

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
        waiting = self.bytes_written - self.bytes_sent
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
        self.ready.append((segment, size))

    def _throw(self, lines: int, why: Why, what: str) -> None:
        if self.why != why:
            self.sink.tell(f"requests are not kept: {REASONS[why]} ({what})")
        self.thrown, self.why = self.thrown + lines, why

    def _send_on(self) -> None:
        with suppress(OSError):  # Linux: it gives way to whoever answers
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), GIVES_WAY)
        self._again(self._send_left_behind)
        tidied = None
        while not self.given_up.is_set():
            if self.ready:
                segment, size = self.ready[0]
                if self._again(partial(self._send, segment)):
                    self.bytes_sent += size
                    self.ready.popleft()
            elif self.written.is_set():
                return
            elif tidied is None or time.monotonic() - tidied > TIDY_S:
                self._again(self.sink.tidy)
                tidied = time.monotonic()
            else:
                self.written.wait(SEND_S)

    def _again(self, do: Callable[[], object]) -> bool:
        """Do it until it is done; whether it was, before all was given up."""
        wait_s, is_told = FIRST_S, False
        while not self.given_up.is_set():
            try:
                do()
                return True
            except (ServerError, OSError) as error:
                if not is_told:
                    self.sink.tell(f"{error}; what is kept of requests waits in {self.home}")
                is_told = True
            self.given_up.wait(wait_s * random.uniform(0.5, 1))
            wait_s = min(2 * wait_s, LONGEST_S)
        return False

    def _send(self, segment: Segment, is_found: bool = False) -> None:
        """Bring a segment to the database, and note what is missing in it; then it goes."""
        lines = segment.lines()
        refused = self._append(lines)
        gap = max(0, segment.last - segment.after - len(lines))
        if gap:
            self.sink.lose(gap, REASONS[segment.why], segment.source)
        if refused:
            self.sink.lose(refused, REFUSED, f"{segment.source}/refused")
        segment.path.unlink(missing_ok=True)
        self.sent += len(lines) - refused
        self.gone += refused + (gap if is_found else 0)
        self.found += len(lines) + gap if is_found else 0

    def _append(self, lines: Sequence[bytes]) -> int:
        """Append lines; return how many the database takes not, which it is asked for in ever smaller parts."""
        if len(lines) > MOST_LINES:
            return sum(self._append(lines[n : n + MOST_LINES]) for n in range(0, len(lines), MOST_LINES))
        try:
            self.sink.append(lines)
            return 0
        except RefusedError:
            half = len(lines) // 2
            return self._append(lines[:half]) + self._append(lines[half:]) if half else len(lines)

    def _send_left_behind(self) -> None:
        for folder in owned.left_behind(self.home):
            if folder == self.segments.folder or self.given_up.is_set():
                continue
            try:
                left = Segments.taken_over(folder)
                killed, segments = (left.killed(), left.waiting()) if left else (0, [])
            except (ServerError, OSError, ValueError) as error:
                self.sink.tell(f"{folder}: what an earlier process kept cannot be read: {error}")
                continue
            if left:
                self._take_over(left, killed, segments)

    def _take_over(self, left: Segments, killed: int, segments: Sequence[Segment]) -> None:
        """Send what a process left, and note what it had not written yet when it was killed."""
        is_done = False
        try:
            for segment in segments:
                self._send(segment, is_found=True)
            if killed:
                self.sink.lose(killed, KILLED, f"{left.folder.name}/end")
                self.gone, self.found = self.gone + killed, self.found + killed
            is_done = True
        finally:
            left.close(is_done)


def _unhurried(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Make lines, and let others have the interpreter after each portion."""
    for n, line in enumerate(lines, 1):
        yield line
        if n % PORTION == 0:
            time.sleep(YIELD_S)
