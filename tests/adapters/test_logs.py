"""The log of a server that runs for weeks stays small, and its newest lines are there."""

import subprocess
import sys
import time
from pathlib import Path

from ratchet.adapters import logs, servers

LINES = "import itertools, time\nfor n in itertools.count(): print(f'line {n:06}', flush=True); time.sleep(0.0002)"


def test_a_log_that_grows_is_moved_aside_while_its_server_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with log.open("ab") as out:
        writer = subprocess.Popen([sys.executable, "-c", LINES], stdout=out)
    try:
        with logs.kept_small(log, most_bytes=20_000, look_s=0.05):
            deadline = time.monotonic() + 30
            while not (tmp_path / "serve.log.1").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            before = log.stat().st_size
            time.sleep(1)
    finally:
        writer.kill()
        writer.wait()
    assert before < 20_000 * 5
    assert (tmp_path / "serve.log.1").read_text().startswith("line 0")
    assert b"\0" not in log.read_bytes(), "it goes on at the beginning of the emptied file"
    assert log.read_text().splitlines()[0].startswith(("line", "ine", "ne", "e"))


def test_a_server_appends_to_its_log_which_may_be_emptied_under_it(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    log.write_text("of the run before\n")
    with servers.running("a server", [sys.executable, "-c", LINES], log):
        deadline = time.monotonic() + 30
        while not log.stat().st_size and time.monotonic() < deadline:
            time.sleep(0.05)
        assert logs.rotate(log, most_bytes=0)
        time.sleep(0.5)
        assert b"\0" not in log.read_bytes()
    assert (tmp_path / "serve.log.1").read_text().startswith("of the run before")
