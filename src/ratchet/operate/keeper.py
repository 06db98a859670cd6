"""Keeps the model servers of one version up: each is started, proven, watched, and started again when it ends."""

import re
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ratchet.errors import ServerError, told
from ratchet.serving.routes import Backend

FIRST_S, LONGEST_S, STEADY_S = 0.5, 30, 60  # waits before a server is started again; up for so long it begins anew
LOOK_S = 0.1
IsOver = Callable[[], bool]


@dataclass(frozen=True)
class Running:
    """A server that has proven itself. until_ended: returns True at once when it ends, False soon after it is over."""

    backend: Backend
    until_ended: Callable[[IsOver], bool]


Start = Callable[[int, IsOver], AbstractContextManager[Running]]  # of the server with this number, from 0
Prepare = Callable[[], AbstractContextManager[Start]]


class Keeper:
    """The servers of one version, each in a thread of its own.

    prepare: what they share while they run, such as the copy of the model; changed: called when one is up or has
    ended, in its thread; tell: whom to tell of a fault, once until it is mended or another.
    """

    def __init__(
        self,
        version: int,
        prepare: Prepare,
        changed: Callable[[], None],
        tell: Callable[[str], None],
        longest_s: float = LONGEST_S,
    ) -> None:
        self.version, self.prepare, self.changed, self.tell = version, prepare, changed, tell
        self.longest_s = longest_s
        self.fault: Exception | None = None  # why none is up, as far as it is known
        self._wanted, self._up, self._said = 1, list[Backend](), ""
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"version {version}", daemon=True)
        self._thread.start()

    @property
    def backend(self) -> Backend | None:
        """The server that has been up for longest."""
        with self._lock:
            return self._up[0] if self._up else None

    @property
    def up(self) -> int:
        """How many servers are up."""
        return len(self._up)

    @property
    def is_gone(self) -> bool:
        """Whether it has stopped."""
        return not self._thread.is_alive()

    def want(self, servers: int) -> None:
        """Keep at least so many servers up."""
        self._wanted = max(self._wanted, servers)

    def stop(self) -> None:
        """Have the servers stopped; returns at once."""
        self._over.set()

    def join(self, limit_s: float) -> None:
        """Wait until they are."""
        self._thread.join(limit_s)

    def _keep(self) -> None:
        pauses = _Pauses(self.longest_s)
        while not self._over.is_set():
            try:
                with self.prepare() as start:
                    self._run(start)
            except Exception as error:  # noqa: BLE001  (whatever is wrong now, it is tried again)
                self._failed(error)
                self._over.wait(pauses.next_s(0))

    def _run(self, start: Start) -> None:
        threads = list[threading.Thread]()
        while not self._over.is_set():
            # The second follows the first: two that start at once take twice as long.
            if len(threads) < (self._wanted if self._up else 1):
                number = len(threads)
                threads.append(threading.Thread(target=self._serve, args=(number, start), daemon=True))
                threads[-1].start()
            self._over.wait(LOOK_S)
        for thread in threads:
            thread.join()

    def _serve(self, number: int, start: Start) -> None:
        pauses = _Pauses(self.longest_s)
        while not self._over.is_set():
            since = time.monotonic()
            try:
                with start(number, self._over.is_set) as running:
                    since = time.monotonic()
                    self._came(running.backend)
                    try:
                        has_ended = running.until_ended(self._over.is_set)
                    finally:
                        self._left(running.backend)
                    if has_ended:
                        raise ServerError(f"{running.backend.url}: the model server has ended")
            except Exception as error:  # noqa: BLE001
                self._failed(error)
                self._over.wait(pauses.next_s(time.monotonic() - since))

    def _came(self, backend: Backend) -> None:
        with self._lock:
            self._up.append(backend)
            self.fault, was_said, self._said = None, self._said, ""
        self.changed()
        if was_said:
            self.tell(f"version {self.version}: {backend.url} answers")

    def _left(self, backend: Backend) -> None:
        with self._lock:
            self._up.remove(backend)
        self.changed()

    def _failed(self, error: Exception) -> None:
        if self._over.is_set():
            return
        text = told(error) or f"{type(error).__name__}: {error}"
        plain = re.sub(r"\d+", "", text)  # ports, processes and times differ each time
        with self._lock:
            self.fault = None if self._up else error
            is_new, self._said = plain != self._said, plain
        if is_new:
            self.tell(f"version {self.version}: {text}; it is tried again")
        self.changed()


class _Pauses:
    """How long to wait before each further try: twice as long each time, from the start where one was steady."""

    def __init__(self, longest_s: float) -> None:
        self.longest_s, self._next_s = longest_s, FIRST_S

    def next_s(self, was_up_s: float) -> float:
        """Return the wait in seconds. was_up_s: how long the server was up."""
        now_s = FIRST_S if was_up_s >= STEADY_S else self._next_s
        self._next_s = min(now_s * 2, self.longest_s)
        return now_s
