"""What a run logs is kept until it is sent: in order, once, also over an absence, a refusal and a crash."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from ratchet.adapters.outbox import Record
from ratchet.adapters.patience import Patience
from ratchet.adapters.spool import Spool
from ratchet.errors import Away

KILLED = """
import sys, time
from pathlib import Path
from ratchet.adapters.patience import Patience
from ratchet.adapters.outbox import Record
from ratchet.adapters.spool import Spool
import requests

def send(record):
    raise requests.ConnectionError("away")

spool = Spool(Path(sys.argv[1]), send, Patience(60), "the server")
for n in range(10_000):
    room = spool.room()
    (room / "a.txt").write_text(f"file {n}")
    spool.append(Record("batch", "run", {"n": n}, room))
    print(n, flush=True)
"""


class Server:
    """What is on record; it can be away, and refuse."""

    def __init__(self) -> None:
        self.got: list[tuple[str, int, str]] = []
        self.away = threading.Event()
        self.refuses = ""
        self.full = False

    def send(self, record: Record) -> None:
        if self.away.is_set():
            raise requests.ConnectionError("away")
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.refuses and record.content.get("says") == self.refuses:
            raise ValueError(f"no {self.refuses}")
        held = (record.files / "a.txt").read_text() if record.files else ""
        self.got.append((record.run, record.content["n"], held))

    @property
    def numbers(self) -> list[int]:
        return [n for _, n, _ in self.got]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def opened(tmp_path: Path, server: Server) -> Iterator[Callable[..., Spool]]:
    made: list[Spool] = []

    def make(patience_s: float = 20, told: list[str] | None = None) -> Spool:
        patience = Patience(patience_s, (told if told is not None else []).append)
        made.append(Spool(tmp_path / "spool", server.send, patience, "the server"))
        return made[-1]

    yield make
    for spool in made:
        spool.close()


def log(spool: Spool, n: int, says: str = "", file: str | None = None, run: str = "run") -> None:
    room = None
    if file is not None:
        room = spool.room()
        (room / "a.txt").write_text(file)
    spool.append(Record("batch", run, {"n": n, "says": says}, room))


def test_everything_arrives_once_and_in_order_with_its_files(opened, server, tmp_path):
    spool = opened()
    for n in range(50):
        log(spool, n, file=f"file {n}" if n % 10 == 0 else None)
    spool.flush()
    assert server.numbers == list(range(50))
    assert [held for _, n, held in server.got if n % 10 == 0] == [f"file {n}" for n in range(0, 50, 10)]
    spool.close()
    assert not list((tmp_path / "spool").iterdir())


def test_records_of_many_threads_arrive_each_once(opened, server):
    spool = opened()
    threads = [threading.Thread(target=lambda k=k: [log(spool, 100 * k + n) for n in range(50)]) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.flush()
    assert sorted(server.numbers) == [100 * k + n for k in range(6) for n in range(50)]
    for k in range(6):
        mine = [n for n in server.numbers if n // 100 == k]
        assert mine == sorted(mine)


def test_the_work_goes_on_while_the_server_is_away_and_people_are_told_once(opened, server):
    told: list[str] = []
    spool = opened(told=told)
    server.away.set()
    for n in range(20):
        log(spool, n)
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    server.away.clear()
    spool.flush()
    assert server.numbers == list(range(20))
    assert len(told) == 1 and "waiting for the server" in told[0]


def test_a_server_that_stays_away_is_told_with_the_place_and_the_next_command_sends_the_rest(opened, server, tmp_path):
    spool = opened(patience_s=0.5)
    log(spool, 0)
    spool.flush()
    server.away.set()
    log(spool, 1)
    with pytest.raises(Away, match=r"no answer for \d+ s; 1 records wait in .*spool.*the next command sends them"):
        spool.flush()
    spool.close()
    (left,) = (tmp_path / "spool").glob("of-*")
    server.away.clear()
    assert opened().send_left_behind() == 1
    assert server.numbers == [0, 1]
    assert not left.exists()


def test_what_a_living_process_still_sends_is_left_to_it(opened, server, tmp_path):
    server.away.set()
    log(opened(), 1)
    assert opened().send_left_behind() == 0


def test_what_another_living_process_sends_is_left_to_it_until_it_is_killed(opened, server, tmp_path):
    command = [sys.executable, "-c", KILLED, tmp_path / "spool"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stdout.readline()
        assert opened().send_left_behind() == 0
        child.kill()
        child.stdout.read()
    assert opened().send_left_behind() > 0


def test_a_refused_record_is_an_error_where_the_work_is_done(opened, server):
    server.refuses = "nonsense"
    spool = opened()
    log(spool, 0)
    log(spool, 1, says="nonsense")
    with pytest.raises(ValueError, match="no nonsense"):
        spool.flush()
    with pytest.raises(ValueError, match="no nonsense"):
        log(spool, 3)
    assert server.numbers == [0]


def left_behind(opened, server, *said: str) -> None:
    """A process logs for runs `a` and `b` in turn while the server is away, and ends."""
    server.away.set()
    spool = opened(patience_s=0)
    for n, says in enumerate(said):
        log(spool, n, says, run="ab"[n % 2])
    spool.close()
    server.away.clear()


def test_a_refused_record_of_a_process_that_is_gone_is_told_once_and_only_its_run_is_put_aside(
    opened, server, tmp_path
):
    left_behind(opened, server, "", "nonsense", "", "", "", "")
    server.refuses = "nonsense"
    told: list[str] = []
    assert opened(told=told).send_left_behind() == 3
    assert server.numbers == [0, 2, 4]
    assert len(told) == 1
    (aside,) = (tmp_path / "spool").glob("refused-*")
    assert told[0].endswith(f"refused what an earlier command logged: no nonsense; it is in {aside}")
    assert opened(told=told).send_left_behind() == 0
    assert len(told) == 1


def test_a_disk_that_is_full_for_a_while_costs_no_record(opened, server, tmp_path):
    left_behind(opened, server, "", "full", "")
    server.full = True
    told: list[str] = []
    assert opened(told=told).send_left_behind() == 0
    assert "the disk is full" in told[0] and "waits in" in told[0]
    server.full = False
    assert opened().send_left_behind() == 3
    assert server.numbers == [0, 1, 2]


def test_damaged_records_are_put_aside_and_the_others_are_sent(opened, server, tmp_path):
    left_behind(opened, server, "")
    (damaged,) = (tmp_path / "spool").glob("of-*")
    left_behind(opened, server, "", "")
    (damaged / "records.db").write_bytes(b"no database at all" * 100)
    for rest in damaged.glob("records.db-*"):
        rest.unlink()
    told: list[str] = []
    assert opened(told=told).send_left_behind() == 2
    assert server.numbers == [0, 1]
    assert "file is not a database" in told[0]
    assert told[0].endswith(str(tmp_path / "spool" / f"damaged-{damaged.name}"))


def test_what_several_commands_left_behind_is_sent_in_the_order_of_time(opened, server):
    for n in range(12):
        server.away.set()
        spool = opened(patience_s=0)
        log(spool, n)
        spool.close()
    server.away.clear()
    assert opened().send_left_behind() == 12
    assert server.numbers == list(range(12))


def test_a_machine_that_is_renamed_still_sends_what_it_left_behind(opened, server, monkeypatch):
    left_behind(opened, server, "", "")
    monkeypatch.setattr("socket.gethostname", lambda: "another-name")
    assert opened().send_left_behind() == 2


def test_what_was_acknowledged_before_a_kill_is_sent_by_the_next_command(opened, server, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, tmp_path / "spool"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        for line in child.stdout:
            if int(line) == 40:
                os.kill(child.pid, signal.SIGKILL)
                break
        rest = child.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else 40
    sent = opened().send_left_behind()
    assert acknowledged + 1 <= sent <= acknowledged + 2  # the one that was kept, but not told of yet, is no loss
    assert server.numbers == list(range(sent))
    assert [held for _, _, held in server.got] == [f"file {n}" for n in range(sent)]
