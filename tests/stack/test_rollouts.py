"""Rollouts on PostgreSQL: the gateway's role moves traffic, a promoter's moves versions, and neither the other's."""

import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from ratchet.adapters import captured, rollouts
from ratchet.adapters.rollouts import DONE, RUNNING, WAITING
from ratchet.errors import RatchetError
from ratchet.operate import rollout, underway
from ratchet.operate.controller import NOT_OURS, Controller
from ratchet.operate.stack import Stack
from ratchet.settings import Settings
from ratchet.steps import chronicle
from tests import moving, rolling
from tests.end_to_end.commands import environment, run
from tests.rolling import Behaviour, Traffic, until_over


@pytest.fixture(scope="module")
def config(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task's file; version 1 is in Production, version 2 in Staging, on the stack."""
    place = tmp_path_factory.mktemp("rollouts")
    config = moving.task_in(place, name="rolled", rollout=rolling.TERMS)
    env = environment(**stack.environment())
    for words in (("run",), ("promote", "--to", "staging", "--seed", "8")):
        done = run("ratchet", *words, "-c", config, cwd=place, env=env)
        assert done.returncode == 0, done.stderr
    return config


def test_a_rollout_is_moved_by_the_gateways_role_and_promoted_by_a_promoters(
    config: Path, on_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout.start(moving.session(config), why="on PostgreSQL")
    promoters = Settings.from_env()
    monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.database_url("ratchet_gateway"))
    at = Controller(config, Settings.from_env())
    traffic = Traffic(at.engine(), "rolled")
    until_over(at.look, traffic, Behaviour(right=0.95), count=1_500)
    at.look()
    last = rollouts.newest(traffic.engine, "rolled")
    assert last is not None
    assert (last.state, last.percent) == (WAITING, 100)
    assert NOT_OURS in last.reasons[0]
    assert at._child is None
    at.stop()
    entries = [e for e in chronicle.all_entries(promoters) if e.change.task == "rolled"]
    assert [e.change.action for e in entries if e.change.action.startswith("rollout-")] == ["rollout-start"]

    monkeypatch.setenv("RATCHET_DATABASE_URL", promoters.database_url)
    promoter = Controller(config, promoters)
    deadline = time.monotonic() + 180
    while rollouts.open_of(traffic.engine, "rolled") or rollouts.is_owed(traffic.engine, "rolled"):
        assert time.monotonic() < deadline, rollouts.newest(traffic.engine, "rolled")
        traffic.send(last, 50, Behaviour(right=0.95))
        promoter.look()
        time.sleep(0.5)
    promoter.stop()
    found = rollouts.newest(traffic.engine, "rolled")
    assert found is not None and found.state == DONE
    entries = [e for e in chronicle.all_entries(promoters) if e.change.task == "rolled" and e.phase == "done"]
    assert [e.change.action for e in entries][-8:] == [
        "rollout-start", *["rollout-step"] * 5, "promote", "rollout-done"]  # fmt: skip
    assert all(entry.signature for entry in entries)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ratchet_gateway", "UPDATE rollouts SET terms = '{}'"),
        ("ratchet_gateway", "UPDATE rollouts SET challenger = 7"),
        ("ratchet_gateway", "INSERT INTO rollouts (task, champion, challenger, percent) VALUES ('x', 1, 2, 100)"),
        ("ratchet_gateway", "DELETE FROM rollout_steps"),
        ("ratchet_gateway", "UPDATE rollout_steps SET entry = 1"),
        ("ratchet_scientist", "UPDATE rollouts SET state = 'aborted'"),
        ("ratchet_scientist", "INSERT INTO rollout_looks (rollout) VALUES (1)"),
    ],
)
def test_who_may_not_change_it_is_refused_by_the_database(
    role: str, statement: str, config: Path, stack: Stack
) -> None:
    with closing(psycopg2.connect(stack.database_url(role))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM rollouts")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)


def test_a_scientist_who_stops_one_is_told_whom_to_ask(
    config: Path, on_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = captured.engine(Settings.from_env())
    now = "2026-05-03T14:00:00.000000Z"
    one = rollouts.Rollout("third", 1, 2, "{}", "salt", "ada", now, state=RUNNING, percent=5, share_since=now)
    rollouts.begin(engine, one, rollouts.Step(now, "start", 0, "", "ada", entry=0))
    for role, told in (("ratchet_scientist", "ask somebody with ratchet_promoter"), ("ratchet_gateway", "")):
        monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.database_url(role))
        if told:
            with pytest.raises(RatchetError, match=told):
                underway.abort(Settings.from_env(), "third", "stop it")
        else:
            assert underway.abort(Settings.from_env(), "third", "stop it").percent == 0


def test_of_a_task_one_rollout_is_open(config: Path, on_stack: Stack) -> None:
    engine = captured.engine(Settings.from_env())
    now = "2026-05-03T14:00:00.000000Z"
    one = rollouts.Rollout("another", 1, 2, "{}", "salt", "ada", now, state=RUNNING)
    step = rollouts.Step(now, "start", 0, "", "ada", entry=0)
    begun = rollouts.begin(engine, one, step)
    with pytest.raises(Exception, match="under way already"):
        rollouts.begin(engine, one, step)
    assert rollouts.changed(engine, begun, {"state": DONE}) is not None
    assert rollouts.changed(engine, begun, {"state": RUNNING}) is None, "another has changed it before"
    assert rollouts.begin(engine, one, step).id > begun.id
