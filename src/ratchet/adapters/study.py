"""Optuna's study: how it is opened, what is queued or put back in it, and what its finished trials say."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ratchet.adapters import process
from ratchet.adapters.patience import NONE, Patience, cause_of
from ratchet.config import METRICS, Search
from ratchet.errors import ServerError
from ratchet.settings import masked

if TYPE_CHECKING:
    import optuna

HEARTBEAT_S, GRACE_S = 20, 60
RETRIES = 3
WORKER = "worker"
# What Optuna's own cache calls besides the methods of every storage; a test compares. A beat that failed would end its
# thread, and with it a long trial.
BEYOND = ("_create_new_trial", "_get_best_trial_id", "_get_stale_trial_ids", "_get_trials", "_set_trial_param",
          "get_trial_id_from_study_id_trial_number", "record_heartbeat")  # fmt: skip
MIN_TRIALS = 8  # fewer say nothing about which parameter matters


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

    @property
    def fold_s(self) -> float:
        """How long a fold took, in seconds; 0 where that is not known."""
        return (self.times_ms[1] - self.times_ms[0]) / 1000 / len(self.folds) if self.folds else 0.0


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
    exhaustive: the queue is all there is, such as a grid; patience: with the database; began: when the time of
    `search.timeout_s` began, of the monotonic clock; last_fits_s: how much of it is needed after the search, by the
    best trial.
    """

    study: str
    propose: Callable[[Ask], tuple[str, dict[str, Any]]]
    queue: Sequence[Mapping[str, Any]]
    exhaustive: bool
    metric: str
    search: Search
    patience: Patience = NONE
    began: float = field(default_factory=time.monotonic)
    last_fits_s: Callable[["Trial"], float] = lambda trial: 0.0


def fail_dead(study: "optuna.Study") -> None:
    """Put back what a worker that is gone had begun: one of this machine at once, others after the grace."""
    import optuna

    put_back = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        worker = trial.user_attrs.get(WORKER)  # it is named under the lock that is held here
        if worker is None or process.is_gone(worker):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            put_back(study, trial)
    optuna.storages.fail_stale_trials(study)


def enqueue(study: "optuna.Study", queue: Sequence[Mapping[str, Any]], most: int) -> int:
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


@contextmanager
def reached(url: str) -> Iterator[None]:
    """Turn what the database says into one line that names it."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = (str(cause_of(error)).splitlines() or [type(error).__name__])[0]
        raise ServerError(f"RATCHET_DATABASE_URL ({masked(url)}): {reason[:300]}") from None


def opened(plan: Plan, url: str) -> "optuna.Study":
    """Open the study, which is made on first use."""
    import optuna

    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    # A killed worker's trial would stay RUNNING for ever: it misses its heartbeat and is put back in the queue.
    storage = optuna.storages.RDBStorage(
        url,
        # Several workers write to one file: each waits for its turn. A server that was away has closed its connections.
        engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True},
        heartbeat_interval=HEARTBEAT_S,
        grace_period=GRACE_S,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
    )
    _make_patient(storage, plan.patience)
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


def _make_patient(storage: "optuna.storages.RDBStorage", patience: Patience) -> None:
    """Have each call of the storage wait for a database that is away."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.storages import BaseStorage

    def patiently(method: Callable[..., Any], *given: Any, **more: Any) -> Any:
        tries = 0

        def once() -> Any:
            nonlocal tries
            tries += 1
            try:
                return method(*given, **more)
            except UpdateFinishedTrialError:
                if tries == 1:
                    raise
                return True  # the call before has done it, and its answer was lost

        return patience.call(once, "the database of RATCHET_DATABASE_URL")

    for name in (*BaseStorage.__abstractmethods__, *BEYOND):
        setattr(storage, name, partial(patiently, getattr(storage, name)))


def set_sampler(study: "optuna.Study", plan: Plan) -> None:
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

    Source: Watanabe, Bansal and Hutter, IJCAI 2023 (PED-ANOVA), which is what Optuna computes by default.
    """
    import optuna

    with reached(url):
        whole = opened(plan, url)
        complete = [t for t in whole.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    mine = optuna.create_study(direction=whole.direction)
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
    """Return the completed trial with the best score, the earliest of equals.

    One that had no time for all folds counts only where no other has more.
    """
    complete = [trial for trial in trials if trial.status == "complete" and trial.score is not None]
    most = max((len(trial.folds) for trial in complete), default=0)
    complete = [trial for trial in complete if len(trial.folds) == most]
    sign = -1 if METRICS[metric].higher_is_better else 1
    return min(complete, key=lambda trial: (sign * (trial.score or 0), trial.number), default=None)
