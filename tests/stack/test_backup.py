"""A backup, restored on an empty stack, serves the same predictions; one that is not whole is refused."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import requests
from mlflow.server.auth.client import AuthServiceClient

from ratchet.adapters.servers import answers, free_port, running
from ratchet.adapters.synthetic import credit
from ratchet.operate.stack import BUCKET, Stack
from tests.end_to_end.commands import BIN, environment, run
from tests.stack.test_people import sourced


def reaching(stack: Stack) -> dict[str, str]:
    """The environment of whoever backs a stack up."""
    return environment(
        PGHOST="127.0.0.1", PGPORT=str(stack.ports.postgres), PGPASSWORD=stack.cluster.password,
        STORAGE_EMULATOR_HOST=f"http://127.0.0.1:{stack.ports.bucket}", RATCHET_BUCKET=f"gs://{BUCKET}",
        GOOGLE_CLOUD_PROJECT="ratchet",
    )  # fmt: skip


@pytest.fixture
def empty(stack_folder: Path) -> Iterator[Path]:
    """The folder of a stack that nobody has used, run by its command."""
    folder = stack_folder / "empty"
    log = stack_folder / "empty.log"
    with running("ratchet stack", [str(BIN / "ratchet"), "stack", "--folder", str(folder)], log) as server:
        server.require(lambda: "Ctrl-C stops" in log.read_text(), 180)
        yield folder


def test_a_backup_on_an_empty_stack_serves_the_same_predictions_and_what_that_stack_prints_lets_everybody_in(
    stack: Stack, empty: Path, task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file(name="kept", search={"models": ["linear"], "trials": 2, "folds": 2})
    credit(200, 5, "first").to_csv("rows.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        AuthServiceClient(stack.tracking_uri).create_user("of_before", "the password of before")

    def does(env: dict[str, str], *words: object) -> str:
        done = run("ratchet", *words, cwd=workplace, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    env = environment(**stack.environment())
    does(env, "run", "-c", config)
    does(env, "score", "-c", config, "--input", "rows.csv", "--output", "before.csv")
    does(reaching(stack) | stack.operators(), "backup", "kept")

    operator = sourced(empty / "operator")
    refused = run("ratchet", "restore", "kept", cwd=workplace, env=operator)
    assert refused.returncode == 1
    (stop,) = re.findall(r"`ratchet (stack stop \w+)`", refused.stderr)
    folder = ("--folder", empty)
    assert "tracking  stopped" in does(operator, *stop.split(), *folder)
    told = does(operator, "restore", "kept")
    (start,) = re.findall(r"`ratchet (stack start \w+)`", told)
    assert "tracking  running at http" in does(operator, *start.split(), *folder)

    for person in ("admin", "scientist", "promoter", "gateway"):
        printed = sourced(empty / ("environment" if person == "admin" else f"environment.{person}"))
        who = (printed["MLFLOW_TRACKING_USERNAME"], printed["MLFLOW_TRACKING_PASSWORD"])
        assert f"account {who[0]}: its password is the one of this stack" in told
        assert current_user(printed["MLFLOW_TRACKING_URI"], who) == who[0]
    promoter = sourced(empty / "environment.promoter")
    forged = run("ratchet", "ledger", "verify", cwd=workplace, env=promoter)
    assert forged.returncode == 1 and "is not trusted (RATCHET_LEDGER_TRUST)" in forged.stderr
    (trusted,) = re.findall(r"`export RATCHET_LEDGER_TRUST=(\S+)`", told)
    does(promoter | {"RATCHET_LEDGER_TRUST": trusted}, "ledger", "verify")
    scientist, gateway = (sourced(empty / f"environment.{person}") for person in ("scientist", "gateway"))
    server = scientist["MLFLOW_TRACKING_URI"]
    assert current_user(server, ("of_before", "the password of before")) == "of_before"
    assert current_user(server, ("admin", stack.secrets["MLFLOW_AUTH_ADMIN_PASSWORD"])) is None
    does(scientist, "score", "-c", config, "--input", "rows.csv", "--output", "after.csv")
    assert Path("after.csv").read_bytes() == Path("before.csv").read_bytes()
    port = free_port()
    words = [str(BIN / "ratchet"), "serve", "-c", str(config), "--port", str(port)]
    with running("ratchet serve", words, workplace / "serve.log", env=gateway) as child:
        child.require(lambda: answers(f"http://127.0.0.1:{port}/ready"), 120)
        rows = pd.read_csv("rows.csv").head(20)
        body = {"dataframe_split": rows.astype(object).where(rows.notna(), None).to_dict(orient="split")}
        said = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60).json()["predictions"]
    expected = pd.read_csv("before.csv")["probability"].head(20)
    assert [answer["probability"] for answer in said] == pytest.approx(list(expected), abs=1e-9)


def current_user(server: str, who: tuple[str, str]) -> str | None:
    """The account that the server takes somebody for; None if it refuses them."""
    answer = requests.get(f"{server}/api/2.0/mlflow/users/current", auth=who, timeout=30)
    return str(answer.json()["user"]["username"]) if answer.ok else None


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
