"""`ratchet doctor` on a healthy stack and on broken ones: one line for each part, the broken one with its mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.server.auth.client import AuthServiceClient

from ratchet.adapters.servers import free_port
from ratchet.operate.stack import Stack
from tests.end_to_end.commands import environment, run
from tests.stack.another import another_server

PARTS = ["environment", "models", "disk", "database", "server", "account", "clock", "files"]


def examined(stack: Stack, place: Path, **more: str) -> tuple[int, dict[str, str]]:
    """The exit code of the command, and what it said of each part."""
    done = run("ratchet", "doctor", cwd=place, env=environment(**stack.environment() | more))
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("well", "NOT WELL"))]
    said = {line.removeprefix("NOT WELL").removeprefix("well").split()[0]: line for line in lines}
    assert list(said) == PARTS
    return done.returncode, said


def unwell(said: dict[str, str]) -> list[str]:
    return [part for part, line in said.items() if line.startswith("NOT WELL")]


@contextmanager
def away(part: object) -> Iterator[None]:
    """Stop a part of the stack; start it again at the end."""
    part.stop()
    try:
        yield
    finally:
        part.start()


def test_a_healthy_stack_is_well(stack: Stack, tmp_path: Path) -> None:
    code, said = examined(stack, tmp_path)
    assert code == 0
    assert not unwell(said)
    assert "role ratchet_promoter, may promote" in said["database"]
    assert "admin: may make experiments" in said["account"]


def test_a_second_account_without_any_grant_is_well_too(stack: Stack, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        AuthServiceClient(stack.tracking_uri).create_user("second", "the password of the second")
    own = {"MLFLOW_TRACKING_USERNAME": "second", "MLFLOW_TRACKING_PASSWORD": "the password of the second"}
    code, said = examined(stack, tmp_path, **own, RATCHET_DATABASE_URL=stack.database_url())
    assert (code, unwell(said)) == (0, []), said
    assert "second: may make experiments" in said["account"]


def test_one_laptop_without_servers_is_well(tmp_path: Path) -> None:
    done = run("ratchet", "doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "NOT WELL" not in done.stdout


def test_a_server_that_is_stopped(stack: Stack, tmp_path: Path) -> None:
    with away(stack.tracking):
        code, said = examined(stack, tmp_path)
    assert (code, unwell(said)) == (1, ["server", "account", "clock", "files"])
    assert "no answer; is MLFLOW_TRACKING_URI right, and the server up?" in said["server"]


def test_a_database_that_is_stopped(stack: Stack, tmp_path: Path) -> None:
    with away(stack.cluster):
        code, said = examined(stack, tmp_path)
    assert code == 1
    assert "database" in unwell(said)
    assert "Connection refused" in said["database"]
    assert "***@" in said["database"]


def test_a_password_of_the_server_that_is_wrong(stack: Stack, tmp_path: Path) -> None:
    code, said = examined(stack, tmp_path, MLFLOW_TRACKING_PASSWORD="wrong")
    assert (code, unwell(said)) == (1, ["server", "account", "files"])
    assert "the account 'admin' is refused; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in said["server"]


def test_a_database_without_its_tables(stack: Stack, tmp_path: Path) -> None:
    code, said = examined(stack, tmp_path, RATCHET_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}")
    assert (code, unwell(said)) == (0, [])  # one's own is made by the next command
    elsewhere = stack.cluster.url("postgres", "postgres", stack.cluster.password)
    code, said = examined(stack, tmp_path, RATCHET_DATABASE_URL=elsewhere)
    assert (code, unwell(said)) == (1, ["database"])
    assert "whoever owns it runs `ratchet migrate`" in said["database"]


def test_a_bucket_that_is_away(stack: Stack, tmp_path: Path) -> None:
    with another_server(stack, tmp_path / "server", bucket=f"http://127.0.0.1:{free_port()}") as uri:
        code, said = examined(stack, tmp_path, MLFLOW_TRACKING_URI=uri)
    assert (code, unwell(said)) == (1, ["files"])
    assert "RATCHET_BUCKET" in said["files"]


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "RATCHET_DATABASE_URL"])
def test_an_address_that_is_none(name: str, stack: Stack, tmp_path: Path) -> None:
    code, said = examined(stack, tmp_path, **{name: "http://127.0.0.1:99999"})
    assert code == 1
    assert ("server" if name.startswith("MLFLOW") else "database") in unwell(said)


@pytest.mark.parametrize(
    ("value", "is_well"), [("false", False), ("False", False), ("0", False), ("no", False), ("true", True), ("1", True)]
)
def test_a_setting_by_which_mlflow_refuses_every_model_is_named_with_its_mend(
    value: str, is_well: bool, tmp_path: Path
) -> None:
    done = run("ratchet", "doctor", cwd=tmp_path, env=environment(MLFLOW_ALLOW_MODEL_CODE_EXECUTION=value))
    (line,) = [line for line in done.stdout.splitlines() if " models " in line]
    assert (done.returncode == 0) == is_well == line.startswith("well")
    assert is_well or "unset MLFLOW_ALLOW_MODEL_CODE_EXECUTION" in line


def test_a_setting_that_mlflow_deprecates_is_named_and_no_fault(tmp_path: Path) -> None:
    done = run("ratchet", "doctor", cwd=tmp_path, env=environment(MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false"))
    assert done.returncode == 0, done.stdout
    assert "MLFLOW_ALLOW_PICKLE_DESERIALIZATION is deprecated from MLflow 3.18 on" in done.stdout
