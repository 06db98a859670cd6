"""What waits here for the database: all of it comes there once, or is counted."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ratchet.adapters import capturesender, capturespool, segments
from ratchet.adapters.captured import RefusedError
from ratchet.adapters.capturesender import Sink
from ratchet.adapters.capturespool import Spool
from ratchet.adapters.segments import Segments
from ratchet.errors import Away


class Database:
    """What a sink leads to, in memory: lines are there once, losses once per name."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.losses: dict[str, tuple[int, str]] = {}
        self.told: list[str] = []
        self.is_away = False
        self.refuses = b"\0"

    def append(self, lines: Sequence[bytes]) -> None:
        if self.is_away:
            raise Away("the database is away")
        if any(self.refuses in line for line in lines):
            raise RefusedError("not these")
        for line in lines:
            self.rows[line] = self.rows.get(line, 0) + 1

    def lose(self, lost: int, why: str, source: str) -> None:
        if self.is_away:
            raise Away("the database is away")
        self.losses.setdefault(source, (lost, why))

    @property
    def lost(self) -> int:
        return sum(lost for lost, _ in self.losses.values())


def made(item: Any) -> list[bytes]:
    return [json.dumps(each).encode() for each in (item if isinstance(item, list) else [item])]


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def opened(tmp_path: Path, database: Database):
    """Begin a spool on a folder; all are closed at the end."""
    spools = []

    def begin(lines: Callable[[Any], list[bytes]] = made, **how: Any) -> Spool:
        sink = Sink(lines, database.append, database.lose, tell=database.told.append)
        spools.append(Spool(tmp_path / "spool", sink, **({"flush_s": 0.02} | how)))
        return spools[-1]

    yield begin
    database.is_away = False
    for spool in spools:
        spool.close(2)


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def killed(spool: Spool) -> None:
    """Have nothing more come of a spool, and let go of its lock, as if its process were gone."""
    spool.sender.given_up.set()
    spool.sender.thread.join()
    spool.closing.set()
    spool.writer.join()
    spool.segments.owned.close()


def test_what_is_handed_in_comes_to_the_database_and_leaves_nothing_here(opened, database, tmp_path) -> None:
    spool = opened()
    for n in range(1_000):
        spool.append([n, "한글"], 2)
    spool.close()
    assert len(database.rows) == 1_001 and not database.losses
    assert (spool.seen, spool.sent, spool.lost, spool.waiting) == (2_000, 2_000, 0, 0)
    assert list((tmp_path / "spool").iterdir()) == []


def test_while_the_database_is_away_all_waits_and_comes_when_it_is_back(opened, database) -> None:
    database.is_away = True
    spool = opened()
    for n in range(300):
        spool.append(n, 1)
        if n % 100 == 0:
            time.sleep(0.05)
    eventually(lambda: spool.waiting == 300 and not spool.queue)
    assert any("the database is away; what is kept of requests waits in" in text for text in database.told)
    database.is_away = False
    eventually(lambda: spool.sent == 300)
    assert len(database.rows) == 300 and not database.losses


def test_what_is_not_sent_at_the_end_is_sent_by_the_next_process(opened, database) -> None:
    database.is_away = True
    first = opened()
    first.append("left", 1)
    first.close(0.1)
    assert first.waiting == 1
    database.is_away = False
    second = opened()
    eventually(lambda: second.sent == 1)
    assert list(database.rows) == [b'"left"'] and not database.losses
    assert (second.sender.found, second.lost, second.waiting) == (1, 0, 0)


def test_a_full_spool_loses_what_comes_and_counts_it(opened, database) -> None:
    database.is_away = True
    spool = opened(most_bytes=20_000)
    for n in range(100):
        spool.append(f"{n:01000d}", 1)
        time.sleep(0.005)
    eventually(lambda: not spool.queue and not spool.lines)
    assert 0 < spool.lost < 100
    database.is_away = False
    eventually(lambda: spool.waiting == 0)
    spool.append("again", 1)
    spool.close()
    assert database.lost == spool.lost == 101 - len(database.rows)
    assert {why for _, why in database.losses.values()} == {segments.REASONS["full"]}
    assert len([text for text in database.told if "requests are not kept" in text]) < 5, "people are told, not flooded"


def test_more_than_can_be_written_down_is_counted(opened, database, monkeypatch) -> None:
    monkeypatch.setattr(capturespool, "MOST_WAITING", 10)
    go_on = threading.Event()

    def slow(item: Any) -> list[bytes]:
        go_on.wait(5)
        return made(item)

    spool = opened(slow)
    for n in range(50):
        spool.append(n, 1)
    assert spool.lost >= 38
    go_on.set()
    spool.close()
    assert database.lost == spool.lost == 50 - len(database.rows)


def test_one_that_is_odd_is_lost_alone(opened, database) -> None:
    spool = opened(lambda item: made({}[item] if item == 3 else item))
    for n in range(10):
        spool.append(n, 1)
    spool.close()
    assert len(database.rows) == 9
    assert list(database.losses.values()) == [(1, segments.REASONS["odd"])]


def test_lines_that_the_database_refuses_do_not_hold_up_the_others(opened, database) -> None:
    database.refuses = b"bad"
    spool = opened()
    for n in range(100):
        spool.append("bad" if n in (13, 77) else n, 1)
    spool.close()
    assert len(database.rows) == 98 and database.lost == spool.lost == 2
    assert {why for _, why in database.losses.values()} == {capturesender.REFUSED}


def test_a_disk_that_takes_no_more_loses_and_counts(opened, database, monkeypatch) -> None:
    write, is_full = Segments.write, True

    def fails(self: Segments, lines: Sequence[bytes], *words: Any) -> Any:
        if is_full and lines:
            raise OSError(28, "No space left on device")
        return write(self, lines, *words)

    monkeypatch.setattr(Segments, "write", fails)
    spool = opened()
    spool.append("lost", 1)
    eventually(lambda: spool.lost == 1)
    is_full = False
    spool.append("kept", 1)
    spool.close()
    assert list(database.rows) == [b'"kept"'] and database.lost == 1
    assert any("the disk took no more" in text and "No space left" in text for text in database.told)


def test_two_processes_on_one_folder_keep_to_their_own(opened, database) -> None:
    database.is_away = True
    first = opened()
    first.append("first", 1)
    eventually(lambda: len(first.sender.ready) == 1)
    second = opened()
    second.append("second", 1)
    eventually(lambda: len(second.sender.ready) == 1)
    database.is_away = False
    eventually(lambda: first.waiting == second.waiting == 0)
    assert database.rows == {b'"first"': 1, b'"second"': 1} and not second.sender.found


def test_a_torn_last_line_is_counted_and_the_others_are_kept(opened, database, tmp_path) -> None:
    database.is_away = True
    first = opened()
    for n in range(10):
        first.append(n, 1)
    eventually(lambda: not first.queue and not first.lines and first.sender.ready)
    first._write = lambda: None
    first.append("never written", 1)
    killed(first)
    (file,) = [*(tmp_path / "spool").glob("of-*/*.jsonl")][-1:]
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    database.is_away = False
    second = opened()
    eventually(lambda: database.lost == 2)
    second.close()
    assert len(database.rows) == 9
    assert {why for _, why in database.losses.values()} == {segments.KILLED}
    assert second.lost == 2 and list((tmp_path / "spool").iterdir()) == []


def test_what_cannot_be_read_of_an_earlier_process_does_not_hold_up_this_one(opened, database, tmp_path) -> None:
    (tmp_path / "spool" / "of-1" / "counts").mkdir(parents=True)
    spool = opened()
    spool.append("mine", 1)
    eventually(lambda: spool.sent == 1)
    assert any("what an earlier process kept cannot be read" in text for text in database.told)


def test_after_the_end_a_call_is_counted_and_fails_not(opened) -> None:
    spool = opened()
    spool.close()
    spool.append("late", 1)
    spool.close()
    assert (spool.seen, spool.lost) == (1, 1)
