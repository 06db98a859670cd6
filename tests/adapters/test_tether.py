"""Children are noticed the moment they end, and never outlive who started them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from ratchet.adapters import places, tether

SLEEPS = [sys.executable, "-c", "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"]
STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"]


def members(group: int, count: int) -> list[int]:
    """The processes of a group, once there are so many."""
    for _ in range(500):
        if len(found := tether.members(group)) == count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{found}, not {count} processes")


def test_a_killed_grandchild_is_noticed_at_once_and_the_others_end_with_it(tmp_path: Path) -> None:
    with tether.tethered(SLEEPS, tmp_path / "log", os.environ) as process:
        there = members(process.pid, 3)  # the command, what it started, and the tether
        began = time.monotonic()
        threading.Timer(0.2, os.kill, [max(there), signal.SIGKILL]).start()
        assert tether.until_one_ends(process, lambda: False)
        assert 0.15 < time.monotonic() - began < 0.6
    assert not any(Path(f"/proc/{member}").exists() for member in there[:1])
    assert tether.members(process.pid) == [process.pid], "nobody of the group lives"


def test_one_that_is_not_wanted_any_more_is_let_go_of(tmp_path: Path) -> None:
    over = threading.Event()
    with tether.tethered(SLEEPS, tmp_path / "log", os.environ) as process:
        threading.Timer(0.2, over.set).start()
        assert not tether.until_one_ends(process, over.is_set)
        assert process.poll() is None


def test_a_child_that_hears_no_signal_is_ended_by_force(tmp_path: Path) -> None:
    with tether.tethered(STUBBORN, tmp_path / "log", os.environ) as process:
        time.sleep(0.5)
        began = time.monotonic()
    assert tether.GONE_S - 1 < time.monotonic() - began < tether.GONE_S + 3
    assert process.returncode == -signal.SIGKILL


def test_children_and_grandchildren_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = (
        "import os, sys, time; from pathlib import Path; from ratchet.adapters import tether\n"
        f"with tether.tethered({SLEEPS!r}, Path('log'), os.environ) as process:\n"
        "    print(process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        group = int(killed.stdout.readline())
        members(group, 3)
        killed.kill()
    for _ in range(100):
        if tether.members(group) == [group] and not Path(f"/proc/{group}").exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{tether.members(group)} outlived their parent")


def test_a_folder_is_removed_by_its_owner_or_by_whoever_finds_its_owner_gone(tmp_path: Path) -> None:
    with places.place(tmp_path, "copies") as own:
        assert places.clear(tmp_path, "copies") == 0
        (own / "model").write_text("x")
        code = "import os; from pathlib import Path; from ratchet.adapters import places\n"
        code += "with places.place(Path('.'), 'copies') as own: (own / 'model').write_text('x'); os._exit(1)"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
        (tmp_path / "copies.of.somebody").mkdir()
        assert len(list(tmp_path.iterdir())) == 3
        assert places.clear(tmp_path, "copies") == 1
        assert sorted(tmp_path.iterdir()) == sorted([own, tmp_path / "copies.of.somebody"])
    assert [path.name for path in tmp_path.iterdir()] == ["copies.of.somebody"]
