"""Trials on record: each finished one becomes one run, sent beside the search so that no trial waits for it."""

import threading
import time
from dataclasses import asdict
from functools import partial

from ratchet.adapters import process, records, study, trialruns
from ratchet.adapters.runs import Run
from ratchet.adapters.study import Plan, Trial
from ratchet.steps.session import Session

LOOK_S = 0.5


class Recorder:
    """Puts each finished trial of a study on record once, whoever ran it, and shows how far the search is.

    Each worker records its own trials, and those of workers that are gone.
    """

    def __init__(self, session: Session, run: Run, plan: Plan) -> None:
        self.session, self.run, self.plan = session, run, plan
        self.began, self.before, self.last = time.monotonic(), -1, -1
        self.turn, self.lock = threading.Lock(), f"record-{session.task.name}"
        self.recorded = trialruns.adopt(session.client, run.id, plan.study)

    def update(self, trials: list[Trial], budget: int) -> None:
        """Hand over all finished trials; several threads may call.

        Raises what the tracking server refused a record for.
        """
        with self.turn:
            self._record(trials)
            self._show(trials, budget)

    def close(self, trials: list[Trial]) -> None:
        """See that each of all finished trials is on record, once.

        What others finished last they are about to record; those that died before they did are waited for in vain for
        GRACE_S, and then stood in for.
        """
        while self._missing(trials):
            look = partial(trialruns.of_study, self.session.client, self.plan.study)
            found = self.session.patience.call(look, self.session.spool.server)
            self.recorded |= {trial.number for trial in found if trial.is_whole}
            self._record(trials)
            if self._missing(trials):
                time.sleep(LOOK_S)
        self.run.settle_trials(self.plan.study, self.lock)

    def _missing(self, trials: list[Trial]) -> list[Trial]:
        return [trial for trial in trials if trial.number not in self.recorded and trial.family != "?"]

    def _record(self, trials: list[Trial]) -> None:
        for trial in self._missing(trials):
            if _is_ours(trial):
                self.run.log_trial(asdict(self._entry(trial)), self.lock)
                self.recorded.add(trial.number)

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

    def _entry(self, trial: Trial) -> trialruns.Entry:
        metric = self.plan.metric
        metrics = [(f"fold_{metric}", step, value) for step, value in enumerate(trial.folds)]
        if trial.score is not None:
            metrics.append((metric, 0, trial.score))
        metrics.append(("seconds", 0, (trial.times_ms[1] - trial.times_ms[0]) / 1000))
        metrics += [("rounds", step, rounds) for step, rounds in enumerate(trial.rounds)]
        return trialruns.Entry(
            self.plan.study,
            trial.number,
            f"trial {trial.number} {trial.family}",
            trial.times_ms,
            "FAILED" if trial.status == "failed" else "FINISHED",
            {"family": trial.family, **trial.params},
            metrics,
            {records.TASK: self.session.task.name, "ratchet.status": trial.status},
        )


def _is_ours(trial: Trial) -> bool:
    """Whether this process ran it, or nobody else is going to record it."""
    long_ago = time.time() - trial.times_ms[1] / 1000 > study.GRACE_S
    return trial.worker == process.me() or long_ago or process.is_gone(trial.worker)
