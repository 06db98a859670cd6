"""Keeps the parts of a running stack up: one that ends is started again, with back-off, a limited number of times."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import tenacity

from ratchet.adapters.servers import Child
from ratchet.errors import RatchetError, ServerError

RUNNING, RESTARTING, STOPPED, FAILED = "running", "restarting", "stopped", "given up"
LOOK_S, LET_GO_S = 0.2, 1.0


class Startable(Protocol):
    """A part of the stack."""

    child: Child | None

    def start(self) -> None:
        """Start it; return when it is healthy, or raise ServerError."""
        ...

    def stop(self) -> None:
        """Stop it."""
        ...


@dataclass(frozen=True)
class BackOff:
    """How a part that ended is started again.

    Attributes:
        tries: So many before it is given up.
        first_s: Seconds between the first two; doubled from one to the next.
        longest_s: Seconds between two at most.
        steady_s: A part that ends within so many seconds after its start counts as a failed try.
    """

    tries: int = 5
    first_s: float = 0.5
    longest_s: float = 15.0
    steady_s: float = 30.0


@dataclass
class Kept:
    """One part that is kept up, by a thread of its own.

    Attributes:
        name: What people call it.
        part: The part, which runs.
        tell: Hears what happens to it, in one line each.
        back_off: How it is started again.
        state: RUNNING, RESTARTING, STOPPED or FAILED.
        restarts: How often it was started again.
    """

    name: str
    part: Startable
    tell: Callable[[str], None]
    back_off: BackOff = BackOff()
    state: str = RUNNING
    restarts: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _over: threading.Event = field(default_factory=threading.Event)
    _asked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._keep, name=f"keep_{self.name}", daemon=True)

    def keep(self) -> None:
        """Begin to watch it."""
        self._thread.start()

    def let_go(self) -> None:
        """Watch it no longer; it goes on running."""
        self._over.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join(LET_GO_S)

    def start(self) -> None:
        """Start it, unless it runs.

        Raises:
            ServerError: It did not become healthy; its state is FAILED.
        """
        self._asked.set()  # whoever starts it again is not waited for
        with self._lock:
            if self.state == RUNNING and self._is_alive():
                return
            self.part.stop()
            self.state = FAILED
            self.part.start()
            self.state = RUNNING

    def stop(self) -> None:
        """Stop it; it stays so until it is started."""
        self._asked.set()
        with self._lock:
            self.part.stop()
            self.state = STOPPED

    def _is_alive(self) -> bool:
        return self.part.child is not None and self.part.child.is_alive

    def _keep(self) -> None:
        while not self._over.wait(LOOK_S):
            with self._lock:
                has_ended = self.state == RUNNING and not self._is_alive()
                if has_ended:
                    self.state = RESTARTING
                    self._asked.clear()
            if has_ended:
                self._start_again()

    def _start_again(self) -> None:
        code = self.part.child.process.returncode if self.part.child else "?"
        self.tell(f"{self.name} has ended ({code}); it is started again")
        how = self.back_off
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((RatchetError, OSError)),
            wait=tenacity.wait_exponential(multiplier=how.first_s, max=how.longest_s),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(how.tries), tenacity.stop_when_event_set(self._asked)
            ),
            sleep=tenacity.sleep_using_event(self._asked),
            reraise=True,
        )  # fmt: skip
        try:
            again(self._try)
        except (RatchetError, OSError) as error:
            with self._lock:
                if self.state != RESTARTING or self._over.is_set():  # somebody has decided otherwise meanwhile
                    return
                self.part.stop()
                self.state = FAILED
            again_by = f"`ratchet stack start {self.name}` tries once more"
            self.tell(f"{self.name} is given up after {how.tries} tries: {error}; {again_by}")

    def _try(self) -> None:
        """Start it once, and see it run for a while.

        Raises ServerError if it does not become healthy, or ends within that while.
        """
        with self._lock:
            if self.state != RESTARTING or self._over.is_set():
                return
            self.part.stop()
            self.part.start()
            self.state, child = RUNNING, self.part.child
            self.restarts += 1
        if child is None:
            return
        self.tell(f"{self.name} runs again")
        deadline = time.monotonic() + self.back_off.steady_s
        while child.is_alive and time.monotonic() < deadline:
            if self._asked.wait(LOOK_S):
                return
        with self._lock:
            if not child.is_alive and self.state == RUNNING and self.part.child is child:
                self.state = RESTARTING
                raise ServerError(f"{self.name} has ended again ({child.process.returncode}); {child.last_words()}")
