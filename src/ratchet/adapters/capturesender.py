"""Brings the segments of captured rows to the database, first those that processes which are gone left behind."""

import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ratchet.adapters import owned
from ratchet.adapters.captured import RefusedError
from ratchet.adapters.segments import KILLED, REASONS, Segment, Segments
from ratchet.errors import ServerError

MOST_LINES = 2_000  # in one transaction
FIRST_S, LONGEST_S = 0.2, 15.0  # between two tries
SEND_S, TIDY_S = 0.1, 3_600
GIVES_WAY = 10  # of 19, to whoever answers requests
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


class Sender:
    """One thread that sends until it is over and nothing is left, or all is given up. own: the folder of this process.

    Counts, of lines: found: left by processes that are gone; sent: in the database; gone: lost on the way.
    """

    def __init__(self, home: Path, own: Path, sink: Sink) -> None:
        self.home, self.own, self.sink = home, own, sink
        self.sent = self.found = self.gone = self.bytes_sent = 0
        self.ready: deque[tuple[Segment, int]] = deque()
        self.over, self.given_up = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._send_on, name="capture_send_on", daemon=True)
        self.thread.start()

    def _send_on(self) -> None:
        if sys.platform == "linux":  # where a thread has a priority of its own
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), GIVES_WAY)
        self._again(self._send_left_behind)
        tidied = None
        while not self.given_up.is_set():
            is_over = self.over.is_set()  # before it is looked at what is ready
            if self.ready:
                segment, size = self.ready[0]
                if self._again(partial(self._send, segment)):
                    self.bytes_sent += size
                    self.ready.popleft()
            elif is_over:
                return
            elif tidied is None or time.monotonic() - tidied > TIDY_S:
                self._again(self.sink.tidy)
                tidied = time.monotonic()
            else:
                self.over.wait(SEND_S)

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
            if folder == self.own or self.given_up.is_set():
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
