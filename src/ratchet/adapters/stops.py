"""SIGINT and SIGTERM: heard at once, except where the stop would be lost or would leave something half-done."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM)
_putting_off = ContextVar("_putting_off", default=False)
AGAIN_S, LONGEST_WAIT_S = 0.02, 5
CALLED_BACK = ("_next_wrapper", "_reset_wrapper")  # by XGBoost, while it reads a QuantileDMatrix
# A pool that is interrupted between the start of a thread and its note of it never ends it, nor does the process.
POOL, FILLED = "concurrent.futures.thread", ("submit", "_adjust_thread_count")
HALF_MADE = ("SingleBatchInternalIter.__init__", "DataIter.__init__")  # of XGBoost: their finalizers fail


def hear() -> None:
    """From now on both signals end the work as a Ctrl-C does; one that the caller ignores stays ignored."""
    stop = Stop()
    for sign in STOPS:
        if signal.getsignal(sign) is not signal.SIG_IGN:
            signal.signal(sign, stop)


class Stop:
    """A signal handler that raises KeyboardInterrupt as soon as the main thread is where it can be raised.

    In the middle of a transaction it would leave the database locked, and the run could not even be closed as KILLED.
    What C code calls back, and a finalizer, cannot raise at all: the interpreter prints the exception and goes on. So
    it waits, for LONGEST_WAIT_S at most.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.pending: threading.Timer | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, or look again a moment later."""
        now = time.monotonic()
        self.since = now if self.since is None else self.since
        if _must_end_first(frame) and now - self.since < LONGEST_WAIT_S:
            if self.pending is None:
                self.pending = threading.Timer(AGAIN_S, self._send, [number])
                self.pending.daemon = True
                self.pending.start()
            return
        self.since = None
        raise KeyboardInterrupt

    def _send(self, number: int) -> None:
        """Send this process's main thread a signal, which also wakes it where it waits."""
        self.pending = None  # first: the handler may run, and want another, before this thread is seen to end
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, number)


def _must_end_first(frame: FrameType | None) -> bool:
    while frame:
        module, function = str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
        if module.startswith(("sqlalchemy.", "mlflow.store.db.")) or module.endswith(".sqlalchemy_store"):
            return True
        if function == "__del__" or (module == "xgboost.core" and function in CALLED_BACK):
            return True
        if module == POOL and function in FILLED:
            return True
        if module.startswith("xgboost.") and frame.f_code.co_qualname in HALF_MADE:
            return True
        frame = frame.f_back
    return False


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put SIGINT and SIGTERM off until the end; the second of a kind is heard as ever.

    One of each is one wish: `mlflow run` sends SIGTERM after the Ctrl-C that the terminal has sent already. Within
    another such block the end of the outer one counts.
    """
    if threading.current_thread() is not threading.main_thread() or _putting_off.get():
        yield
        return
    former = {sign: signal.getsignal(sign) for sign in STOPS if signal.getsignal(sign) is not signal.SIG_IGN}
    came: list[int] = []

    def put_off(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if came.count(number) > 1:
            _hear(former[signal.Signals(number)], number, frame)

    inside = _putting_off.set(True)
    try:
        for sign in former:
            signal.signal(sign, put_off)
        yield
    finally:
        _putting_off.reset(inside)
        try:
            _restore(former)
        except KeyboardInterrupt:
            _restore(former)
            raise
    if came:
        raise KeyboardInterrupt


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for sign, handler in handlers.items():
        signal.signal(sign, handler)


def _hear(handler: Any, number: int, frame: FrameType | None) -> None:
    """Do what a handler does; what the system does by itself is to end the process."""
    if callable(handler):
        handler(number, frame)
    else:
        raise KeyboardInterrupt
