"""What each metric is, with bootstrap intervals; names and directions are in config.METRICS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ratchet.config import METRICS, Cost

Scores = np.ndarray
EPSILON = 1e-7


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
    return _FORMULAS[name](judged, cost)


def usual(kind: str, judged: Judged, cost: Cost) -> dict[str, float]:
    """Return every metric that is defined for the kind of task."""
    return {name: value(name, judged, cost) for name, metric in METRICS.items() if kind in metric.kinds}


def intervals(kind: str, judged: Judged, cost: Cost, seed: int, draws: int = 500) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile interval of each usual metric over bootstrap draws of the rows.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
    """
    rng = np.random.default_rng(seed)
    rows = len(judged.truth)
    draws = max(50, min(draws, 10_000_000 // max(rows, 1)))
    drawn = [usual(kind, judged.take(rng.integers(0, rows, rows)), cost) for _ in range(draws)]
    found = {}
    for name in drawn[0]:
        values = np.array([draw[name] for draw in drawn])
        values = values[~np.isnan(values)]
        found[name] = tuple(np.quantile(values, [0.025, 0.975]).tolist()) if len(values) else (np.nan, np.nan)
    return found


def _two_columns(scores: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores


def _roc_auc(judged: Judged, cost: Cost) -> float:
    if judged.scores.ndim == 1:
        return binary_auc(judged.truth, judged.scores)
    each = [binary_auc((judged.truth == k).astype(int), judged.scores[:, k]) for k in range(judged.scores.shape[1])]
    defined = [auc for auc in each if not np.isnan(auc)]
    return float(np.mean(defined)) if defined else float("nan")


def binary_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve by ranks (Mann-Whitney), ties counted half; NaN for one class only."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    upper = np.cumsum(count)
    ranks = (upper - (count - 1) / 2)[place]
    return float((ranks[truth == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _log_loss(judged: Judged, cost: Cost) -> float:
    columns = np.clip(_two_columns(judged.scores), EPSILON, 1 - EPSILON)
    return float(-np.log(columns[np.arange(len(judged.truth)), judged.truth.astype(int)]).mean())


def _ece(judged: Judged, cost: Cost, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width. Source: Naeini et al., AAAI 2015."""
    place = np.minimum((judged.scores * bins).astype(int), bins - 1)
    gaps = np.abs(np.bincount(place, judged.scores - judged.truth, minlength=bins))
    return float(gaps.sum() / len(judged.truth))


def _cost(judged: Judged, cost: Cost) -> float:
    wrong = judged.decided != judged.truth
    if judged.scores.ndim > 1:
        return float(wrong.mean())
    each = np.where(judged.truth == 1, cost.false_negative, cost.false_positive)
    return float((wrong * each).mean())


def _f1(judged: Judged, cost: Cost) -> float:
    classes = [1] if judged.scores.ndim == 1 else range(judged.scores.shape[1])
    each = []
    for label in classes:
        called, real = judged.decided == label, judged.truth == label
        either = called.sum() + real.sum()
        each.append(2 * (called & real).sum() / either if either else 0.0)
    return float(np.mean(each))


def _r2(judged: Judged, cost: Cost) -> float:
    spread = ((judged.truth - judged.truth.mean()) ** 2).sum()
    return float(1 - ((judged.truth - judged.scores) ** 2).sum() / spread) if spread > 0 else float("nan")


def _recall(judged: Judged, cost: Cost) -> float:
    return float(judged.decided[judged.truth == 1].mean()) if (judged.truth == 1).any() else float("nan")


def _precision(judged: Judged, cost: Cost) -> float:
    return float(judged.truth[judged.decided == 1].mean()) if (judged.decided == 1).any() else 0.0


def _balanced(judged: Judged, cost: Cost) -> float:
    right = judged.decided == judged.truth
    return float(np.mean([right[judged.truth == k].mean() for k in np.unique(judged.truth)]))


def _average_precision(judged: Judged, cost: Cost) -> float:
    positives = int(judged.truth.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-judged.scores, kind="stable")
    ordered = judged.scores[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # equal scores enter together
    found = np.cumsum(judged.truth[order])[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / positives)


_FORMULAS: Mapping[str, Callable[[Judged, Cost], float]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "accuracy": lambda judged, cost: float((judged.decided == judged.truth).mean()),
    "balanced_accuracy": _balanced,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
    "log_loss": _log_loss,
    "brier": lambda judged, cost: float(((judged.scores - judged.truth) ** 2).mean()),
    "ece": _ece,
    "cost": _cost,
    "mae": lambda judged, cost: float(np.abs(judged.truth - judged.scores).mean()),
    "rmse": lambda judged, cost: float(np.sqrt(((judged.truth - judged.scores) ** 2).mean())),
    "r2": _r2,
}
