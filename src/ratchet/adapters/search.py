"""Optuna: a study that resumes, counts finished trials only, and compares families fold by fold."""

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ratchet.config import METRICS, Search
from ratchet.errors import TrainError

if TYPE_CHECKING:
    import optuna

HEARTBEAT_S, GRACE_S = 20, 60
RETRIES = 3


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


def tune(objective: Objective, plan: Plan, url: str, on_trial: Callable[[list[Trial]], None]) -> list[Trial]:
    """Run trials until the budget is met; return all finished ones of the study, also those of earlier runs.

    on_trial is called with all finished trials after each one, and once at the start.
    Raises TrainError if no trial completes.
    """
    study = _study(plan, url)
    budget = min(plan.search.trials, len(plan.queue)) if plan.exhaustive else plan.search.trials
    if not study.get_trials(deepcopy=False):
        for params in plan.queue[:budget]:
            study.enqueue_trial(dict(params))
    deadline = time.monotonic() + plan.search.timeout_s
    on_trial(finished(study))
    for _ in range(RETRIES):
        missing = budget - len([t for t in finished(study) if t.status != "failed"])
        left_s = deadline - time.monotonic()
        if missing <= 0 or left_s <= 0:
            break
        study.optimize(
            _Objective(objective, plan),
            n_trials=missing,
            timeout=left_s,
            n_jobs=plan.search.jobs,
            catch=(ArithmeticError, ValueError),
            callbacks=[lambda study, trial: on_trial(finished(study))],
        )
    found = finished(study)
    if not any(trial.status == "complete" for trial in found):
        errors = [t.user_attrs["error"] for t in study.get_trials(deepcopy=False) if "error" in t.user_attrs]
        reason = f"; the last one failed: {errors[-1]}" if errors else " before search.timeout_s"
        raise TrainError(f"search: no trial was completed{reason}")
    return found


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
