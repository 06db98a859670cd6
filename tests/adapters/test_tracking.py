"""Opening the tracking store."""

import http.server
import os
import pwd
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ratchet.adapters import tracking
from ratchet.settings import Settings

OPEN_AT = """
import sys, time
from ratchet.adapters import tracking
from ratchet.settings import Settings
import mlflow
time.sleep(max(0, float(sys.argv[1]) - time.time()))
tracking.client(Settings.from_env())
"""


def test_commands_that_begin_together_in_an_empty_folder_all_find_the_store_made(tmp_path: Path) -> None:
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    together = str(time.time() + 8)
    words = [sys.executable, "-c", OPEN_AT, together]
    begun = [subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate(timeout=120)[1] for process in begun]
    assert [process.returncode for process in begun] == [0, 0, 0], "\n".join(told)


def test_a_store_in_a_folder_that_cannot_be_written_is_opened_without_a_lock(migrated_store: Path) -> None:
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{migrated_store}"}
    refused = "import os; was = os.access; os.access = lambda p, m: m != os.W_OK and was(p, m)"
    done = subprocess.run([sys.executable, "-c", refused + OPEN_AT, "0"], env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert not migrated_store.with_name("mlflow.db.lock").exists()


def test_a_name_for_a_server_that_keeps_no_accounts_is_nobodys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "any")
        settings = replace(Settings.from_env(), tracking_uri=f"http://127.0.0.1:{server.server_port}")
        assert tracking.identity(settings)["account"] == ""
        named = replace(settings, tracking_uri=f"http://anna:any@127.0.0.1:{server.server_port}")
        assert tracking.identity(named)["account"] == ""
        server.shutdown()


def test_the_user_is_the_systems_and_not_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "anna")
    assert tracking.identity(Settings.from_env())["person"] == pwd.getpwuid(os.getuid()).pw_name
