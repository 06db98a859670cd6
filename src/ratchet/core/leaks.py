"""Columns that give the target away: alone, or several together; and a score on test that is too good to be true."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ratchet.config import Kind
from ratchet.core.metrics import binary_auc

LEAK_STRENGTH = 0.995  # AUC, or correlation of ranks, of one column alone
PERFECT = 0.99995  # what is shown as 1.0000
PERFECT_ROWS = 100  # rows (of the rarest class) from which a perfect score is no chance
MAX_LEVELS, MIN_ROWS = 100, 10  # with more levels, or fewer rows in each or of a class, chance looks like a leak
MAX_COLUMNS = 5  # of which a target may be put together
LINE_COLUMNS, LINE_ROWS = 100, 4_000  # of a straight line: the columns most like the target, the first rows
ROWS_PER_COLUMN = 5  # with fewer a straight line through all columns fits anything
MAX_MISSING = 0.05  # of the cells of a column that a target may be put together of
PERFECT_METRICS = ("roc_auc", "r2")


@dataclass(frozen=True)
class Leak:
    """Columns that give the target away.

    columns: one, or several that do so together; strength: from 0 to 1, of one column the AUC or the correlation of
    ranks, of several the R2 of a straight line through them (or through their logarithms).
    """

    columns: tuple[str, ...]
    strength: float

    @property
    def name(self) -> str:
        """The columns as one text, by which an acceptance names them."""
        return " + ".join(self.columns)

    @property
    def sentence(self) -> str:
        """The finding as people read it."""
        how = "alone predicts" if len(self.columns) == 1 else "together make up"
        return f"leak: {self.name} {how} the target ({self.strength:.3f}); is it known beforehand?"

    def reason(self, target: str) -> str:
        """Return why the columns are left out of a task, in a few words."""
        if len(self.columns) == 1:
            return f"leak: alone it tells {target} ({self.strength:.3f})"
        return f"leak: {self.name} together make up {target}"


def find_leaks(rows: pd.DataFrame, kinds: Mapping[str, str], target: np.ndarray, kind: Kind) -> list[Leak]:
    """Find the columns that give the target away.

    Args:
        rows: A sample of train.
        kinds: Which columns to look at, with their kind: number, category or text (which is not looked at).
        target: Class index or value of each row, shape (n,).
        kind: Kind of task.

    Returns:
        Single columns in the order of `kinds`, or where there are none, at most one set of several columns.
    """
    alone = [
        Leak((name,), strength)
        for name, feature in kinds.items()
        if feature != "text" and (strength := measure_strength(rows[name], feature, target, kind)) >= LEAK_STRENGTH
    ]
    if alone or kind != "regression":
        return alone
    numbers = [name for name, feature in kinds.items() if feature == "number"]
    return find_combination(rows[numbers], np.asarray(target, dtype=float))


def find_combination(columns: pd.DataFrame, target: np.ndarray) -> list[Leak]:
    """Find the few columns that the target is put together of: a sum, a difference, a product or a quotient.

    Args:
        columns: Numbers only, shape (n, columns).
        target: The value of each row, shape (n,).

    Returns:
        One finding, or none.
    """
    full = columns.loc[:, columns.isna().mean() <= MAX_MISSING]
    if full.shape[1] > LINE_COLUMNS:
        nearest = full.corrwith(pd.Series(target, index=full.index)).abs().nlargest(LINE_COLUMNS).index
        full = full[[name for name in full if name in set(nearest)]]
    whole = np.isfinite(full.to_numpy(dtype=float)).all(axis=1) & np.isfinite(target)
    matrix, target = full.to_numpy(dtype=float)[whole][:LINE_ROWS], target[whole][:LINE_ROWS]
    names = list(full.columns)
    found = _straight_line(matrix, target, names)
    if not found and len(target) and target.min() > 0 and matrix.shape[1]:
        positive = matrix.min(axis=0) > 0
        named = [name for name, is_positive in zip(names, positive, strict=True) if is_positive]
        found = _straight_line(np.log(matrix[:, positive]), np.log(target), named)
    return found


def _straight_line(matrix: np.ndarray, target: np.ndarray, names: list[str]) -> list[Leak]:
    """Return the columns without which a straight line does not meet the target, if with all of them it does."""
    kept = [place for place in range(matrix.shape[1]) if np.ptp(matrix[:, place]) > 0] if len(matrix) else []
    if len(target) < max(PERFECT_ROWS, ROWS_PER_COLUMN * len(kept)) or np.ptp(target) == 0 or not kept:
        return []
    scaled = (matrix - matrix.mean(axis=0)) / np.where(np.ptp(matrix, axis=0) > 0, matrix.std(axis=0), 1)
    goal = (target - target.mean()) / target.std()
    strength, weights = _fit(scaled[:, kept], goal)
    if strength < PERFECT:
        return []
    for place in [kept[index] for index in np.argsort(np.abs(weights))]:
        fewer = [other for other in kept if other != place]
        if fewer and _fit(scaled[:, fewer], goal)[0] >= PERFECT:
            kept = fewer
    strength = _fit(scaled[:, kept], goal)[0]
    return [Leak(tuple(names[place] for place in kept), strength)] if len(kept) <= MAX_COLUMNS else []


def _fit(matrix: np.ndarray, goal: np.ndarray) -> tuple[float, np.ndarray]:
    """Return R2 and weights of the straight line through centred columns."""
    weights = np.linalg.lstsq(matrix, goal, rcond=None)[0]
    return float(1 - np.mean((goal - matrix @ weights) ** 2)), weights


def is_too_good(metric: str, figure: float, rows: int) -> bool:
    """Whether a score on test is too good to be true.

    Args:
        metric: Its name.
        figure: Its value on test.
        rows: How many rows it rests on; of the rarest class where it looks at each class by itself.
    """
    return metric in PERFECT_METRICS and figure >= PERFECT and rows >= PERFECT_ROWS


def measure_strength(values: pd.Series, feature: str, target: np.ndarray, kind: Kind, cut: bool = True) -> float:
    """Return how well one column orders the target: AUC (of several classes, the hardest one's) or rank correlation.

    A column is ordered as it is and, by levels or by parts of equally many rows, by what the target is there: so a
    copy in other words is found, one of several classes that lie beside each other, and a value that is missing just
    where the class is.

    Args:
        values: The column, shape (n,).
        feature: What it is: number or category.
        target: Class index or value of each row, shape (n,).
        kind: Kind of task.
        cut: Whether a number of many levels is also cut into parts. That finds what has no order, and lets chance in,
            which does not matter close to 1.

    Returns:
        From 0 to 1.
    """
    parts = _parts(values, feature, cut)
    if kind == "regression":
        ranks = pd.Series(target).rank().to_numpy(dtype=float)
        ordered = _rank_correlation(values.astype(float), ranks) if feature == "number" else 0.0
        return max(ordered, _correlation_ratio(parts, ranks) if parts is not None else 0.0)
    strengths = []
    for label in np.unique(target)[1:] if kind == "binary" else np.unique(target):
        truth = (target == label).astype(int)
        if min(truth.sum(), len(truth) - truth.sum()) < MIN_ROWS:
            continue
        orders = [] if parts is None else [pd.Series(truth).groupby(parts).transform("mean")]
        if feature == "number":
            orders += [values.astype(float).fillna(fill) for fill in (-np.inf, np.inf)]
        aucs = [binary_auc(truth, order.to_numpy()) for order in orders]
        strengths.append(max([0.0, *aucs, *(1 - auc for auc in aucs)]))
    return min(strengths) if strengths else 0.0


def _parts(values: pd.Series, feature: str, cut: bool) -> np.ndarray | None:
    """Return the level of each row, shape (n,), -1 where it is missing; a number of many levels is cut into parts.

    None where there are too few rows for the levels.
    """
    most = int(min(MAX_LEVELS, len(values) / MIN_ROWS))
    codes: np.ndarray = pd.factorize(values)[0]
    if codes.max(initial=-1) < most:
        return codes
    if not cut or feature != "number" or most < 2:
        return None
    ranks = values.astype(float).rank(method="average")
    part = np.floor((ranks - 1) / max(ranks.count(), 1) * most)
    return np.asarray(part.fillna(-1).to_numpy(dtype=int))


def _correlation_ratio(parts: np.ndarray, ranks: np.ndarray) -> float:
    """Return the correlation of the target's ranks with their mean in each part."""
    if np.ptp(ranks) == 0:
        return 0.0
    means = pd.Series(ranks).groupby(parts).transform("mean").to_numpy()
    return float(means.std() / ranks.std())


def _rank_correlation(values: pd.Series, ranks: np.ndarray) -> float:
    own = values.fillna(values.median()).rank().to_numpy()
    if np.isnan(own).any() or np.ptp(own) == 0 or np.ptp(ranks) == 0:
        return 0.0
    return abs(float(np.corrcoef(own, ranks)[0, 1]))
