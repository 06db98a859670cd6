"""Trials until the budget is met exactly, over the threads of this process and whoever else works on the study."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ratchet.adapters import process
from ratchet.adapters.study import (
    WORKER,
    Ask,
    Plan,
    Trial,
    best,
    enqueue,
    fail_dead,
    finished,
    opened,
    reached,
    set_sampler,
)
from ratchet.errors import TrainError

if TYPE_CHECKING:
    import optuna

MOST_FAILURES = 10
POLL_S = 0.2


@dataclass(frozen=True)
class Outcome:
    """What a trial found: the mean over the folds that it ran, with the figures of each."""

    score: float
    folds: list[float]
    rounds: list[int] = field(default_factory=list)
    pruned: bool = False


@dataclass(frozen=True)
class Ended:
    """A search that is over: all finished trials of the study, also those of other runs, and why it ended early."""

    trials: list[Trial]
    early: str = ""


class Report(Protocol):
    """What a trial tells of itself while it runs, and by which it is ended."""

    def __call__(self, fold: int, score: float) -> bool:
        """Tell the score after a fold; whether to stop the trial here, since others were better by then."""
        ...

    def check(self) -> None:
        """Raise where the trial is to be given up; to be called often."""
        ...

    def is_last(self) -> bool:
        """Whether there is no time for another fold; to be called before one.

        Of the first trial, without which there is no model, what was found so far is then the outcome; another one is
        given up.
        """
        ...


Objective = Callable[[str, Mapping[str, Any], Report], Outcome]
Watch = Callable[[list[Trial], int], None]


def tune(
    objective: Objective, plan: Plan, url: str, claim: Callable[[], AbstractContextManager[None]], on_trial: Watch
) -> Ended:
    """Run trials until the study's budget is met, together with whoever else works on it.

    So many trials are started that finished and running ones never exceed the budget, and a failed or killed one is
    replaced. claim: the lock, over all processes and machines, under which it is decided whether another is due.
    on_trial is called with all finished trials and the budget after each one, from the thread that ran it, and once
    at the start.
    Raises TrainError if no trial completes, ServerError if the database cannot be opened.
    """
    with reached(url):
        study = opened(plan, url)
        with claim():
            set_sampler(study, plan)
        workers = _Workers(study, objective, plan, claim, on_trial)
        on_trial(finished(study), workers.budget)
        early = workers.run()
        found = finished(study)
        on_trial(found, workers.budget)
        errors = [t.user_attrs["error"] for t in study.get_trials(deepcopy=False) if "error" in t.user_attrs]
    if not any(trial.status == "complete" for trial in found):
        reason = f"; the last one failed: {errors[-1]}" if errors else ""
        raise TrainError(f"search: no trial was completed{reason}")
    return Ended(found, early)


class _StoppedError(Exception):
    """Another thread has ended the search, in the middle of a trial, which then counts for nothing."""


class _TimeOverError(Exception):
    """The search's time is over, in the middle of a trial."""


class _Report:
    """Tells Optuna how a trial does, and the trial whether the search goes on."""

    def __init__(self, workers: "_Workers", trial: "optuna.Trial", family: str) -> None:
        self.workers, self.trial, self.family = workers, trial, family
        self.began_ms, self.needed_s, self.fold_s = int(time.time() * 1000), 0.0, 0.0

    def __call__(self, fold: int, score: float) -> bool:
        # Should it turn out the best one, its own last fits are what time has to be left for.
        times_ms = (self.began_ms, int(time.time() * 1000))
        so_far = Trial(self.trial.number, self.family, {}, score, [score] * (fold + 1), [], "running", times_ms)
        self.needed_s, self.fold_s = self.workers.plan.last_fits_s(so_far), so_far.fold_s
        self.check()
        self.trial.report(score, fold)
        return bool(self.trial.should_prune())

    def check(self) -> None:
        if self.workers.stopped.is_set():
            raise _StoppedError
        if self.workers.has_model and self.workers.is_over(self.needed_s):
            raise _TimeOverError

    def is_last(self) -> bool:
        found = self.workers.is_over(self.needed_s + self.fold_s)
        if found and self.workers.has_model:
            raise _TimeOverError
        return found


class _Workers:
    """The threads of this process that work on a study."""

    def __init__(
        self,
        study: "optuna.Study",
        objective: Objective,
        plan: Plan,
        locked: Callable[[], AbstractContextManager[None]],
        on_trial: Watch,
    ) -> None:
        self.study, self.objective, self.plan, self.locked, self.on_trial = study, objective, plan, locked, on_trial
        self.budget = min(plan.search.trials, len(plan.queue)) if plan.exhaustive else plan.search.trials
        self.needed_s, self.fold_s, self.has_model = 0.0, 0.0, False
        self._keep_time(finished(study))
        self.turn, self.stopped = threading.Lock(), threading.Event()
        self.done = self.failed = 0  # by this process

    def run(self) -> str:
        """Work in `search.jobs` threads until nothing is due; return why it ended early, if it did."""
        with ThreadPoolExecutor(max(self.plan.search.jobs - 1, 1)) as pool:
            others = [pool.submit(self._work) for _ in range(self.plan.search.jobs - 1)]
            try:
                early = self._work()  # this thread works too: it is the one that Ctrl-C reaches
            except BaseException:
                self.stopped.set()
                raise
            for other in others:
                other.result()
        return early

    def _work(self) -> str:
        try:
            while not self.stopped.is_set():
                early = self._one()
                if early is not None:
                    return early
        except BaseException:
            self.stopped.set()
            raise
        return ""

    def _one(self) -> str | None:
        """Run the next trial if one is due; return why to end, or None to go on."""
        with ExitStack() as claim:
            claim.enter_context(self.turn)
            self.plan.patience.call(lambda: claim.enter_context(self.locked()), "the database of RATCHET_DATABASE_URL")
            due, end = self._due()
            if due:
                self.study.optimize(
                    partial(self._run, claim),
                    n_trials=1,
                    catch=(ArithmeticError, ValueError, _StoppedError, _TimeOverError),
                    callbacks=[self._count],
                )
                return None
        if end is None:
            self.stopped.wait(POLL_S)  # what others run may fail and have to be replaced
        return end

    def _due(self) -> tuple[bool, str | None]:
        """Whether to start a trial now; if not, why to end, or None to wait for what is running."""
        fail_dead(self.study)
        trials = self.study.get_trials(deepcopy=False)
        done = sum(t.state.name in ("COMPLETE", "PRUNED") for t in trials)
        running = sum(t.state.name == "RUNNING" for t in trials)
        self.has_model = self.has_model or any(t.state.name == "COMPLETE" for t in trials)  # also of another worker
        if done >= self.budget:
            return False, ""
        if self.has_model and self.is_over(self.needed_s + self.fold_s):
            return False, f"search.timeout_s ({self.plan.search.timeout_s:g} s) is over"
        if self.failed > MOST_FAILURES + 2 * self.done:
            return False, f"{self.failed} trials failed"
        late = not self.has_model and self.is_over()  # one more trial alone, so that there is a model
        due = running == 0 if late else done + running < self.budget
        if due:
            waiting = enqueue(self.study, self.plan.queue[: self.budget], self.budget - done - running)
            due = waiting > 0 or not self.plan.exhaustive
        return due, None if due or running else f"the grid's {self.budget} points are tried"

    def is_over(self, needed_s: float = 0.0) -> bool:
        """Whether the time is over, but for what the last fits need: of the best trial, or of another if longer."""
        ends = self.plan.began + self.plan.search.timeout_s
        return time.monotonic() >= ends - max(self.needed_s, needed_s)

    def _keep_time(self, trials: list[Trial]) -> None:
        found = best(trials, self.plan.metric)
        self.has_model = found is not None
        if found:
            self.needed_s, self.fold_s = self.plan.last_fits_s(found), found.fold_s

    def _count(self, study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
        if trial.state.name == "FAIL":
            self.failed += 1
        else:
            self.done += 1
        trials = finished(study)
        self._keep_time(trials)
        self.on_trial(trials, self.budget)

    def _run(self, claim: ExitStack, trial: "optuna.Trial") -> float:
        """Ask Optuna for parameters, run the trial, and leave its figures on it."""
        import optuna

        trial.set_user_attr(WORKER, process.me())
        claim.close()  # the trial is on record as running: the next worker may look
        family, params = self.plan.propose(Ask(trial))

        try:
            outcome = self.objective(family, params, _Report(self, trial, family))
        except (ArithmeticError, ValueError) as error:
            trial.set_user_attr("error", f"{family}: {error}"[:500])
            raise
        trial.set_user_attr("folds", outcome.folds)
        trial.set_user_attr("rounds", outcome.rounds)
        if outcome.pruned:
            raise optuna.TrialPruned
        return outcome.score
