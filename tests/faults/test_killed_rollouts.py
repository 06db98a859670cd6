"""Whoever looks at a rollout is killed at any statement: the next one goes on, and each step is made once."""

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratchet.adapters import captured, rollouts
from ratchet.adapters.rollouts import ABORTED, DONE, PROMOTING, RUNNING, WAITING
from ratchet.core import rollout as core
from ratchet.operate import promotion, settling
from ratchet.steps import chronicle
from tests import moving, rolling
from tests.end_to_end.commands import run
from tests.faults.counts import times
from tests.faults.test_killed_moves import champion, in_process, killed
from tests.rolling import Behaviour, Traffic

KILLS = {"look": times(6, 1_000), "promotion": times(4, 150)}  # at moments that are drawn, at most so many


@pytest.fixture(scope="module")
def begun(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rollout of version 2 has its first share."""
    place = tmp_path_factory.mktemp("rollouts")
    config = rolling.prepared(store, place)
    for words in (("promote", "--to", "staging", "--seed", "8"), ("rollout", "start")):
        done = run("ratchet", *words, "-c", config, cwd=place)
        assert done.returncode == 0, done.stderr
    return place


def good(at: Any) -> None:
    engine = captured.engine(at.settings)
    Traffic(engine).send(rollouts.open_of(engine, "small"), 1_500, Behaviour(right=0.95))  # type: ignore[arg-type]


def bad(at: Any) -> None:
    engine = captured.engine(at.settings)
    Traffic(engine).send(rollouts.open_of(engine, "small"), 1_500, Behaviour(fails=0.5))  # type: ignore[arg-type]


def at_its_end(at: Any) -> None:
    engine = captured.engine(at.settings)
    found = rollouts.open_of(engine, "small")
    assert found is not None
    assert rollouts.changed(engine, found, {"state": WAITING, "percent": 100.0})


def looks(at: Any) -> None:
    rolling.looker(at.settings).look()


def promotes(at: Any) -> None:
    promotion.promoted(at)


def goes_on(at: Any) -> None:
    """What the next controller does; and what it comes to."""
    look = rolling.looker(at.settings)
    found = look.look()
    judged = core.Judged.from_json(found.judged, core.thaw(found.terms)) if found else None
    told = rollouts.newest(look.engine, "small")
    assert told is not None
    steps = [[step.action, step.percent] for step in rollouts.steps(look.engine, told.id)]
    calls = judged.seen.calls.whole if judged else None
    rows = calls.rows("champion") + calls.rows("challenger") if calls else 0
    Path("reached").write_text(json.dumps({"state": told.state, "percent": told.percent, "steps": steps, "rows": rows}))


def promotes_again(at: Any) -> None:
    """What the next controller does after a promotion was killed, by what it finds."""
    look = rolling.looker(at.settings)
    found = look.look()  # None: it was done
    if found and found.state != DONE:
        assert found.state == WAITING or (found.state == PROMOTING and look.is_half_moved)
        promotion.promoted(at)
    settling.settle(at)
    entries = chronicle.all_entries(at.settings)
    assert moving.whole(entries)
    chronicle.require_whole(at.settings, entries)  # the runs' own notes lie in a folder that all copies share
    told = [e.change.action for e in entries if e.change.action.startswith("rollout-")]
    assert told == ["rollout-start", "rollout-step", "rollout-done"]
    goes_on(at)


def moments(place: Path, kind: str) -> list[int]:
    every = range(1, int((place / "statements").read_text()) + 1)
    return sorted(random.Random(kind).sample(every, min(KILLS[kind], len(every))))


@pytest.mark.parametrize(
    ("sends", "after"),
    [(good, (RUNNING, 10.0, [["start", 0], ["step", 5], ["step", 10]])),
     (bad, (ABORTED, 0.0, [["start", 0], ["step", 5], ["abort", 0]]))],
)  # fmt: skip
def test_a_look_that_is_killed_at_any_statement_is_made_once(
    sends: Callable[[Any], None], after: tuple[str, float, list[list[Any]]], begun: Path, tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    moving.copied(begun, sent)
    assert in_process(sends, sent) == 0

    def tried(moment: int) -> Path:
        place = tmp_path / str(moment)
        place.mkdir()
        moving.copied(sent, place)
        assert in_process(killed, place, looks, moment) == (-signal.SIGKILL if moment else 0)
        assert in_process(goes_on, place) == 0
        reached = json.loads((place / "reached").read_text())
        assert (reached["state"], reached["percent"], reached["steps"]) == after, moment
        if reached["state"] == RUNNING:
            assert reached["rows"] == 1_500, "each counts once"
        return place

    killed_at = moments(tried(0), "look")
    for moment in killed_at:
        tried(moment)
    print(f"{sends.__name__}: {len(killed_at)} kills of a look, each step was made once")


def test_a_promotion_that_is_killed_at_any_statement_is_completed_once(begun: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.mkdir()
    moving.copied(begun, ready)
    assert in_process(at_its_end, ready) == 0

    def tried(moment: int) -> Path:
        place = tmp_path / str(moment)
        place.mkdir()
        moving.copied(ready, place)
        assert in_process(killed, place, promotes, moment) == (-signal.SIGKILL if moment else 0)
        (left,) = champion(place)
        assert left in {1, 2}
        if moment:
            assert in_process(promotes_again, place) == 0, moment
            assert champion(place) == [2]
            assert json.loads((place / "reached").read_text())["state"] == DONE
        return place

    killed_at = moments(tried(0), "promotion")
    for moment in killed_at:
        tried(moment)
    print(f"{len(killed_at)} kills of a promotion, one champion after each, and one rollout-done on the ledger")
