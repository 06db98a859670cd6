"""Where models are tried: the encoded rows of train and valid, cut into folds once for all trials."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ratchet.adapters.search import Outcome, Report
from ratchet.adapters.sides import GROUP
from ratchet.adapters.study import Trial
from ratchet.config import Task, TimeSplit
from ratchet.core import asked, features, folds, metrics
from ratchet.core.decision import cheapest_threshold
from ratchet.core.models import FAMILIES
from ratchet.core.models.sample import Batches, Fitted, Fold, Sample, Setting, level_counts, scores
from ratchet.scoring.encode import Encoder, TextEncoder
from ratchet.steps.preprocess import Prepared

LOGGED_S = 2.0  # for calibration, pictures and what is logged


class Bench:
    """The encoded rows of train and valid, cut into folds once for all trials; of many rows a sample."""

    def __init__(self, task: Task, prepared: Prepared, threads: int) -> None:
        self.task, self.prepared, self.kind = task, prepared, prepared.kind
        self.metric = asked.metric(task, self.kind)
        most = task.search.max_rows
        rows = prepared.rows("train", most=most)
        self.is_sample = prepared.about["sides"]["train"] > most
        self.encoder: Encoder = features.fit(rows, prepared.plan, task.features, task.data.missing_words)
        self.train, self.valid = self.encode(rows), self.encode(prepared.rows("valid", most=most))
        groups = rows[GROUP].to_numpy() if GROUP in rows else None
        by_time = isinstance(task.split, TimeSplit)
        cuts = folds.assign(self.train.target, self.kind, task.search.folds, task.search.seed, groups, by_time)
        self.folds = [Fold(self.train.take(fit), self.train.take(score)) for fit, score in cuts]
        search = task.search
        self.last = Setting(search.seed, threads, search.max_rounds, search.device)
        self.setting = replace(self.last, threads=max(1, threads // search.jobs))

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

    def trial(self, family: str, params: Mapping[str, Any], report: Report) -> Outcome:
        """Score one configuration fold by fold; stop where the report says so."""
        figures: list[float] = []
        rounds: list[int] = []
        setting = replace(self.setting, check=report.check)
        for number, fold in enumerate(self.folds):
            fitted = FAMILIES[family].fit(params, fold, setting)
            figures.append(self.score(fitted, fold.score))
            rounds += [fitted.rounds] if fitted.rounds else []
            if not np.isfinite(figures[-1]):
                raise ValueError(f"{self.metric} of fold {number + 1} is not a number")
            if report(number, float(np.mean(figures))) and number + 1 < len(self.folds):
                return Outcome(float(np.mean(figures)), figures, rounds, pruned=True)
            if number + 1 < len(self.folds) and report.is_last():
                break
        return Outcome(float(np.mean(figures)), figures, rounds)

    def score(self, fitted: Fitted, sample: Sample) -> float:
        """Return the tuned metric of a fit on some rows; decisions are the cheapest for its own probabilities."""
        found = scores(fitted.model, sample.matrix, self.kind)
        cost = self.task.decision.cost
        even = 0.5 if self.metric != "cost" else cheapest_threshold(cost)
        decided = found.argmax(axis=1) if found.ndim > 1 else (found >= even).astype(int)
        return metrics.value(self.metric, metrics.Judged(sample.target, found, decided), cost)

    def fit(self, best: Trial) -> Fitted:
        """Fit the best configuration on train, for valid to calibrate.

        It gets the mean number of rounds that its folds needed. Where the search saw a sample of train only, trees
        are now fitted on all of it by batches, and stop early by valid.
        """
        family = FAMILIES[best.family]
        if self.is_sample and family.BY_BATCHES:
            everything = Batches(self._batches, self.kind, self.train.outputs, self.train.levels)
            whole: Fitted = family.fit(best.params, Fold(everything, self.valid), self.last)
            return whole
        fitted: Fitted = family.fit(best.params, Fold(self.train, self.valid), self.last, self._rounds(best))
        return fitted

    def refit(self, best: Trial) -> Fitted:
        """Fit the best configuration once more, on train and valid: what is served, unless the rows are too many.

        A fifth more rows are worth more to the ranking than a calibration on rows unseen; see docs/decisions/0003.
        """
        again: Fitted = FAMILIES[best.family].fit(
            best.params, Fold(self.train.joined(self.valid), self.valid), self.last, self._rounds(best)
        )
        return again

    def last_fits_s(self, trial: Trial) -> float:
        """Return about how long it takes until a trial's configuration is fitted and logged, from how long it took.

        Args:
            trial: A complete one, with the times of its folds.

        Returns:
            Seconds, rather too many than too few.
        """
        rows = len(self.train.target)
        if self.is_sample:
            by_batches = FAMILIES[trial.family].BY_BATCHES
            fitted = self.prepared.about["sides"]["train"] if by_batches else rows
        else:
            fitted = rows + rows + len(self.valid.target)  # for valid to calibrate, and as it is served
        in_a_fold = rows * (1 - 1 / self.task.search.folds)
        return trial.fold_s * fitted / in_a_fold + LOGGED_S

    @staticmethod
    def _rounds(best: Trial) -> int | None:
        return round(float(np.mean(best.rounds))) if best.rounds else None

    def _batches(self) -> Iterator[Sample]:
        columns = [*self.encoder.inputs, self.prepared.about["target"]]
        return (self.encode(rows) for rows in self.prepared.batches("train", columns))
