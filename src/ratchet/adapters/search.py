"""Optuna: a study that resumes, counts finished trials only, and compares families fold by fold."""

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ratchet.config import METRICS, Search, masked
from ratchet.errors import ServerError, TrainError

if TYPE_CHECKING:
    import optuna

HEARTBEAT_S, GRACE_S = 20, 60
RETRIES = 3
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
    """A finished trial. status: complete, pruned or failed; times in ms since 1970."""

    number: int
    family: str
    params: dict[str, Any]
    score: float | None
    folds: list[float]
    rounds: list[int]
    status: str
    times_ms: tuple[int, int]


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


# (family, params, report) -> Outcome, where report(fold, score) says whether to stop the trial here.
Objective = Callable[[str, Mapping[str, Any], Callable[[int, float], bool]], Outcome]


def tune(objective: Objective, plan: Plan, url: str, on_trial: Callable[[list[Trial], int], None]) -> list[Trial]:
    """Run trials until the budget is met; return all finished ones of the study, also those of earlier runs.

    on_trial is called with all finished trials and the budget after each one, from the thread that ran it, and once
    at the start.
    Raises TrainError if no trial completes, ServerError if the database cannot be opened.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        study = _study(plan, url)
    except SQLAlchemyError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ServerError(f"RATCHET_DATABASE_URL ({masked(url)}): {reason[:300]}") from None
    budget = min(plan.search.trials, len(plan.queue)) if plan.exhaustive else plan.search.trials
    deadline = time.monotonic() + plan.search.timeout_s
    on_trial(finished(study), budget)
    for _ in range(RETRIES):
        missing = budget - len([t for t in finished(study) if t.status != "failed"])
        waiting = _enqueue(study, plan.queue[:budget], missing)
        missing = min(missing, waiting) if plan.exhaustive else missing
        left_s = deadline - time.monotonic()
        if missing <= 0 or left_s <= 0:
            break
        study.optimize(
            _Objective(objective, plan),
            n_trials=missing,
            timeout=left_s,
            n_jobs=plan.search.jobs,
            catch=(ArithmeticError, ValueError),
            callbacks=[lambda study, trial: on_trial(finished(study), budget)],
        )
    found = finished(study)
    if not any(trial.status == "complete" for trial in found):
        errors = [t.user_attrs["error"] for t in study.get_trials(deepcopy=False) if "error" in t.user_attrs]
        reason = f"; the last one failed: {errors[-1]}" if errors else " before search.timeout_s"
        raise TrainError(f"search: no trial was completed{reason}")
    return found


def _enqueue(study: "optuna.Study", queue: Sequence[Mapping[str, Any]], most: int) -> int:
    """Queue what was neither tried nor waits: also what failed or was interrupted. Return how many wait."""
    fixed = "fixed_params"
    alive = [t for t in study.get_trials(deepcopy=False) if t.state.name != "FAIL" and fixed in t.system_attrs]
    known = [t.system_attrs[fixed] for t in alive]
    waiting = len([t for t in alive if t.state.name == "WAITING"])
    for params in queue:
        if waiting < most and dict(params) not in known:
            study.enqueue_trial(dict(params))
            waiting += 1
    return waiting


class _Objective:
    """Asks Optuna for parameters, runs the trial, and leaves its figures on it."""

    def __init__(self, objective: Objective, plan: Plan) -> None:
        self.objective, self.plan = objective, plan

    def __call__(self, trial: "optuna.Trial") -> float:
        import optuna

        family, params = self.plan.propose(Ask(trial))

        def report(fold: int, score: float) -> bool:
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


def _study(plan: Plan, url: str) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # A killed worker's trial would stay RUNNING for ever: it misses its heartbeat and is put back in the queue.
    storage = optuna.storages.RDBStorage(
        url,
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
    seed = plan.search.seed + len(study.get_trials(deepcopy=False))
    if plan.search.sampler == "tpe":
        study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=10)
    else:
        study.sampler = optuna.samplers.RandomSampler(seed=seed)
    return study


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
    )


def best(trials: Sequence[Trial], metric: str) -> Trial | None:
    """Return the completed trial with the best score, the earliest of equals."""
    complete = [trial for trial in trials if trial.status == "complete" and trial.score is not None]
    sign = -1 if METRICS[metric].higher_is_better else 1
    return min(complete, key=lambda trial: (sign * (trial.score or 0), trial.number), default=None)
