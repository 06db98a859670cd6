"""What each metric is, of rows as they are or weighed, with bootstrap intervals; directions are in config.METRICS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ratchet.config import METRICS, Cost
from ratchet.core import bootstrap
from ratchet.core.bootstrap import Statistic

EPSILON = 1e-7
BY_CLASS = {"roc_auc", "average_precision", "balanced_accuracy", "f1", "precision", "recall"}


@dataclass(frozen=True)
class Judged:
    """Scores of some rows and what was decided from them.

    truth: (n,) class index, or the value; scores: (n,) P(positive) or value, (n, classes) probabilities;
    decided: (n,) class index (regression: the value).
    """

    truth: np.ndarray
    scores: np.ndarray
    decided: np.ndarray

    def take(self, rows: np.ndarray) -> "Judged":
        """Return the given rows."""
        return Judged(self.truth[rows], self.scores[rows], self.decided[rows])


def value(name: str, judged: Judged, cost: Cost) -> float:
    """Return one metric; NaN where it is not defined, such as an AUC of rows that hold one class only."""
    return bootstrap.plain(statistic(name, judged, cost), len(judged.truth))


def usual(kind: str, judged: Judged, cost: Cost) -> dict[str, float]:
    """Return every metric that is defined for the kind of task."""
    return {name: value(name, judged, cost) for name, metric in METRICS.items() if kind in metric.kinds}


def intervals(kind: str, judged: Judged, cost: Cost, seed: int, draws: int = 500) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile interval of each usual metric over bootstrap draws of the rows.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
    """
    rows = len(judged.truth)
    draws = max(50, min(draws, 10_000_000 // max(rows, 1)))
    named = {name: statistic(name, judged, cost) for name, metric in METRICS.items() if kind in metric.kinds}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in named}
    for weights in bootstrap.weights(rows, draws, seed):
        for name, of in named.items():
            drawn[name].append(of(weights))
    found = {}
    for name, parts in drawn.items():
        values = np.concatenate(parts)
        values = values[~np.isnan(values)]
        found[name] = tuple(np.quantile(values, [0.025, 0.975]).tolist()) if len(values) else (np.nan, np.nan)
    return found


def statistic(name: str, judged: Judged, cost: Cost) -> Statistic:
    """Return a metric as a function of how often each row counts: (draws, n) -> (draws,); NaN where not defined."""
    if name in _MEANS:
        each = np.asarray(_MEANS[name](judged, cost), dtype=float)
        return lambda weights: over(weights @ each, weights.sum(axis=1))
    return _OTHERS[name](judged)


def units(name: str, judged: Judged) -> int:
    """Return how many rows a metric rests on: those of its rarest class where it looks at each class by itself."""
    if name not in BY_CLASS:
        return len(judged.truth)
    classes = 2 if judged.scores.ndim == 1 else judged.scores.shape[1]
    counts = np.bincount(judged.truth.astype(int), minlength=classes)
    return int(counts[counts > 0].min()) if (counts > 0).sum() > 1 else 0


def over(part: np.ndarray, whole: np.ndarray, empty: float = np.nan) -> np.ndarray:
    """Divide, the same shapes; `empty` where the whole is 0."""
    found = np.full(np.shape(part), empty, dtype=float)
    return np.asarray(np.divide(part, whole, out=found, where=whole != 0))


def _two_columns(scores: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores


def _log_loss(judged: Judged, cost: Cost) -> np.ndarray:
    columns = np.clip(_two_columns(judged.scores), EPSILON, 1 - EPSILON)
    return np.asarray(-np.log(columns[np.arange(len(judged.truth)), judged.truth.astype(int)]))


def _cost(judged: Judged, cost: Cost) -> np.ndarray:
    wrong = judged.decided != judged.truth
    if judged.scores.ndim > 1:
        return np.asarray(wrong)
    return np.asarray(wrong * np.where(judged.truth == 1, cost.false_negative, cost.false_positive))


_MEANS: Mapping[str, Callable[[Judged, Cost], np.ndarray]] = {
    "accuracy": lambda judged, cost: judged.decided == judged.truth,
    "log_loss": _log_loss,
    "brier": lambda judged, cost: (judged.scores - judged.truth) ** 2,
    "cost": _cost,
    "mae": lambda judged, cost: np.abs(judged.truth - judged.scores),
}


def _roc_auc(judged: Judged) -> Statistic:
    if judged.scores.ndim == 1:
        return _area(judged.truth, judged.scores)
    each = [_area(judged.truth == k, judged.scores[:, k]) for k in range(judged.scores.shape[1])]
    return lambda weights: _mean_of_defined([area(weights) for area in each])


def _mean_of_defined(parts: list[np.ndarray]) -> np.ndarray:
    found = np.array(parts)
    return over(np.nansum(found, axis=0), (~np.isnan(found)).sum(axis=0))


def _area(truth: np.ndarray, scores: np.ndarray) -> Statistic:
    """The share of pairs of a positive and a negative that are ordered right, ties counted half (Mann-Whitney)."""
    positives, negatives = np.flatnonzero(truth == 1), np.flatnonzero(truth != 1)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    ordered = scores[negatives]
    below, up_to = (np.searchsorted(ordered, scores[positives], side) for side in ("left", "right"))

    def of(weights: np.ndarray) -> np.ndarray:
        counted = np.zeros((len(weights), len(negatives) + 1))
        np.cumsum(weights[:, negatives], axis=1, out=counted[:, 1:])
        real = weights[:, positives]
        pairs = np.einsum("ij,ij->i", real, counted[:, below] + counted[:, up_to]) / 2
        return over(pairs, real.sum(axis=1) * counted[:, -1])

    return of


def binary_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counted half; NaN for one class only."""
    return bootstrap.plain(_area(truth, scores), len(truth))


def _average_precision(judged: Judged) -> Statistic:
    order = np.argsort(-judged.scores, kind="stable")
    ordered, real = judged.scores[order], judged.truth[order] == 1
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # equal scores enter together

    def of(weights: np.ndarray) -> np.ndarray:
        called = weights[:, order]
        found = np.cumsum(called * real, axis=1)[:, ends]
        precision = over(found, np.cumsum(called, axis=1)[:, ends], 0.0)
        return over((np.diff(found, prepend=0, axis=1) * precision).sum(axis=1), found[:, -1])

    return of


def _ece(judged: Judged, bins: int = 10) -> Statistic:
    """Expected calibration error over bins of equal width. Source: Naeini et al., AAAI 2015."""
    place = np.minimum((judged.scores * bins).astype(int), bins - 1)
    gaps = np.zeros((len(place), bins))
    gaps[np.arange(len(place)), place] = judged.scores - judged.truth
    return lambda weights: over(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))


def _f1(judged: Judged) -> Statistic:
    classes = np.array([1]) if judged.scores.ndim == 1 else np.arange(judged.scores.shape[1])
    called, real = judged.decided[:, None] == classes, judged.truth[:, None] == classes
    both, either = 2.0 * (called & real), called.astype(float) + real
    return lambda weights: over(weights @ both, weights @ either, 0.0).mean(axis=1)


def _balanced(judged: Judged) -> Statistic:
    real = (judged.truth[:, None] == np.unique(judged.truth)).astype(float)
    right = real * (judged.decided == judged.truth)[:, None]
    return lambda weights: _mean_of_defined(list(over(weights @ right, weights @ real).T))


def _share(of: np.ndarray, where: np.ndarray, empty: float) -> Statistic:
    part, whole = (of & where).astype(float), where.astype(float)
    return lambda weights: over(weights @ part, weights @ whole, empty)


def _rmse(judged: Judged) -> Statistic:
    squares = (judged.truth - judged.scores) ** 2
    return lambda weights: np.sqrt(over(weights @ squares, weights.sum(axis=1)))


def _r2(judged: Judged) -> Statistic:
    squares = (judged.truth - judged.scores) ** 2
    level = judged.truth - np.median(judged.truth)  # differences of equal values are exactly 0

    def of(weights: np.ndarray) -> np.ndarray:
        spread = weights @ level**2 - over((weights @ level) ** 2, weights.sum(axis=1))
        return 1 - over(weights @ squares, np.maximum(spread, 0))

    return of


_OTHERS: Mapping[str, Callable[[Judged], Statistic]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "balanced_accuracy": _balanced,
    "f1": _f1,
    "precision": lambda judged: _share(judged.truth == 1, judged.decided == 1, 0.0),
    "recall": lambda judged: _share(judged.decided == 1, judged.truth == 1, np.nan),
    "ece": _ece,
    "rmse": _rmse,
    "r2": _r2,
}
