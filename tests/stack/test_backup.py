"""A backup, restored on an empty stack, serves the same predictions; one that is not whole is refused."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import requests

from ratchet.adapters.servers import answers, free_port, running
from ratchet.adapters.synthetic import credit
from ratchet.operate import stack as operation
from ratchet.operate.stack import BUCKET, Stack
from tests.end_to_end.commands import BIN, environment, run


def reaching(stack: Stack) -> dict[str, str]:
    """The environment of whoever backs a stack up."""
    return environment(
        PGHOST="127.0.0.1", PGPORT=str(stack.ports.postgres), PGPASSWORD=stack.cluster.password,
        STORAGE_EMULATOR_HOST=f"http://127.0.0.1:{stack.ports.bucket}", RATCHET_BUCKET=f"gs://{BUCKET}",
        GOOGLE_CLOUD_PROJECT="ratchet",
    )  # fmt: skip


@pytest.fixture
def empty(stack_folder: Path) -> Iterator[Stack]:
    """A stack that nobody has used, whose tracking server is stopped."""
    with operation.running(stack_folder / "empty") as fresh:
        fresh.tracking.stop()
        yield fresh


def test_a_backup_on_an_empty_stack_serves_the_same_predictions(
    stack: Stack, empty: Stack, task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file(name="kept", search={"models": ["linear"], "trials": 2, "folds": 2})
    credit(200, 5, "first").to_csv("rows.csv", index=False)
    env = environment(**stack.environment())

    def does(env: dict[str, str], *words: object) -> None:
        done = run("ratchet", *words, cwd=workplace, env=env)
        assert done.returncode == 0, done.stderr

    does(env, "run", "-c", config)
    does(env, "score", "-c", config, "--input", "rows.csv", "--output", "before.csv")
    does(reaching(stack), "backup", "kept")
    does(reaching(empty), "restore", "kept")
    empty.tracking.start()
    # The accounts came with the backup, the roles of the database are the empty stack's own.
    after = env | {"MLFLOW_TRACKING_URI": empty.tracking_uri, "RATCHET_DATABASE_URL": empty.database_url()}
    does(after, "score", "-c", config, "--input", "rows.csv", "--output", "after.csv")
    assert Path("after.csv").read_bytes() == Path("before.csv").read_bytes()
    port = free_port()
    words = [str(BIN / "ratchet"), "serve", "-c", str(config), "--port", str(port)]
    gateway = after | {"RATCHET_DATABASE_URL": empty.database_url("ratchet_gateway")}
    with running("ratchet serve", words, workplace / "serve.log", env=gateway) as server:
        server.require(lambda: answers(f"http://127.0.0.1:{port}/ready"), 120)
        rows = pd.read_csv("rows.csv").head(20)
        body = {"dataframe_split": rows.astype(object).where(rows.notna(), None).to_dict(orient="split")}
        said = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60).json()["predictions"]
    expected = pd.read_csv("before.csv")["probability"].head(20)
    assert [answer["probability"] for answer in said] == pytest.approx(list(expected), abs=1e-9)


def test_a_stack_in_use_is_not_overwritten(stack: Stack, workplace: Path) -> None:
    assert run("ratchet", "backup", "kept", cwd=workplace, env=reaching(stack)).returncode == 0
    done = run("ratchet", "restore", "kept", cwd=workplace, env=reaching(stack))
    assert done.returncode == 1
    assert "the tracking server is connected to its databases; stop it" in done.stderr
    stack.tracking.stop()
    try:
        done = run("ratchet", "restore", "kept", cwd=workplace, env=reaching(stack))
    finally:
        stack.tracking.start()
    assert done.returncode == 1
    assert re.search(r"database mlflow holds \d+ runs, which would be gone", done.stderr), done.stderr


def test_a_backup_is_written_once_and_one_that_is_damaged_is_refused(stack: Stack, workplace: Path) -> None:
    def says(*words: object) -> str:
        done = run("ratchet", *words, cwd=workplace, env=reaching(stack))
        assert done.returncode == 1
        return done.stderr

    assert run("ratchet", "backup", "whole", cwd=workplace, env=reaching(stack)).returncode == 0
    assert "is there already; a backup is written once" in says("backup", "whole")
    with (workplace / "whole" / "ratchet.dump").open("ab") as dump:
        dump.write(b"x")
    assert "ratchet.dump is not what was backed up" in says("restore", "whole")
    (workplace / "whole" / "manifest.json").unlink()
    assert "no backup, or one that did not come to its end" in says("restore", "whole")
    assert "no-such-bucket" in says("backup", "half", "--bucket", "gs://no-such-bucket")
    assert sorted(path.name for path in workplace.glob("half*")) == []
