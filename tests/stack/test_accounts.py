"""Who may do what: each role's forbidden commands are refused by the server or the database, in one clear line."""

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import mlflow
import psycopg2
import pytest
import yaml
from mlflow.server.auth.client import AuthServiceClient

from ratchet.adapters import tracking, trialruns
from ratchet.adapters.records import STEP
from ratchet.operate.stack import Stack
from ratchet.settings import Settings
from tests import moving
from tests.conftest import Told
from tests.end_to_end.commands import environment, run

# What an account is granted on the task's experiment and on its model, and the database role behind it. The stack has
# accounts of its own named scientist and promoter, which may do so on all of them.
ROLES = {
    "viewer": ((), "ratchet_scientist"),
    "data scientist": (("EDIT", "EDIT"), "ratchet_scientist"),
    "half a promoter": (("EDIT", "EDIT"), "ratchet_promoter"),
    "whole promoter": (("EDIT", "MANAGE"), "ratchet_promoter"),
}
BY_SERVER = r"the account '[\w ]+' may not do this; an admin of the server grants it"
BY_DATABASE = r"may not append to the ledger.* ask somebody with ratchet_promoter"
# Each role in this order, with what it is refused by; a command that succeeds leaves nothing to do for the next.
COMMANDS: Mapping[str, Mapping[str, str]] = {
    "status": dict.fromkeys(ROLES, ""),
    "train --seed 8": {"viewer": BY_SERVER, "data scientist": "", "half a promoter": "", "whole promoter": ""},
    "promote --seed 8": {
        "viewer": BY_SERVER, "data scientist": BY_DATABASE, "half a promoter": BY_SERVER, "whole promoter": "",
    },
    "rollback": {"viewer": BY_SERVER, "data scientist": BY_DATABASE, "whole promoter": ""},
}  # fmt: skip
# The same without Ratchet: what a role's own SQL is answered by PostgreSQL.
APPEND = "INSERT INTO deliveries (sequence) VALUES (1)"
PEOPLE, EVERYBODY = (
    ("ratchet_scientist", "ratchet_promoter"),
    ("ratchet_scientist", "ratchet_promoter", "ratchet_gateway"),
)
LOSE = "INSERT INTO capture_losses (task, at, lost, why, source) VALUES ('team', '', 1, '', 'here')"
STATEMENTS = {
    "SELECT count(*) FROM ledger": EVERYBODY,
    "SELECT count(*) FROM studies": PEOPLE,
    "SELECT count(*) FROM requests": EVERYBODY,
    "SELECT count(*) FROM outcomes": EVERYBODY,
    "UPDATE requests SET answer = 'another'": (),
    "UPDATE outcomes SET label = 'another'": (),
    "DELETE FROM requests WHERE at < '2026'": ("ratchet_promoter", "ratchet_gateway"),
    LOSE: ("ratchet_gateway",),
    APPEND: ("ratchet_promoter",),
    "UPDATE ledger SET account = 'somebody else'": (),
    "DELETE FROM ledger": (),
    "TRUNCATE ledger": (),
    "DROP TABLE ledger": (),
    "ALTER TABLE ledger ADD COLUMN x int": (),
    "CREATE TABLE mine (x int)": (),
    "UPDATE ratchet_version SET version_num = 'old'": (),
}


@pytest.fixture(scope="module")
def task(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task whose first version an admin has brought to Production; the accounts are made."""
    place = tmp_path_factory.mktemp("team")
    config = place / "team.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "name": "team",
                "data": {"sources": {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=3"]}},
                         "target": "defaulted", "positive": 1, "id": "applicant_id",
                         "drop": ["applied_at", "probability_of_default"]},
                "search": {"models": ["linear"], "trials": 2, "folds": 2},
                "gates": {"staging": [{"beats": "dummy", "point": True}],
                          "production": [{"metric": "roc_auc", "max_drop": 0.5}]},
            }
        )
    )  # fmt: skip
    done = run("ratchet", "run", "-c", config, cwd=place, env=environment(**stack.environment()))
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        client = AuthServiceClient(stack.tracking_uri)
        experiment = mlflow.MlflowClient(stack.tracking_uri).get_experiment_by_name("team")
        for role, (rights, _) in ROLES.items():
            client.create_user(role, f"password of {role}")
            on = [("experiment", experiment.experiment_id), ("registered_model", "team")]
            for thing, right in zip(on, rights, strict=False):
                client.grant_user_permission(role, *thing, right)
    return config


@pytest.mark.parametrize(
    ("command", "role"), [(command, role) for command, roles in COMMANDS.items() for role in roles]
)
def test_a_role_does_what_it_may_and_is_told_what_it_may_not(
    command: str, role: str, task: Path, on_stack: Stack, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, refusal = command.split(), COMMANDS[command][role]
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", role)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"password of {role}")
    monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.database_url(ROLES[role][1]))
    told = ratchet(words[0], "-c", task, *words[1:])
    assert told.code == (1 if refusal else 0), told.err
    assert re.search(refusal, told.err), told.err
    assert "Traceback" not in told.err
    assert "password of" not in told.out + told.err


def test_an_approval_counts_from_another_account_and_from_no_name_in_the_environment(
    task: Path, on_stack: Stack, ratchet: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "team.yaml"
    said = yaml.safe_load(task.read_text(encoding="utf-8"))
    config.write_text(yaml.safe_dump(said | {"approvals": {"production": 1}}), encoding="utf-8")

    def by(account: str, *words: object) -> Told:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", account)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"password of {account}")
        monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.database_url("ratchet_promoter"))
        return ratchet(*words)

    assert by("data scientist", "evaluate", "-c", config, "--seed", 21).code == 0
    waits = by("whole promoter", "promote", "-c", config, "--seed", 21, "--json")
    assert waits.code == 1
    assert "approvals 0 of 1" in waits.json["error"]
    number = int(re.search(r"version (\d+)", waits.json["error"])[1])  # type: ignore[index]
    approve = ("approve", number, "-c", config, "--comment", "read the card")
    monkeypatch.setenv("LOGNAME", "anna")
    own = by("data scientist", *approve)
    assert own.code == 1
    assert f"version {number}: was trained by data scientist, or nobody knows by whom" in own.err
    assert "approvals that count now: 1 of 1" in by("half a promoter", *approve).out
    assert by("whole promoter", "promote", "-c", config, "--seed", 21).code == 0
    done = [entry for entry in ratchet("ledger", "--json").json["entries"] if entry["version"] == number]
    assert [entry["account"] for entry in done if entry["action"] == "approve"] == ["half a promoter"]


def test_without_accounts_people_are_told_apart_by_roles_of_their_own(
    stack: Stack, workplace: Path, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = stack.cluster.url("ratchet", "postgres", stack.cluster.password)
    with closing(psycopg2.connect(admin)) as connection, connection, connection.cursor() as cursor:
        for role in ("ada", "bob"):
            cursor.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'of {role}' IN ROLE ratchet_promoter")
    monkeypatch.setenv("RATCHET_LEDGER_KEY", stack.environment()["RATCHET_LEDGER_KEY"])
    config = moving.task_in(workplace, name="roles", approvals={"production": 1})

    def by(role: str, *words: object) -> Told:
        address = stack.cluster.url("ratchet", role, f"of {role}") if role in ("ada", "bob") else None
        monkeypatch.setenv("RATCHET_DATABASE_URL", address or stack.database_url(role))
        return ratchet(*words)

    assert "approvals 0 of 1" in by("ada", "run", "-c", config).err
    approve = ("approve", 1, "-c", config, "--comment", "read the card")
    assert "version 1: was trained by ada, or nobody knows by whom" in by("ada", *approve).err
    assert "unverified, so it does not count" in by("ratchet_promoter", *approve).out
    assert "approvals that count now: 1 of 1" in by("bob", *approve).out
    assert by("ada", "promote", "-c", config).code == 0


def test_a_trial_that_is_there_twice_is_put_aside_by_who_may_not_delete_it(
    task: Path, on_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "data scientist")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "password of data scientist")
    client = tracking.client(Settings.from_env())
    experiment = client.get_experiment_by_name("team").experiment_id
    for _ in range(2):
        tags = {trialruns.STUDY: "twice", trialruns.TRIAL: "0", STEP: "trial"}
        client.set_terminated(client.create_run(experiment, tags=tags).info.run_id)
    trialruns.settle(client, "twice")
    assert len(client.search_runs([experiment], f"tags.`{trialruns.STUDY}` = 'twice' and tags.`{STEP}` = 'trial'")) == 1


@pytest.mark.parametrize("role", EVERYBODY)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_role_without_ratchet_in_between_has_the_same_rights(statement: str, role: str, stack: Stack) -> None:
    with closing(psycopg2.connect(stack.database_url(role))) as connection, connection.cursor() as cursor:
        if role in STATEMENTS[statement]:
            cursor.execute(statement)  # and is not committed
        else:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)


@pytest.mark.parametrize("role", [*EVERYBODY, "ratchet_owner"])
def test_the_servers_own_databases_are_closed_to_people(role: str, stack: Stack) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(stack.database_url(role).removesuffix("ratchet") + "mlflow")


def test_a_wrong_password_is_one_line(
    on_stack: Stack, task: Path, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    told = ratchet("status", "-c", task)
    assert told.code == 1
    assert "the account 'admin' is refused; set MLFLOW_TRACKING_USERNAME" in told.err
