"""A part of the stack that ends is started again, a few times; whoever stops it is obeyed."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from ratchet.adapters.servers import answers, free_port
from ratchet.operate.kept import FAILED, RUNNING, STOPPED, BackOff, Kept
from ratchet.operate.part import Part

QUICK = BackOff(tries=3, first_s=0.01, longest_s=0.05, steady_s=0.5)
# A server that answers, as long as a file does not say that it cannot come up.
SERVER = """
import sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
if Path("broken").exists():
    sys.exit("the disk is on fire")
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""


class Watched:
    """A part that is kept up, and what is told of it."""

    def __init__(self, place: Path) -> None:
        port = free_port()
        self.told = Queue[str]()
        self.url, words = f"http://127.0.0.1:{port}", [sys.executable, "-c", SERVER, str(port)]
        self.part = Part("server", words, place / "part.log", self.url, os.environ)
        self.part.start()
        self.kept = Kept("part", self.part, self.told.put, QUICK)
        self.kept.keep()

    def hears(self) -> str:
        return self.told.get(timeout=60)

    def kill(self) -> int:
        assert self.part.child
        os.kill(self.part.child.process.pid, signal.SIGKILL)
        return self.part.child.process.pid


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.chdir(tmp_path)
    found = Watched(tmp_path)
    yield found
    found.kept.let_go()
    found.part.stop()


def test_a_part_that_is_killed_is_told_and_started_again(watched: Watched) -> None:
    former = watched.kill()
    assert watched.hears() == "part has ended (-9); it is started again"
    assert watched.hears() == "part runs again"
    assert watched.part.child and watched.part.child.process.pid != former
    assert answers(watched.url)
    assert (watched.kept.state, watched.kept.restarts) == (RUNNING, 1)


def test_one_that_cannot_come_up_is_given_up_with_its_last_words_and_started_by_hand_once_it_can(
    watched: Watched, tmp_path: Path
) -> None:
    (tmp_path / "broken").touch()
    watched.kill()
    watched.hears()
    last = watched.hears()
    assert last.startswith("part is given up after 3 tries: server ended with 1;")
    assert "part.log: the disk is on fire" in last
    assert "`ratchet stack start part` tries once more" in last
    assert watched.kept.state == FAILED
    (tmp_path / "broken").unlink()
    watched.kept.start()
    assert watched.kept.state == RUNNING and answers(watched.url)
    watched.kill()  # and it is watched again
    assert watched.hears() == "part has ended (-9); it is started again"
    assert watched.hears() == "part runs again"


def test_one_that_comes_up_and_ends_at_once_again_and_again_is_given_up_too(watched: Watched) -> None:
    watched.kill()
    assert "it is started again" in watched.hears()
    for _ in range(QUICK.tries):
        assert watched.hears() == "part runs again"
        watched.kill()
    assert watched.hears().startswith("part is given up after 3 tries: part has ended again (-9)")
    assert watched.kept.state == FAILED


def test_one_that_is_stopped_by_hand_stays_stopped_and_is_started_by_hand(watched: Watched) -> None:
    watched.kept.stop()
    assert watched.kept.state == STOPPED and not answers(watched.url)
    watched.kept.start()
    assert watched.kept.state == RUNNING and answers(watched.url)
    assert watched.told.empty(), "nobody is told of what was asked for"


def test_a_stop_ends_the_waiting_between_two_tries(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.kept.back_off = BackOff(tries=100, first_s=1000.0, longest_s=1000.0)
    tried = Queue[None]()
    start = watched.part.start

    def count() -> None:
        try:
            start()
        finally:
            tried.put(None)

    monkeypatch.setattr(watched.part, "start", count)
    (tmp_path / "broken").touch()
    watched.kill()
    tried.get(timeout=60)
    watched.kept.stop()
    watched.kept.let_go()
    assert not watched.kept._thread.is_alive(), "it does not wait for the next try"
    assert watched.kept.state == STOPPED
