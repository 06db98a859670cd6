"""A server that ends is started again, later each time; a fault that stays is told once."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path

from ratchet.adapters import tether
from ratchet.operate.keeper import IsOver, Keeper, Running, Start
from ratchet.serving.routes import Backend, Signature
from tests.operate.test_supervisor import until

BEGUN = "began.txt"


def kept(place: Path, seconds: float) -> Keeper:
    """A keeper of servers that end by themselves after so many seconds."""

    @contextmanager
    def started(number: int, is_over: IsOver) -> Iterator[Running]:
        command = [sys.executable, "-c", f"import time; time.sleep({seconds})"]
        with (place / BEGUN).open("a") as file:
            file.write(f"{time.monotonic()}\n")
        with tether.tethered(command, place / f"log-{number}", {}) as process:
            backend = Backend(1, f"http://server-{process.pid}", Signature({}))
            yield Running(backend, partial(tether.until_one_ends, process))

    def prepared() -> AbstractContextManager[Start]:
        return nullcontext(started)

    return Keeper(1, prepared, lambda: None, lambda text: None)


def test_a_server_that_keeps_ending_is_started_again_later_each_time(tmp_path: Path) -> None:
    keeper = kept(tmp_path, 0.01)
    until(lambda: (tmp_path / BEGUN).exists() and len((tmp_path / BEGUN).read_text().split()) == 4)
    keeper.stop()
    keeper.join(10)
    times = [float(word) for word in (tmp_path / BEGUN).read_text().split()]
    waits = [after - before for before, after in pairwise(times)]
    assert waits[0] > 0.5
    assert waits[1] > 1
    assert waits[2] > 2
    assert keeper.is_gone


def test_a_second_server_follows_the_first_and_both_are_stopped(tmp_path: Path) -> None:
    keeper = kept(tmp_path, 60)
    keeper.want(2)
    until(lambda: keeper.up == 2)
    first = keeper.backend
    assert first
    keeper.stop()
    keeper.join(10)
    assert keeper.is_gone
    assert keeper.backend is None


def test_what_cannot_be_prepared_is_tried_again_and_told_once_though_its_numbers_change() -> None:
    told, tries = list[str](), list[int]()

    def prepared() -> AbstractContextManager[Start]:
        tries.append(1)
        raise OSError(f"port {len(tries)} is taken")

    keeper = Keeper(7, prepared, lambda: None, told.append)
    until(lambda: len(tries) == 3)
    keeper.stop()
    keeper.join(10)
    assert told == ["version 7: port 1 is taken; it is tried again"]
    assert isinstance(keeper.fault, OSError)
