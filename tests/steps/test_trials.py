"""Each finished trial of a shared search is on record once, also what another machine finished and could not record."""

import time
from pathlib import Path

import pytest

from ratchet.adapters import records, study, tracking, trialruns
from ratchet.adapters.study import Ask, Plan, Trial
from ratchet.config import Search
from ratchet.steps.trials import Recorder
from tests import moving

GRACE_S = 2.0
ELSEWHERE = "another-machine 1:1:1"
BEGUN, MISSING = 0, 1


def nothing(ask: Ask) -> tuple[str, dict[str, float]]:
    return "linear", {}


@pytest.fixture
def task(workplace: Path) -> Path:
    """The small task, in a folder of its own."""
    return moving.task_in(workplace)


def test_what_a_dead_machine_finished_and_recorded_by_half_or_not_at_all_is_recorded_for_it(
    task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "GRACE_S", GRACE_S)
    at, now_ms = moving.session(task), int(time.time() * 1000)
    trials = [
        Trial(number, "linear", {"C": 1.0}, 0.7, [0.6, 0.8], [], "complete", (now_ms - 1000, now_ms), ELSEWHERE)
        for number in (BEGUN, MISSING)
    ]
    with at.opened("train") as run:
        recorder = Recorder(at, run, Plan("a study", nothing, [], False, "roc_auc", Search()))
        tags = {trialruns.STUDY: "a study", trialruns.TRIAL: str(BEGUN), records.STEP: "trial"}
        at.client.create_run(tracking.experiment_of(at.client, "small"), tags=tags)
        recorder.update(trials, 2)
        at.spool.flush()
        assert [found.is_whole for found in trialruns.of_study(at.client, "a study")] == [False], "it may yet come"
        recorder.close(trials)
    found = trialruns.of_study(at.client, "a study")
    assert sorted(trial.number for trial in found if trial.is_whole) == [BEGUN, MISSING]
    runs = [at.client.get_run(trial.run_id) for trial in found]
    assert [run.data.metrics["roc_auc"] for run in runs] == [0.7, 0.7]
