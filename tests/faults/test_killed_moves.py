"""A move that is killed at any statement leaves the old champion or the new one; the next command mends the rest."""

import os
import random
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ratchet.adapters import registry
from ratchet.operate import reconcile
from ratchet.steps import chronicle
from tests import moving
from tests.end_to_end.commands import environment
from tests.faults.counts import FULL
from tests.faults.forked import FORK

KILLS = 12  # of a kind of move, at the moments that are drawn; under `make faults` at all of them


def in_process(target: Callable[..., None], place: Path, *words: Any) -> int:
    """Run a function in a forked process, in a folder; how it ended."""
    process = FORK.Process(target=_there, args=(target, place, environment(), *words))
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def _there(target: Callable[..., None], place: Path, env: dict[str, str], *words: Any) -> None:
    os.chdir(place)
    os.environ.clear()
    os.environ.update(env)
    target(moving.session(place / "small.yaml"), *words)


def promotes(at: Any) -> None:
    moving.promote(at, 3)


def goes_back(at: Any) -> None:
    moving.back(at)


def withdraws(at: Any) -> None:
    moving.withdrawn(at)


def withdraws_again(at: Any) -> None:
    if moving.in_production(at):
        withdraws(at)


def reverts(at: Any) -> None:
    moving.edited(at, 3, "Production", archive=True)
    reconcile.reconcile(at, "revert")


def killed(at: Any, move: Callable[[Any], None], moment: int) -> None:
    """Make a move, and end at the statement of that number as a power cut would; 0: not at all, but count them."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    passed = 0

    def statement(*_: Any) -> None:
        nonlocal passed
        passed += 1
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, name, statement)
    move(at)
    Path("statements").write_text(str(passed))


def mends(at: Any, how: Any) -> None:
    """What the next command does first; the registry is then as the ledger says, and the ledger whole."""
    reconcile.reconcile(at, how)
    assert reconcile.reconcile(at, "look") == []
    entries = chronicle.all_entries(at.settings)
    assert moving.whole(entries)
    assert chronicle.fault(at.client, at.settings, entries) is None


@pytest.fixture(scope="module")
def begun(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2 is in Production in place of version 1; version 3 is registered."""
    place = tmp_path_factory.mktemp("moves")
    moving.copied(store, place)
    assert in_process(prepares, place) == 0
    return place


def prepares(at: Any) -> None:
    moving.again(at, 2)
    moving.promote(at, 2)


def champion(place: Path) -> list[int]:
    """Who is in Production, asked of the registry's own tables."""
    with closing(sqlite3.connect(place / "mlflow.db")) as database:
        rows = database.execute("SELECT version FROM model_versions WHERE current_stage = 'Production'")
        return [int(version) for (version,) in rows]


@pytest.mark.parametrize(
    ("move", "after", "how"),
    [(promotes, 3, "look"), (goes_back, 1, "look"), (reverts, 2, "revert"), (withdraws, None, "look")],
)
def test_a_kill_at_any_step_leaves_one_champion_and_the_next_command_mends_the_rest(
    move: Callable[[Any], None], after: int | None, how: str, begun: Path, tmp_path: Path
) -> None:
    """A withdrawal leaves the champion that it is about, or none."""

    def tried(moment: int) -> Path:
        place = tmp_path / str(moment)
        place.mkdir()
        moving.copied(begun, place)
        assert in_process(killed, place, move, moment) == (-signal.SIGKILL if moment else 0)
        return place

    count = int((tried(0) / "statements").read_text())
    ends = [after] if after else []
    assert champion(tmp_path / "0") == ends
    moments = range(1, count + 1) if FULL else sorted(random.Random(move.__name__).sample(range(1, count + 1), KILLS))
    for moment in moments:
        place = tried(moment)
        left = champion(place)
        assert left in ([2], [3], ends)
        assert left != [3] or move is not withdraws
        assert in_process(mends, place, how) == 0, (move.__name__, moment)
        assert champion(place) == (left if how == "look" else ends), "what was reached is kept"
        if move is withdraws:  # the same command again completes it, whatever was reached
            assert in_process(withdraws_again, place) == 0, moment
            assert champion(place) == []
    print(f"{move.__name__}: {len(moments)} kills of {count} statements, one champion after each")


@pytest.mark.parametrize("last", ["_transition", "_verify"])
def test_a_withdrawal_that_was_killed_is_completed_by_the_same_command(last: str, begun: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    moving.copied(begun, place)
    assert in_process(killed_after, place, last, withdraws) == -signal.SIGKILL
    assert champion(place) == []
    assert in_process(withdraws, place) == 0
    assert champion(place) == []
    assert in_process(mends, place, "look") == 0


@pytest.mark.parametrize("last", ["_transition", "_verify"])
def test_a_rollback_that_was_killed_is_completed_by_the_same_command_and_goes_no_further(
    last: str, begun: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    moving.copied(begun, place)
    assert in_process(promotes, place) == 0
    assert in_process(killed_after, place, last, goes_back) == -signal.SIGKILL
    assert in_process(goes_back, place) == 0
    assert champion(place) == [2]


def killed_after(at: Any, last: str, move: Callable[[Any], None]) -> None:
    """Make a move, and end after a part of the change in the registry, before it is done on the ledger."""
    part = getattr(registry, last)

    def and_end(*words: Any) -> None:
        part(*words)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(registry, last, and_end)
    move(at)
