"""Where models are tried: the encoded rows of train and valid, cut into folds once for all trials."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ratchet.adapters.search import Outcome, Trial
from ratchet.adapters.sides import GROUP
from ratchet.config import METRICS, SEARCH_METRIC, Task, TimeSplit
from ratchet.core import features, folds, metrics
from ratchet.core.decision import cheapest_threshold
from ratchet.core.models import FAMILIES
from ratchet.core.models.sample import Fitted, Fold, Sample, Setting, level_counts, scores
from ratchet.errors import ConfigError
from ratchet.scoring.encode import Encoder, TextEncoder
from ratchet.steps.preprocess import Prepared


class Bench:
    """The encoded rows of train and valid, cut into folds once for all trials."""

    def __init__(self, task: Task, prepared: Prepared, threads: int) -> None:
        self.task, self.prepared, self.kind = task, prepared, prepared.kind
        self.metric = metric_of(task, self.kind)
        rows = prepared.rows("train")
        self.encoder: Encoder = features.fit(rows, prepared.plan, task.features)
        self.train, self.valid = self.encode(rows), self.encode(prepared.rows("valid"))
        groups = rows[GROUP].to_numpy() if GROUP in rows else None
        by_time = isinstance(task.split, TimeSplit)
        cuts = folds.assign(self.train.target, self.kind, task.search.folds, task.search.seed, groups, by_time)
        self.folds = [Fold(self.train.take(fit), self.train.take(score)) for fit, score in cuts]
        self.setting = Setting(task.search.seed, max(1, threads // task.search.jobs), task.search.max_rounds)

    @property
    def is_text(self) -> bool:
        """Whether the rows are texts."""
        return isinstance(self.encoder, TextEncoder)

    @cached_property
    def names(self) -> list[str]:
        """Names of the matrix's columns; a text has none."""
        return [] if isinstance(self.encoder, TextEncoder) else self.encoder.names

    def encode(self, rows: pd.DataFrame) -> Sample:
        """Return the rows as numbers with their target."""
        outputs = len(self.prepared.classes) if self.kind == "multiclass" else 1
        levels = () if isinstance(self.encoder, TextEncoder) else level_counts(self.encoder.columns)
        return Sample(self.encoder.encode(rows), self.prepared.target(rows), self.kind, outputs, levels)

    def trial(self, family: str, params: Mapping[str, Any], report: Callable[[int, float], bool]) -> Outcome:
        """Score one configuration fold by fold; stop where the report says so."""
        figures: list[float] = []
        rounds: list[int] = []
        for number, fold in enumerate(self.folds):
            fitted = FAMILIES[family].fit(params, fold, self.setting)
            figures.append(self.score(fitted, fold.score))
            rounds += [fitted.rounds] if fitted.rounds else []
            if not np.isfinite(figures[-1]):
                raise ValueError(f"{self.metric} of fold {number + 1} is not a number")
            if report(number, float(np.mean(figures))) and number + 1 < len(self.folds):
                return Outcome(float(np.mean(figures)), figures, rounds, pruned=True)
        return Outcome(float(np.mean(figures)), figures, rounds)

    def score(self, fitted: Fitted, sample: Sample) -> float:
        """Return the tuned metric of a fit on some rows; decisions are the cheapest for its own probabilities."""
        found = scores(fitted.model, sample.matrix, self.kind)
        cost = self.task.decision.cost
        even = 0.5 if self.metric != "cost" else cheapest_threshold(cost)
        decided = found.argmax(axis=1) if found.ndim > 1 else (found >= even).astype(int)
        return metrics.value(self.metric, metrics.Judged(sample.target, found, decided), cost)

    def fit(self, best: Trial) -> Fitted:
        """Fit the best configuration on all of train, with the mean number of rounds that its folds needed."""
        rounds = round(float(np.mean(best.rounds))) if best.rounds else None
        fitted: Fitted = FAMILIES[best.family].fit(best.params, Fold(self.train, self.valid), self.setting, rounds)
        return fitted


def metric_of(task: Task, kind: str) -> str:
    """Return the metric that is tuned.

    Raises ConfigError if a metric of the task is not defined for the kind of target.
    """
    found = task.search.metric or SEARCH_METRIC[kind]
    gates = [("staging", gate) for gate in task.gates.staging] + [("production", g) for g in task.gates.production]
    named = [(f"gates.{stage}", gate.metric) for stage, gate in gates]
    named += [("search.metric", found)]
    named += [("problem.hypothesis", task.problem.hypothesis.metric)] if task.problem.hypothesis else []
    for place, name in named:
        if name and kind not in METRICS[name].kinds:
            known = ", ".join(metric for metric in METRICS if kind in METRICS[metric].kinds)
            raise ConfigError(f"{place}: {name} is not defined for a {kind} target; one of {known}")
    return found
