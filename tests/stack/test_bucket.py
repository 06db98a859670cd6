"""A bucket that fails on a third of the calls: files are byte for byte the same, and no version is incomplete."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ratchet.adapters import buckets, copies
from ratchet.operate.stack import BUCKET, Stack
from tests.end_to_end.commands import environment, run
from tests.faults.counts import times
from tests.stack import records
from tests.stack.another import another_server
from tests.stack.unreliable import way_to

SHARE, FILES = 0.3, times(20, 200)


def copied(stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """What the bucket itself holds, asked past the proxy by which it came: path below a prefix -> sha256."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{stack.ports.bucket}")
    buckets.copy_out(f"gs://{BUCKET}", folder)
    return lambda prefix: copies.digests(folder / prefix)


def place(uri: str) -> str:
    """Where in the bucket an address of the server's proxy leads."""
    return uri.removeprefix("mlflow-artifacts:/")


def test_models_are_whole_and_files_the_same_over_a_bucket_that_fails_on_a_third_of_the_calls(
    stack: Stack, task_file: Callable[..., Path], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task_file(name="unreliable", search={"models": ["linear"], "trials": 2, "folds": 2})
    sent = {f"{n}.bin": random.Random(n).randbytes(4 ** (n % 11)) for n in range(FILES)}  # up to 1 MB
    for name, content in sent.items():
        (workplace / "sent").mkdir(exist_ok=True)
        (workplace / "sent" / name).write_bytes(content)
    with (
        way_to(stack.ports.bucket, SHARE) as (bucket, seen),
        another_server(stack, workplace / "server", bucket) as uri,
    ):
        env = environment(**stack.environment() | {"MLFLOW_TRACKING_URI": uri})
        done = run("ratchet", "run", "-c", config, cwd=workplace, env=env, timeout_s=900)
        assert done.returncode == 0, done.stderr
        files = run("python", "-c", SEND, cwd=workplace, env=env, timeout_s=900)
        assert files.returncode == 0, files.stderr
    assert sum(count for fate, count in seen.items() if fate != "passed") > 20, seen
    held = copied(stack, workplace / "copy", monkeypatch)
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in sent.items()}
    assert held(f"{place(files.stdout.strip())}/sent") == expected
    versions = records.rows(stack, "SELECT source, run_id FROM model_versions WHERE name = 'unreliable'")
    assert versions
    for source, run_id in versions:
        (about,) = records.rows(stack, f"SELECT artifact_uri FROM runs WHERE run_uuid = '{run_id}'")
        manifest = workplace / "copy" / place(about[0]) / "manifest.json"
        assert held(place(source)) == json.loads(manifest.read_bytes())
    print(f"{dict(seen)}: {len(sent)} files and {len(versions)} models, byte for byte the same")


SEND = """
import contextlib
from pathlib import Path
from ratchet.adapters import runs, sending, tracking
from ratchet.adapters.patience import Patience
from ratchet.adapters.spool import Spool
from ratchet.settings import Settings

settings = Settings.from_env()
client = tracking.client(settings)
spool = Spool(Path("spool"), lambda r: sending.send(client, lambda n: contextlib.nullcontext(), r), Patience(600), "s")
run = client.create_run(tracking.experiment_of(client, "unreliable"))
logged = runs.Run(spool, run.info.run_id, run.info.experiment_id)
logged.log_files(Path("sent"), "sent")
logged.close("FINISHED")
print(run.info.artifact_uri)
"""
