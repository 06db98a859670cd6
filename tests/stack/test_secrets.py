"""Passwords are planted in every place that takes one; afterwards they are in none of all that Ratchet wrote."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from google.cloud import storage

from ratchet.adapters import postgres
from ratchet.operate.stack import BUCKET, Stack
from tests.end_to_end.commands import environment, run
from tests.stack.test_mistakes import as_admin

PLANTED = {"WAREHOUSE_PASSWORD": "planted-in-the-warehouse", "MLFLOW_TRACKING_PASSWORD": "planted-in-the-account",
           "RATCHET": "planted-in-the-database"}  # fmt: skip


@pytest.fixture
def planted(stack: Stack, workplace: Path) -> dict[str, str]:
    """An environment whose accounts have the planted passwords, and a table of data behind one of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        from mlflow.server.auth.client import AuthServiceClient

        accounts = AuthServiceClient(stack.tracking_uri)
        accounts.create_user("planted", PLANTED["MLFLOW_TRACKING_PASSWORD"])
        accounts.update_user_admin("planted", True)
    as_admin(
        stack,
        f"CREATE ROLE planted LOGIN PASSWORD '{PLANTED['RATCHET']}' IN ROLE ratchet_promoter",
        f"CREATE ROLE reading LOGIN PASSWORD '{PLANTED['WAREHOUSE_PASSWORD']}'",
        "CREATE DATABASE warehouse OWNER reading",
    )
    as_admin(
        stack,
        "CREATE TABLE applicants AS SELECT n, n % 17 AS months, (n * 7919 % 100)::float8 AS income,"
        " ((n * 7919 % 100 + n % 17 > 60) <> (n % 13 = 0))::int AS paid"
        " FROM generate_series(1, 900) AS numbers(n)",
        "GRANT SELECT ON applicants TO reading",
        on="warehouse",
    )
    return environment(**stack.environment() | {
        "MLFLOW_TRACKING_USERNAME": "planted",
        "MLFLOW_TRACKING_PASSWORD": PLANTED["MLFLOW_TRACKING_PASSWORD"],
        "RATCHET_DATABASE_URL": stack.cluster.url("ratchet", "planted", PLANTED["RATCHET"]),
        "WAREHOUSE_PASSWORD": PLANTED["WAREHOUSE_PASSWORD"],
    })  # fmt: skip


def written(stack: Stack, workplace: Path) -> Iterator[tuple[str, bytes]]:
    """All that is on record: the databases as text, the bucket, the folder of the work, the servers' logs."""
    for name in ("mlflow", "ratchet"):
        words = [postgres.binaries() / "pg_dump", stack.cluster.url(name, "postgres", stack.cluster.password)]
        yield name, subprocess.run(words, capture_output=True, check=True).stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{stack.ports.bucket}")
        bucket = storage.Client(project="ratchet").bucket(BUCKET)
        for blob in bucket.list_blobs():  # read by its name: the emulator's own address of it is the way it came by
            yield blob.name, bucket.blob(blob.name).download_as_bytes()
    for file in (*workplace.rglob("*"), *stack.folder.glob("*.log")):
        if file.is_file():
            yield str(file), file.read_bytes()


def test_no_password_is_in_anything_that_was_written_or_said(
    stack: Stack, task_file: Callable[..., Path], workplace: Path, planted: dict[str, str]
) -> None:
    def task(query: str, port: int = stack.ports.postgres) -> Path:
        uri = f"postgresql://reading:${{WAREHOUSE_PASSWORD}}@127.0.0.1:{port}/warehouse"
        data = {"sources": {"applicants": {"uris": [uri]}}, "query": query, "target": "paid", "positive": 1, "id": "n"}
        config = task_file(name="secretive", data=data, search={"models": ["linear"], "trials": 2, "folds": 2})
        assert uri in yaml.safe_load(config.read_text())["data"]["sources"]["applicants"]["uris"]
        return config

    def said(code: int, *words: object, **more: str) -> str:
        done = run("ratchet", *words, cwd=workplace, env=planted | more)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    whole = "SELECT * FROM applicants"
    heard = said(0, "run", "-c", task(whole), "--ask")
    heard += said(0, "doctor") + said(0, "status", "-c", task(whole))
    heard += said(1, "train", "-c", task("SELECT absent FROM applicants"))
    heard += said(1, "train", "-c", task(whole, port=1))
    heard += said(1, "train", "-c", task("SELECT n, months, paid FROM applicants"), RATCHET_PATIENCE_S="1",
                  MLFLOW_TRACKING_USERNAME="nobody")  # fmt: skip
    seen = dict(written(stack, workplace)) | {"what was said": heard.encode()}
    assert len(seen) > 20
    for secret in PLANTED.values():
        assert [place for place, content in seen.items() if secret.encode() in content] == []
