"""A gateway whose role may not record refuses to start, with a mend that works; outcomes are no 500 for that."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ratchet.adapters import rights
from ratchet.adapters.servers import free_port
from ratchet.errors import Away, ServerError
from ratchet.operate.front import Truth
from ratchet.operate.stack import Stack
from ratchet.serving.gateway import Gateway
from ratchet.serving.meters import Meters
from ratchet.serving.problems import Problem
from ratchet.serving.recorder import Recorder
from ratchet.settings import Settings
from ratchet.taskfile import load
from tests.conftest import Told
from tests.stack.test_mistakes import as_admin, old

__all__ = ["old"]
OUTCOME = b'{"entity": "4711", "label": 1}'


def refusal(settings: Settings) -> str:
    with pytest.raises(ServerError) as refused:
        rights.require_recording(settings)
    assert not isinstance(refused.value, Away)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def settings(on_stack: Stack) -> Callable[[str], Settings]:
    """Make the settings of who asks the database by an address."""
    return lambda address: replace(Settings.from_env(), database_url=address)


@pytest.fixture
def serving_ada(stack: Stack) -> Iterator[str]:
    """The address of a person's own role, which is a scientist's."""
    as_admin(stack, "CREATE ROLE ada LOGIN PASSWORD 'hers' IN ROLE ratchet_scientist")
    yield stack.cluster.url("ratchet", "ada", "hers")
    as_admin(stack, "DROP ROLE ada")


@pytest.mark.parametrize("role", ["ratchet_scientist", "ratchet_promoter"])
def test_a_gateway_whose_role_may_not_record_refuses_to_start_and_names_the_environment_that_may(
    role: str, on_stack: Stack, task_file: Callable[..., Path], ratchet: Callable[..., Told],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.database_url(role))
    done = ratchet("serve", "-c", task_file(), "--port", free_port())
    (line,) = [line for line in done.err.splitlines() if line.startswith("ratchet: ")]
    assert done.code == 1
    assert "may not record requests and outcomes (it lacks INSERT on capture_losses, INSERT on outcomes" in line
    assert "source .ratchet/stack/environment.gateway" in line
    without = ratchet("serve", "-c", task_file(serving={"capture": False}), "--port", free_port())
    assert "may not record" not in without.err
    assert "Production" in without.err.splitlines()[-1], "without capture it gets as far as the registry"
    monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.database_url("ratchet_gateway"))
    assert rights.may_record(Settings.from_env())


def test_a_persons_own_role_records_after_the_grant_that_is_named(
    stack: Stack, settings: Callable[[str], Settings], serving_ada: str
) -> None:
    (grant,) = re.findall(r'`psql -c "([^"]*)"`', refusal(settings(serving_ada)))
    as_admin(stack, grant)
    rights.require_recording(settings(serving_ada))


def test_a_gateways_role_that_lost_a_right_gets_it_back_by_the_migration_that_is_named(
    stack: Stack, settings: Callable[[str], Settings], ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = settings(stack.database_url("ratchet_gateway"))
    as_admin(
        stack, "REVOKE INSERT ON outcomes FROM ratchet_gateway",
        "REVOKE UPDATE (state) ON rollouts FROM ratchet_gateway", on="ratchet",
    )  # fmt: skip
    said = refusal(gateway)
    assert "it lacks INSERT on outcomes, UPDATE on rollouts" in said and "runs `ratchet migrate`" in said
    monkeypatch.setenv("RATCHET_DATABASE_URL", stack.database_url("ratchet_owner"))
    assert ratchet("migrate").code == 0
    rights.require_recording(gateway)


def test_tables_of_an_older_release_are_told_before_anybody_asks(old: str, settings: Callable[[str], Settings]) -> None:
    assert "whoever owns the database runs `ratchet migrate` on it" in refusal(settings(old))


def test_a_wrong_password_is_a_refusal_and_a_database_that_is_away_is_none(
    stack: Stack, settings: Callable[[str], Settings]
) -> None:
    wrong = stack.cluster.url("ratchet", "ratchet_gateway", "guessed")
    assert "password authentication failed" in refusal(settings(wrong))
    with pytest.raises(Away):
        rights.require_recording(settings(f"postgresql://ratchet_gateway:x@127.0.0.1:{free_port()}/ratchet"))


@pytest.mark.parametrize("cause", ["role", "tables", "away"])
def test_outcomes_that_cannot_be_recorded_are_a_503_that_hides_the_database_and_a_line_for_the_operator(
    cause: str, stack: Stack, settings: Callable[[str], Settings], task_file: Callable[..., Path], old: str
) -> None:
    address = {
        "role": stack.database_url("ratchet_promoter"),
        "tables": old,
        "away": f"postgresql://ratchet_gateway:x@127.0.0.1:{free_port()}/ratchet",
    }[cause]
    task, heard = load(task_file(name=f"told-{cause}")), list[str]()
    recorder = Recorder(task, settings(address))
    truth = Truth(recorder, Gateway(task, recorder, Meters()), heard.append)
    for _ in range(2):
        with pytest.raises(Problem) as problem:
            truth.accept(OUTCOME)
        assert problem.value.status == 503 and problem.value.retry_s
        assert not re.search("ratchet_|psycopg2|127.0.0.1", problem.value.detail)
    recorder.close(0)
    assert len(heard) == (0 if cause == "away" else 1), "each fault once"
    if cause == "role":
        assert "permission denied for table outcomes; `ratchet doctor` says what this role may do" in heard[0]
