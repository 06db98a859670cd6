"""Linear models, fitted by scikit-learn, served as a dot product: logistic, hinge (texts) or ridge."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from ratchet.core.models.sample import Fitted, Fold, Sample, Setting
from ratchet.core.models.space import Choice, Number, Space
from ratchet.scoring.margin import SparseDot, TableDot

UNSEEN = -30.0  # margin of a class that the rows do not hold
BY_BATCHES = False  # whether it can be fitted on rows that do not fit into memory


def space(kind: str, is_text: bool) -> Space:
    """The strength C of the fit (inverse regularisation) and, for classes of texts, the loss and a floor."""
    if is_text and kind != "regression":
        return {"C": Number(0.01, 30, log=True), "loss": Choice(("log", "hinge")), "floor": Number(0.03, 10, log=True)}
    return {"C": Number(1e-4, 100, log=True)}


def starts(rows: int, is_text: bool) -> list[dict[str, Any]]:
    """Known-good configurations, tried first."""
    if is_text:
        return [{"C": 0.3, "loss": "hinge", "floor": 0.3}, {"C": 4.0, "loss": "log", "floor": 0.3}]
    return [{"C": 0.1}, {"C": 1.0}, {"C": 0.01}]


def fit(params: Mapping[str, Any], fold: Fold, setting: Setting, rounds: int | None = None) -> Fitted:
    """Fit on the fold's rows; it is deterministic, so seed and rounds do not matter to a table."""
    sample = fold.sample
    if not sample.levels:
        scale = _scale(sample, params["floor"]) if "floor" in params else np.ones(1, dtype=np.float32)
        design = sample.matrix.multiply(scale).tocsr()
        weights, intercept = _solve(params, design, sample, setting)
        return Fitted(SparseDot((weights * scale[:, None]).astype(np.float32), intercept))
    frame = _Frame(sample)
    weights, intercept = _solve(params, frame.design(sample.matrix), sample, setting)
    return Fitted(frame.table_dot(weights, intercept))


def _scale(sample: Sample, floor: float) -> np.ndarray:
    """Return how large each feature is made before the fit, shape (d,), float32, mean 1 over those that occur.

    It is the naive Bayes log ratio of how often texts of a class hold the feature and others do (of several classes the
    largest) plus a floor: what tells the classes apart is shrunk less. Large floors make all features alike.
    Source: Wang and Manning, ACL 2012 (NBSVM), with a floor in place of the interpolation with the mean weight.
    """
    present = sample.matrix.astype(bool).astype(np.float32)
    of_class = [present[sample.target == label] for label in np.unique(sample.target)]
    counts = [1 + np.asarray(mine.sum(axis=0)).ravel() for mine in of_class]
    every = sum(counts)
    ratio = np.zeros(present.shape[1])
    for own in counts:
        other = every - own
        if other.any():
            ratio = np.maximum(ratio, np.abs(np.log(own / own.sum()) - np.log(other / other.sum())))
    scale = ratio + floor
    occurs = present.getnnz(axis=0) > 0
    return np.asarray(scale / (scale[occurs].mean() if occurs.any() else 1), dtype=np.float32)


def _solve(params: Mapping[str, Any], design: Any, sample: Sample, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (d, outputs) and intercept (outputs,)."""
    model: Any
    if sample.kind == "regression":
        model = Ridge(alpha=1 / params["C"], solver="sparse_cg" if sparse.issparse(design) else "auto")
    elif params.get("loss") == "hinge":
        model = LinearSVC(C=params["C"], random_state=setting.seed, max_iter=300)
    else:
        model = LogisticRegression(C=params["C"], max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a weak C stops early, and its score says so
        model.fit(design, sample.target)
    weights = np.atleast_2d(model.coef_).T
    intercept = np.atleast_1d(np.asarray(model.intercept_, dtype=float))
    if sample.outputs > 1 and len(intercept) < sample.outputs:
        return _each_class(weights, intercept, model.classes_.astype(int), sample.outputs)
    return weights, intercept


def _each_class(
    weights: np.ndarray, intercept: np.ndarray, seen: np.ndarray, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and intercept of every class, where the rows hold two of them only or lack some."""
    if len(intercept) == 1:  # one margin for two classes: half of it speaks for the one, half against the other
        weights, intercept = np.hstack([-weights, weights]) / 2, np.append(-intercept, intercept) / 2
    all_weights, all_intercepts = np.zeros((len(weights), outputs)), np.full(outputs, UNSEEN)
    all_weights[:, seen], all_intercepts[seen] = weights, intercept
    return all_weights, all_intercepts


class _Frame:
    """How codes become a design matrix: numbers standardised, with a flag for missing; a column per level."""

    def __init__(self, sample: Sample) -> None:
        self.is_level = sample.is_level
        plain = sample.matrix[:, ~self.is_level].astype(float)
        known = ~np.isnan(plain)
        seen = np.maximum(known.sum(axis=0), 1)
        self.mean = np.where(known, plain, 0).sum(axis=0) / seen
        spread = np.sqrt((np.where(known, plain - self.mean, 0) ** 2).sum(axis=0) / seen)
        self.scale = np.where(spread > 0, spread, 1)
        self.absent = 1 - known.mean(axis=0)
        self.counts = [count for count in sample.levels if count]
        self.offset = np.concatenate([[0], np.cumsum([count + 1 for count in self.counts])])[:-1].astype(int)
        codes = np.nan_to_num(sample.matrix[:, self.is_level] + 1.0).astype(int)
        self.shares = [
            np.bincount(column, minlength=count + 1) / len(column)
            for column, count in zip(codes.T, self.counts, strict=True)
        ]

    def design(self, matrix: np.ndarray) -> Any:
        """Return (n, numbers + numbers + levels): standardised, missing, one-hot; dense while it is small."""
        plain = (matrix[:, ~self.is_level] - self.mean) / self.scale
        absent = np.isnan(plain)
        rows, width = len(matrix), sum(self.counts) + len(self.counts)
        codes = matrix[:, self.is_level]
        at = (np.where(np.isnan(codes), 0, codes + 1) + self.offset).astype(int)
        hot = sparse.csr_matrix((np.ones(at.size), at.ravel(), np.arange(rows + 1) * at.shape[1]), shape=(rows, width))
        numeric = np.hstack([np.where(absent, 0.0, plain), absent.astype(float)])
        if width <= 200:
            return np.hstack([numeric, hot.toarray()])
        return sparse.hstack([sparse.csr_matrix(numeric), hot], format="csr")

    def table_dot(self, weights: np.ndarray, intercept: np.ndarray) -> TableDot:
        count = len(self.mean)
        parts = weights[:count], weights[count : 2 * count], weights[2 * count :]
        usual = np.empty((len(self.is_level), weights.shape[1]))
        usual[~self.is_level] = self.absent[:, None] * parts[1]  # a number that is present counts 0 on average
        for place, start, shares in zip(np.flatnonzero(self.is_level), self.offset, self.shares, strict=True):
            usual[place] = shares @ parts[2][start : start + len(shares)]
        state = *parts, self.offset, intercept, usual
        return TableDot(self.is_level, self.mean, self.scale, *state)
