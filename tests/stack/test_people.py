"""The stack writes an environment for each person: each can do their work with it, and no more."""

import re
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import requests

from ratchet.adapters.servers import answers, free_port, running
from ratchet.operate import people
from ratchet.operate.people import PEOPLE
from ratchet.operate.stack import Stack
from tests import moving
from tests.end_to_end.commands import BIN, ROOT, environment, run

NOBODY = {"MLFLOW_TRACKING_USERNAME": "somebody", "RATCHET_LEDGER_KEY": "somebody else's"}


def sourced(file: Path) -> dict[str, str]:
    """The environment of a shell that has sourced a file, after another's."""
    done = subprocess.run(
        ["bash", "-c", f"set -eu; . '{file}'; env -0"],
        env=environment(**NOBODY), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)


@pytest.fixture(scope="module")
def files(stack: Stack) -> dict[str, Path]:
    return people.write_environments(stack)


def test_each_file_is_for_nobody_else_to_read_and_leaves_nothing_of_another_person(
    files: dict[str, Path], stack: Stack
) -> None:
    assert files.keys() == {*PEOPLE, "operator"}
    for person, file in files.items():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        if person == "operator":
            continue
        env = sourced(file)
        assert env["MLFLOW_TRACKING_USERNAME"] != "somebody"
        has_key = person in ("admin", "promoter")
        assert (env.get("RATCHET_LEDGER_KEY") == stack.secrets["RATCHET_LEDGER_KEY"]) == has_key
        assert has_key or "RATCHET_LEDGER_KEY" not in env
        psycopg2.connect(env["RATCHET_DATABASE_URL"]).close()
        who = (env["MLFLOW_TRACKING_USERNAME"], env["MLFLOW_TRACKING_PASSWORD"])
        answer = requests.get(f"{stack.tracking_uri}/api/2.0/mlflow/users/current", auth=who, timeout=30)
        assert answer.json()["user"]["username"] == who[0]


def test_a_scientist_trains_a_promoter_promotes_and_a_gateway_records_what_comes_true(
    files: dict[str, Path], stack: Stack, tmp_path: Path
) -> None:
    config = moving.task_in(tmp_path, name="of_people")

    def does(person: str, *words: object) -> "subprocess.CompletedProcess[str]":
        return run("ratchet", *words, "-c", config, cwd=tmp_path, env=sourced(files[person]))

    trained = does("scientist", "evaluate", "--seed", 8)
    assert trained.returncode == 0, trained.stderr
    refused = does("scientist", "promote", "--seed", 8)
    assert refused.returncode == 1 and "ask somebody with ratchet_promoter" in refused.stderr
    (mend,) = re.findall(r"`ratchet (promote) -c FILE (--version) (\d+)`", refused.stderr)
    promoted = does("promoter", *mend)
    assert promoted.returncode == 0, promoted.stderr
    assert "of_people version 1 is in Production" in promoted.stdout
    port = free_port()
    words = [str(BIN / "ratchet"), "serve", "-c", str(config), "--port", str(port)]
    with running("ratchet serve", words, tmp_path / "serve.log", env=sourced(files["gateway"])) as server:
        server.require(lambda: answers(f"http://127.0.0.1:{port}/ready"), 120)
        said = requests.post(f"http://127.0.0.1:{port}/outcomes", json={"entity": "4711", "label": 1}, timeout=60)
    assert (said.status_code, said.json()) == (200, {"accepted": 1, "corrected": 0, "repeated": 0})
    with closing(psycopg2.connect(stack.database_url())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT label FROM outcomes WHERE task = 'of_people'")
        assert cursor.fetchall() == [("1",)]


@pytest.mark.parametrize("person", [*PEOPLE, ""])
def test_the_stack_in_docker_gives_each_person_the_same_by_a_script(person: str, stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy" / "environment.sh"
    script.write_text((ROOT / "deploy" / "environment.sh").read_text())
    ports = {"MLFLOW_PORT": stack.ports.tracking, "POSTGRES_PORT": stack.ports.postgres}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in (stack.secrets | ports).items()))
    done = subprocess.run(["bash", script, *filter(None, [person])], capture_output=True, text=True, check=True)
    (tmp_path / "exports").write_text(done.stdout)
    env, expected = sourced(tmp_path / "exports"), stack.environment(person or "admin")
    assert expected.items() <= env.items()
    assert ("RATCHET_LEDGER_KEY" in env) == ("RATCHET_LEDGER_KEY" in expected)


def test_a_person_whom_the_script_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / ".env").touch()
    script = tmp_path / "deploy" / "environment.sh"
    script.write_text((ROOT / "deploy" / "environment.sh").read_text())
    done = subprocess.run(["bash", script, "sientist"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert "'sientist' is none of scientist, promoter, gateway, admin" in done.stderr


def test_an_account_whose_password_was_changed_on_the_server_is_named_with_the_mend(stack: Stack) -> None:
    def accounts(**more: str) -> "subprocess.CompletedProcess[str]":
        env = {**stack.tracking.environment, **more}
        words = [str(BIN / "python"), str(ROOT / "deploy" / "accounts.py")]
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    assert (accounts().returncode, accounts().stderr) == (0, "")
    done = accounts(MLFLOW_SCIENTIST_PASSWORD="another")
    assert done.returncode == 1
    assert re.fullmatch(r"the account scientist has another password on the tracking server than \S+/\.env says.*"
                        r" write the right one there as MLFLOW_SCIENTIST_PASSWORD\n", done.stderr)  # fmt: skip
    assert "the account admin has another password" in accounts(MLFLOW_AUTH_ADMIN_PASSWORD="another").stderr
