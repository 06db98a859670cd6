"""Trials on record: each finished one becomes one run, written beside the search so that no trial waits for it."""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from ratchet.adapters import process, records, study, trialruns
from ratchet.adapters.study import Plan, Trial
from ratchet.adapters.tracking import Run
from ratchet.steps.session import Session


class Recorder:
    """Puts each finished trial of a study on record once, whoever ran it, and shows how far the search is.

    Each worker records its own trials, and those of workers that are gone. The lock is held from looking a trial up
    until its run is closed, so a run that is found open was left by a process that was killed, and is completed.
    """

    def __init__(self, session: Session, run: Run, plan: Plan, locked: Callable[[], AbstractContextManager[None]]):
        self.session, self.run, self.plan, self.locked = session, run, plan, locked
        self.began, self.before, self.last = time.monotonic(), -1, -1
        self.shown = threading.Lock()
        self.waiting: queue.SimpleQueue[list[Trial] | None] = queue.SimpleQueue()
        self.fault: BaseException | None = None
        self.recorded = trialruns.adopt(run, plan.study)
        self.thread = threading.Thread(target=self._write, name="trials", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.waiting.put(None)
        self.thread.join()
        if error is None and self.fault:
            raise self.fault

    def update(self, trials: list[Trial], budget: int) -> None:
        """Hand over all finished trials; several threads may call.

        Raises what went wrong while the former ones were written, such as a ServerError.
        """
        if self.fault:
            raise self.fault
        self.waiting.put(trials)
        with self.shown:
            self._show(trials, budget)

    def _show(self, trials: list[Trial], budget: int) -> None:
        done = sum(trial.status != "failed" for trial in trials)
        if self.before < 0:
            self.before = done
            if done >= budget:
                self.session.progress.note(f"{done} trials are finished, {budget} were asked for: nothing to search")
            elif done:
                self.session.progress.note(f"the search goes on after {done} finished trials")
        if len(trials) == self.last:
            return
        self.last = len(trials)
        fresh, passed_s = done - self.before, time.monotonic() - self.began
        pace_s = passed_s / fresh if fresh else 0.0
        best = study.best(trials, self.plan.metric)
        shown = f"{self.plan.metric} {best.score:.4f} ({best.family})" if best else ""
        left_s = max(self.plan.search.timeout_s - passed_s, 0.0)
        self.session.progress.trial(min(done, budget), budget, shown, min((budget - done) * pace_s, left_s))

    def _write(self) -> None:
        try:
            while (trials := self.waiting.get()) is not None:
                for trial in trials:
                    if trial.number not in self.recorded and trial.family != "?" and _is_ours(trial):
                        self._record(trial)
        except BaseException as fault:  # noqa: BLE001  (it is raised where the search can end)
            self.fault = fault

    def _record(self, trial: Trial) -> None:
        with self.locked():
            trialruns.record(self.run, _entry(self.session.task.name, self.plan, trial))
        self.recorded.add(trial.number)


def _is_ours(trial: Trial) -> bool:
    """Whether this process ran it, or nobody else is going to record it."""
    long_ago = time.time() - trial.times_ms[1] / 1000 > study.GRACE_S
    return trial.worker == process.me() or long_ago or process.is_gone(trial.worker)


def _entry(task: str, plan: Plan, trial: Trial) -> trialruns.Entry:
    metrics = [(f"fold_{plan.metric}", step, value) for step, value in enumerate(trial.folds)]
    if trial.score is not None:
        metrics.append((plan.metric, 0, trial.score))
    metrics.append(("seconds", 0, (trial.times_ms[1] - trial.times_ms[0]) / 1000))
    metrics += [("rounds", step, rounds) for step, rounds in enumerate(trial.rounds)]
    return trialruns.Entry(
        plan.study,
        trial.number,
        f"trial {trial.number} {trial.family}",
        trial.times_ms,
        "FAILED" if trial.status == "failed" else "FINISHED",
        {"family": trial.family, **trial.params},
        metrics,
        {records.TASK: task, "ratchet.status": trial.status},
    )
