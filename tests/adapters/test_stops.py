"""A signal ends the work at once, but not in the middle of a transaction, nor of what must not be seen half-done."""

import signal
import threading
import time
from collections.abc import Callable
from concurrent import futures
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xgboost

from ratchet.adapters import stops

pytestmark = pytest.mark.usefixtures("heard")


def transaction(seen: list[str], seconds: float) -> None:
    """A function that looks as if it belonged to SQLAlchemy, and is sent a SIGTERM in its middle."""
    database = ModuleType("sqlalchemy.engine")
    code = "signal.raise_signal(signal.SIGTERM); time.sleep(seconds); seen.append('committed')"
    exec(code, vars(database) | {"signal": signal, "time": time, "seen": seen, "seconds": seconds})


@pytest.mark.parametrize("sign", stops.STOPS, ids=str)
def test_a_signal_ends_the_work_at_once(sign: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(sign)


def test_a_transaction_is_brought_to_its_end_and_then_the_signal_is_heard_even_by_one_who_waits() -> None:
    seen: list[str] = []

    def work() -> None:
        transaction(seen, 0.05)
        threading.Event().wait(60)
        seen.append("waited")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen == ["committed"]


class Batch(xgboost.DataIter):
    """Rows that XGBoost asks for from C, where an exception would be printed and lost."""

    rows: Any = np.arange(8.0).reshape(4, 2)
    given = False

    def next(self, input_data: Any) -> bool:
        if self.given:
            return False
        signal.raise_signal(signal.SIGINT)
        input_data(data=self.rows, label=np.array([0, 1, 0, 1]))
        self.given = True
        return True

    def reset(self) -> None:
        self.given = False


class Closing:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def half_made() -> None:
    """An object of XGBoost's whose finalizer fails if it was made by halves."""
    real = xgboost.core._ProxyDMatrix

    def signalled() -> Any:
        signal.raise_signal(signal.SIGINT)
        return real()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xgboost.core, "_ProxyDMatrix", signalled)
        xgboost.QuantileDMatrix(Batch.rows)


@pytest.mark.parametrize(
    "work",
    [lambda: xgboost.QuantileDMatrix(Batch()), Closing, half_made],
    ids=["callback", "finalizer", "half-made"],
)
def test_a_signal_is_not_lost_where_python_could_only_print_it(
    work: Callable[[], object], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal is heard after the work
        work()
        threading.Event().wait(60)
    assert capfd.readouterr().err == ""


def test_a_pool_notes_each_thread_that_it_starts_else_the_process_would_wait_for_it_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = threading.Thread.start

    def signalled(thread: threading.Thread) -> None:
        real(thread)
        if thread.name.startswith("ThreadPoolExecutor"):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(threading.Thread, "start", signalled)
    pool = futures.ThreadPoolExecutor(1)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal is heard after the start
        pool.submit(time.sleep, 0)
        threading.Event().wait(60)
    noted = vars(futures.thread)["_threads_queues"]
    assert all(thread in noted for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor"))


def test_a_transaction_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stops, "LONGEST_WAIT_S", 0.1)
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        transaction(seen, 60)
    assert not seen


def test_what_must_not_be_seen_half_done_is_done_first() -> None:
    seen = []

    def work() -> None:
        with stops.uninterrupted():
            signal.raise_signal(signal.SIGINT)
            seen.append("done")
        seen.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen == ["done"]


@pytest.mark.parametrize(("second", "seen"), [(signal.SIGTERM, ["done"]), (signal.SIGINT, [])], ids=str)
def test_what_mlflow_run_makes_of_one_ctrl_c_is_one_wish_and_a_second_ctrl_c_is_heard_at_once(
    second: int, seen: list[str]
) -> None:
    did: list[str] = []

    @stops.uninterrupted()
    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(second)
        did.append("done")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert did == seen
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_within_another_block_the_end_of_the_outer_one_counts() -> None:
    seen = []

    def work() -> None:
        with stops.uninterrupted():
            with stops.uninterrupted():
                signal.raise_signal(signal.SIGINT)
            seen.append("the inner one is over")
        seen.append("went on")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen == ["the inner one is over"]


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stops.hear()
    signal.raise_signal(signal.SIGINT)
    with stops.uninterrupted():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
