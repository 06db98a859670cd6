"""The ledger on PostgreSQL: what the database itself refuses, whatever a client says; and races for one stage."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ratchet.adapters import ledger
from ratchet.adapters.ledger import Tail
from ratchet.core.ledger import DONE, Change, Entry, Who, hashed
from ratchet.errors import GateRefused
from ratchet.operate.stack import Stack
from ratchet.settings import Settings
from ratchet.steps import chronicle
from tests import moving
from tests.conftest import Told
from tests.end_to_end.commands import environment, run
from tests.faults.counts import times
from tests.faults.forked import FORK

RACES = times(6, 200)
ME = Who("", "admin", "ada", "laptop")


@pytest.fixture(scope="module")
def place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the task, whose version 1 is in Production on the stack."""
    place = tmp_path_factory.mktemp("ledger")
    config = moving.task_in(place)
    done = run("ratchet", "run", "-c", config, cwd=place, env=environment(**stack.environment()))
    assert done.returncode == 0, done.stderr
    return place


# ---------------------------------------------------------------- what the database refuses


def row(tail: Tail, **other: Any) -> dict[str, Any]:
    entry = Entry(tail.sequence + 1, tail.at, DONE, None, replace(ME, role=tail.role),
                  Change("x", 1, "promote", "None", "Staging"), tail.hash or "0" * 64)  # fmt: skip
    return hashed(replace(entry, **other)).flat()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"sequence": 10_000}, "others append to it all the time"),
        ({"previous": "f" * 64}, "others append to it all the time"),
        ({"who": replace(ME, role="postgres")}, "role is ratchet_promoter, not postgres"),
        ({"at": "2020-01-01T00:00:00.000000Z"}, "at is not now"),
    ],
)
def test_an_entry_of_another_place_time_or_person_is_refused(
    fault: dict[str, Any], told: str, place: Path, on_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "TRIES", 3)
    before = ledger.rows(Settings.from_env())
    with pytest.raises(Exception, match=told):
        ledger.append(Settings.from_env(), lambda tail: row(tail, **fault))
    assert ledger.rows(Settings.from_env()) == before


@pytest.mark.parametrize("statement", ["UPDATE ledger SET why = ''", "DELETE FROM ledger", "TRUNCATE ledger CASCADE"])
def test_not_even_its_owner_changes_an_entry_while_the_trigger_stands(
    statement: str, place: Path, stack: Stack
) -> None:
    with closing(psycopg2.connect(stack.database_url("ratchet_owner"))) as owner:
        cursor = owner.cursor()
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="only appended to"):
            cursor.execute(statement)


def test_a_team_signs_its_entries(
    place: Path, on_stack: Stack, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "of them signed: whole" in ratchet("ledger", "verify").out
    monkeypatch.delenv("RATCHET_LEDGER_KEY")
    told = ratchet("reconcile", "-c", place / "small.yaml", "--adopt", "--comment", "why not")
    assert told.code == 0, "nothing is to be written"
    told = ratchet("run", "-c", place / "small.yaml", "--seed", 8)
    assert told.code == 1
    assert "RATCHET_LEDGER_KEY: unset; the entries of a team's ledger are signed" in told.err


# ---------------------------------------------------------------- races


def _races(place: Path, env: dict[str, str], barrier: Any, results: Any, mine: Any) -> None:
    os.chdir(place)
    os.environ.clear()  # the fork server has those of the test that happened to start it
    os.environ.update(env)
    at = moving.session(place / "small.yaml")
    while number := mine.get(timeout=300):
        (seen,) = moving.in_production(at)
        barrier.wait(300)
        try:
            moving.promote(at, number, seen=seen)
            results.put((number, "won"))
        except GateRefused as refusal:
            results.put((number, str(refusal)))
        except BaseException as error:
            results.put((number, f"{type(error).__name__}: {error}"))
            raise
    at.spool.close()


def test_of_two_promoters_one_wins_and_the_other_is_refused_and_there_is_always_one_champion(
    place: Path, on_stack: Stack
) -> None:
    at = moving.session(place / "small.yaml")
    barrier, results, queues = FORK.Barrier(2), FORK.Queue(), [FORK.Queue(), FORK.Queue()]
    env = environment(**on_stack.environment())
    workers = [FORK.Process(target=_races, args=(place, env, barrier, results, mine)) for mine in queues]
    for worker in workers:
        worker.start()
    won = 0
    for _ in range(RACES):
        one, other = moving.again(at, 2)
        for queue, number in zip(queues, (one, other), strict=True):
            queue.put(number)
        said = dict(results.get(timeout=300) for _ in workers)
        assert sorted(said) == sorted((one, other))
        (winner,) = [number for number, how in said.items() if how == "won"]
        (refusal,) = [how for how in said.values() if how != "won"]
        assert f"version {winner} came to Production after this one was judged" in refusal
        assert moving.in_production(at) == [winner]
        assert [n for n, (_, aliases) in moving.stages(at).items() if "champion" in aliases] == [winner]
        won += 1
    for worker, queue in zip(workers, queues, strict=True):
        queue.put(0)
        worker.join(60)
    entries = chronicle.all_entries(at.settings)
    assert moving.whole(entries)
    assert chronicle.fault(at.client, at.settings, entries) is None
    print(f"{won} of {RACES} races with exactly one champion; {len(entries)} entries, whole")
