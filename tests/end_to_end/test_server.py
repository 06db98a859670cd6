"""The main job over HTTP: a real `mlflow server` with proxied artifacts, from which the client learns everything."""

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import mlflow
import pytest

from ratchet.adapters import records, tracking
from ratchet.adapters.servers import answers, free_port, running
from ratchet.settings import Settings
from tests.conftest import Told
from tests.end_to_end.commands import environment


@pytest.fixture
def server(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    store, artifacts = f"sqlite:///{workplace / 'mlflow.db'}", workplace / "artifacts"
    env = environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    words = ["mlflow", "server", "--backend-store-uri", store, "--artifacts-destination", str(artifacts), "--port",
             str(port), "--workers", "1"]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with running("mlflow server", words, workplace / "server.log", cwd=workplace, env=env) as server:
        server.require(partial(answers, f"{url}/health"), 60)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        yield url


def test_the_main_job_runs_over_http_and_is_used_again(
    server: str, ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file()
    told = ratchet("run", "-c", config, "--ask")
    assert told.code == 0, told.err
    assert '"probability"' in told.out
    assert f"watch: {server}" in told.err
    assert not (workplace / "mlruns").exists(), "the client wrote artifacts by itself"
    assert "train reused" in ratchet("run", "-c", config).err
    assert ratchet("evaluate", "-c", config, "--force", "--json").json["task"] == "small"


def test_two_workers_that_fetch_the_same_rows_both_have_them(
    server: str, ratchet: Callable[..., Told], task_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = ratchet("preprocess", "-c", task_file(), "--json").json["run_id"]
    settings = Settings.from_env()
    shutil.rmtree(settings.home / "cache")
    both, download = threading.Barrier(2), mlflow.artifacts.download_artifacts

    def at_once(**words: str) -> str:
        came = download(**words)
        both.wait(60)
        return came

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", at_once)
    with ThreadPoolExecutor(2) as pool:
        client = tracking.client(settings)
        found = list(pool.map(lambda _: records.fetch(client, run_id, "splits"), range(2)))
    assert found[0] == found[1]
    assert {"train.parquet", "valid.parquet", "test.parquet"} <= {path.name for path in found[0].rglob("*")}


def test_a_server_that_is_away_is_one_line(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    told = ratchet("status", "-c", task_file())
    assert told.code == 1
    assert "is MLFLOW_TRACKING_URI right" in told.err
    assert "secret" not in told.out + told.err
