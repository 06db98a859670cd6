"""Optuna: a study that resumes, counts finished trials only, and compares families fold by fold."""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ratchet.adapters import process
from ratchet.config import METRICS, Search, masked
from ratchet.errors import ServerError, TrainError

if TYPE_CHECKING:
    import optuna

HEARTBEAT_S, GRACE_S = 20, 60
RETRIES, MOST_FAILURES = 3, 10
POLL_S = 0.2
WORKER = "worker"
MIN_TRIALS = 8  # fewer say nothing about which parameter matters


@dataclass(frozen=True)
class Outcome:
    """What a trial found: the mean over the folds that it ran, with the figures of each."""

    score: float
    folds: list[float]
    rounds: list[int] = field(default_factory=list)
    pruned: bool = False


@dataclass(frozen=True)
class Trial:
    """A finished trial. status: complete, pruned or failed; times in ms since 1970; worker: who ran it."""

    number: int
    family: str
    params: dict[str, Any]
    score: float | None
    folds: list[float]
    rounds: list[int]
    status: str
    times_ms: tuple[int, int]
    worker: str = ""


class Ask:
    """Asks an Optuna trial for values."""

    def __init__(self, trial: "optuna.Trial") -> None:
        self.trial = trial

    def number(self, name: str, low: float, high: float, log: bool, integer: bool) -> float:
        """Return a number of the range."""
        if integer:
            return int(self.trial.suggest_int(name, int(low), int(high), log=log))
        return float(self.trial.suggest_float(name, low, high, log=log))

    def choice(self, name: str, options: Sequence[Any]) -> Any:
        """Return one of the options."""
        return self.trial.suggest_categorical(name, list(options))


@dataclass(frozen=True)
class Plan:
    """What is searched.

    propose: asks for (family, parameters); queue: what is tried first, under the names that `propose` asks for;
    exhaustive: the queue is all there is, such as a grid.
    """

    study: str
    propose: Callable[[Ask], tuple[str, dict[str, Any]]]
    queue: Sequence[Mapping[str, Any]]
    exhaustive: bool
    metric: str
    search: Search


@dataclass(frozen=True)
class Ended:
    """A search that is over: all finished trials of the study, also those of other runs, and why it ended early."""

    trials: list[Trial]
    early: str = ""


# (family, params, report) -> Outcome, where report(fold, score) says whether to stop the trial here.
Objective = Callable[[str, Mapping[str, Any], Callable[[int, float], bool]], Outcome]
Watch = Callable[[list[Trial], int], None]


def tune(
    objective: Objective, plan: Plan, url: str, locked: Callable[[], AbstractContextManager[None]], on_trial: Watch
) -> Ended:
    """Run trials until the study's budget is met, together with whoever else works on it.

    locked: one worker at a time, over all threads, processes and machines, decides whether another trial is due: so
    many are started that finished and running ones never exceed the budget, and a failed or killed one is replaced.
    on_trial is called with all finished trials and the budget after each one, from the thread that ran it, and once
    at the start.
    Raises TrainError if no trial completes, ServerError if the database cannot be opened.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        study = _study(plan, url)
        with locked():
            _set_sampler(study, plan)
        workers = _Workers(study, objective, plan, locked, on_trial)
        on_trial(finished(study), workers.budget)
        early = workers.run()
        on_trial(finished(study), workers.budget)
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ServerError(f"RATCHET_DATABASE_URL ({masked(url)}): {reason[:300]}") from None
    found = finished(study)
    if not any(trial.status == "complete" for trial in found):
        errors = [t.user_attrs["error"] for t in study.get_trials(deepcopy=False) if "error" in t.user_attrs]
        reason = f"; the last one failed: {errors[-1]}" if errors else " before search.timeout_s"
        raise TrainError(f"search: no trial was completed{reason}")
    return Ended(found, early)


class _StoppedError(Exception):
    """Another thread has ended the search, in the middle of a trial, which then counts for nothing."""


class _TimeOverError(Exception):
    """The search's time is over, in the middle of a trial."""


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
        self.deadline = time.monotonic() + plan.search.timeout_s
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
            claim.enter_context(self.locked())
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
        _fail_dead(self.study)
        trials = self.study.get_trials(deepcopy=False)
        done = sum(t.state.name in ("COMPLETE", "PRUNED") for t in trials)
        running = sum(t.state.name == "RUNNING" for t in trials)
        if done >= self.budget:
            return False, ""
        if time.monotonic() >= self.deadline:
            return False, f"search.timeout_s ({self.plan.search.timeout_s:g} s) is over"
        if self.failed > MOST_FAILURES + 2 * self.done:
            return False, f"{self.failed} trials failed"
        due = done + running < self.budget
        if due:
            waiting = _enqueue(self.study, self.plan.queue[: self.budget], self.budget - done - running)
            due = waiting > 0 or not self.plan.exhaustive
        return due, None if due or running else f"the grid's {self.budget} points are tried"

    def _count(self, study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
        if trial.state.name == "FAIL":
            self.failed += 1
        else:
            self.done += 1
        self.on_trial(finished(study), self.budget)

    def _run(self, claim: ExitStack, trial: "optuna.Trial") -> float:
        """Ask Optuna for parameters, run the trial, and leave its figures on it."""
        import optuna

        trial.set_user_attr(WORKER, process.me())
        claim.close()  # the trial is on record as running: the next worker may look
        family, params = self.plan.propose(Ask(trial))

        def report(fold: int, score: float) -> bool:
            if self.stopped.is_set():
                raise _StoppedError
            if self.done and time.monotonic() > self.deadline:
                raise _TimeOverError
            trial.report(score, fold)
            return bool(trial.should_prune())

        try:
            outcome = self.objective(family, params, report)
        except (ArithmeticError, ValueError) as error:
            trial.set_user_attr("error", f"{family}: {error}"[:500])
            raise
        trial.set_user_attr("folds", outcome.folds)
        trial.set_user_attr("rounds", outcome.rounds)
        if outcome.pruned:
            raise optuna.TrialPruned
        return outcome.score


def _fail_dead(study: "optuna.Study") -> None:
    """Put back what a worker that is gone had begun: one of this machine at once, others after the grace."""
    import optuna

    put_back = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        worker = trial.user_attrs.get(WORKER)  # it is named under the lock that is held here
        if worker is None or process.is_gone(worker):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            put_back(study, trial)
    optuna.storages.fail_stale_trials(study)


def _enqueue(study: "optuna.Study", queue: Sequence[Mapping[str, Any]], most: int) -> int:
    """Queue what is untried, was interrupted or, a few times, failed. Return how many wait."""
    fixed = "fixed_params"
    queued = [t for t in study.get_trials(deepcopy=False) if fixed in t.system_attrs]
    known = [t.system_attrs[fixed] for t in queued if t.state.name != "FAIL"]
    broken = [t.system_attrs[fixed] for t in queued if t.state.name == "FAIL" and "error" in t.user_attrs]
    waiting = len([t for t in queued if t.state.name == "WAITING"])
    for params in queue:
        if waiting < most and dict(params) not in known and broken.count(dict(params)) < RETRIES:
            study.enqueue_trial(dict(params))
            waiting += 1
    return waiting


def _study(plan: Plan, url: str) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # A killed worker's trial would stay RUNNING for ever: it misses its heartbeat and is put back in the queue.
    storage = optuna.storages.RDBStorage(
        url,
        # Several workers write to one file: each waits for its turn.
        engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {},
        heartbeat_interval=HEARTBEAT_S,
        grace_period=GRACE_S,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
    )
    direction = "maximize" if METRICS[plan.metric].higher_is_better else "minimize"
    study = optuna.create_study(
        storage=storage,
        study_name=plan.study,
        direction=direction,
        load_if_exists=True,
        # The step is the fold: rounds would compare families that need different numbers of them.
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8, n_warmup_steps=0, n_min_trials=4),
    )
    return study


def _set_sampler(study: "optuna.Study", plan: Plan) -> None:
    """Choose how the next trial is proposed; each worker of a study draws other numbers. The caller holds the lock."""
    import optuna

    workers = study.user_attrs.get("workers", 0)
    study.set_user_attr("workers", workers + 1)
    seed = (plan.search.seed + len(study.get_trials(deepcopy=False)) + 10_007 * workers) % 2**31
    if plan.search.sampler == "tpe":
        # constant_liar: what others are trying counts, so that two do not try the same.
        study.sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, n_startup_trials=10, constant_liar=True
        )
    else:
        study.sampler = optuna.samplers.RandomSampler(seed=seed)


def importance(plan: Plan, url: str, family: str) -> dict[str, float]:
    """Return how much each parameter of the family moved the score, shares that add up to 1; {} if unknown.

    Source: Hutter, Hoos and Leyton-Brown, ICML 2014 (functional ANOVA), as Optuna computes it.
    """
    import optuna

    whole = _study(plan, url)
    mine = optuna.create_study(direction=whole.direction)
    complete = [t for t in whole.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    mine.add_trials([t for t in complete if t.params.get("family") == family])
    prefix = f"{family}."
    names = {name for t in mine.get_trials(deepcopy=False) for name in t.params if name.startswith(prefix)}
    if len(mine.get_trials(deepcopy=False)) < MIN_TRIALS or len({t.value for t in complete}) < 2 or not names:
        return {}
    found = optuna.importance.get_param_importances(mine, params=sorted(names))
    return {name.removeprefix(prefix): float(share) for name, share in found.items()}


def finished(study: "optuna.Study") -> list[Trial]:
    """Return the finished trials of a study, in order."""
    return [_plain(t) for t in study.get_trials(deepcopy=False) if t.state.is_finished()]


def _plain(trial: "optuna.trial.FrozenTrial") -> Trial:
    family = trial.params.get("family", "?")
    start, end = trial.datetime_start, trial.datetime_complete
    return Trial(
        trial.number,
        family,
        {name.removeprefix(f"{family}."): value for name, value in trial.params.items() if name != "family"},
        trial.value if trial.state.name == "COMPLETE" else None,
        list(trial.user_attrs.get("folds", [])),
        list(trial.user_attrs.get("rounds", [])),
        {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed"),
        (int(start.timestamp() * 1000) if start else 0, int(end.timestamp() * 1000) if end else 0),
        trial.user_attrs.get(WORKER, ""),
    )


def best(trials: Sequence[Trial], metric: str) -> Trial | None:
    """Return the completed trial with the best score, the earliest of equals."""
    complete = [trial for trial in trials if trial.status == "complete" and trial.score is not None]
    sign = -1 if METRICS[metric].higher_is_better else 1
    return min(complete, key=lambda trial: (sign * (trial.score or 0), trial.number), default=None)
