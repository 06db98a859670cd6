"""The address of the database and the lock that a stage change holds."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ratchet.adapters import database
from ratchet.errors import ServerError
from ratchet.settings import Settings

HOLDS = """
import sys, time
from pathlib import Path
from ratchet.adapters import database
from ratchet.settings import Settings
home = Path(sys.argv[1])
with database.lock(Settings("", f"sqlite:///{home / 'ratchet.db'}", (), home), "promote-churn"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / ".ratchet"
    return Settings("", f"sqlite:///{home / 'ratchet.db'}", (), home)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.2)


@pytest.fixture
def holder(settings: Settings):
    """Another process that holds the lock."""
    started = []

    def start(seconds: float) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(settings.home), str(seconds)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://me:secret@db:5432/ratchet", "postgresql+psycopg2://me:secret@db:5432/ratchet"),
        ("postgresql+psycopg2://db/ratchet", "postgresql+psycopg2://db/ratchet"),
        ("postgresql+psycopg://db/ratchet", "postgresql+psycopg://db/ratchet"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
    ],
)
def test_an_address_names_the_driver_that_is_installed(given, used, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert database.url(Settings("", given, (), tmp_path)) == used


def test_the_address_of_postgresql_is_one_that_sqlalchemy_opens(tmp_path):
    from sqlalchemy import create_engine

    engine = create_engine(database.url(Settings("", "postgresql://me@db/ratchet", (), tmp_path)))
    assert engine.driver == "psycopg2"


@pytest.mark.parametrize(
    "given", ["postgresql+psycopg://me:secret@db/ratchet", "postgresql://me:secret@db:port/ratchet"]
)
def test_an_address_that_cannot_be_opened_is_told_without_its_password(given, tmp_path):
    with (
        pytest.raises(ServerError, match=r"me:\*\*\*@db.*: cannot be locked: "),
        database.lock(Settings("", given, (), tmp_path), "promote-churn"),
    ):
        raise AssertionError("it is locked")


def test_the_folder_of_an_sqlite_file_is_made(tmp_path):
    where = tmp_path / "a" / "b" / "ratchet.db"
    assert database.url(Settings("", f"sqlite:///{where}", (), tmp_path)) == f"sqlite:///{where}"
    assert where.parent.is_dir()


def test_the_lock_can_be_held_again_after_it_was_let_go(settings):
    for _ in range(3):
        began = time.monotonic()
        with database.lock(settings, "promote-churn"):
            assert time.monotonic() - began < database.LOCK_WAIT_S / 2


@pytest.mark.usefixtures("impatient")
def test_a_second_thread_is_refused_while_the_first_holds_the_lock(settings):
    def second() -> None:
        with database.lock(settings, "promote-churn"):
            raise AssertionError("both hold the lock")

    with (
        database.lock(settings, "promote-churn"),
        ThreadPoolExecutor(1) as pool,
        pytest.raises(ServerError, match=r"promote-churn: another process is at it.*try again"),
    ):
        pool.submit(second).result()


def test_threads_hold_the_lock_one_after_the_other(settings):
    inside, most = [], []

    def work(name: int) -> None:
        with database.lock(settings, "promote-churn"):
            inside.append(name)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most == [1] * 8


@pytest.mark.usefixtures("impatient")
def test_two_tasks_do_not_wait_for_each_other(settings):
    began = time.monotonic()
    with database.lock(settings, "promote-churn"), database.lock(settings, "promote-credit"):
        assert time.monotonic() - began < database.LOCK_WAIT_S


@pytest.mark.usefixtures("impatient")
def test_the_lock_does_not_keep_the_studies_from_writing(settings):
    import sqlite3

    with database.lock(settings, "promote-churn"):
        study = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"), timeout=0.1)
        study.execute("CREATE TABLE trials (number INTEGER)")
        study.execute("INSERT INTO trials VALUES (7)")
        study.commit()
        assert study.execute("SELECT number FROM trials").fetchall() == [(7,)]
        study.close()


@pytest.mark.usefixtures("impatient")
def test_a_promotion_that_fails_lets_the_lock_go(settings):
    with pytest.raises(ZeroDivisionError), database.lock(settings, "promote-churn"):
        raise ZeroDivisionError
    with database.lock(settings, "promote-churn"):
        pass


@pytest.mark.usefixtures("impatient")
def test_another_process_keeps_the_lock_from_us(settings, holder):
    holder(30)
    with pytest.raises(ServerError, match="another process is at it"), database.lock(settings, "promote-churn"):
        pass


@pytest.mark.usefixtures("impatient")
def test_a_holder_that_is_killed_lets_the_lock_go(settings, holder):
    process = holder(30)
    with pytest.raises(ServerError), database.lock(settings, "promote-churn"):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with database.lock(settings, "promote-churn"):
        pass


def test_who_waits_gets_the_lock_when_it_is_let_go(settings, holder):
    process, got = holder(0.5), threading.Event()
    with database.lock(settings, "promote-churn"):
        got.set()
        assert process.wait(timeout=5) == 0
    assert got.is_set()


@pytest.mark.parametrize("fault", ["a folder", "another file"])
def test_a_lock_that_cannot_be_made_is_not_blamed_on_another_promotion(fault, settings):
    where = settings.home / "promote-churn.lock"
    settings.home.mkdir(parents=True)
    where.mkdir() if fault == "a folder" else where.write_bytes(b"no database" * 100)
    with (
        pytest.raises(ServerError, match=r"promote-churn\.lock: cannot be locked"),
        database.lock(settings, "promote-churn"),
    ):
        pass
