"""Encoded rows with their target, and what a fit of them gives."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy import sparse

from ratchet.scoring.margin import Margin
from ratchet.scoring.predict import Calibration


@dataclass(frozen=True)
class Sample:
    """Encoded rows: matrix (n, d), target (n,), and how many levels each column has (0: a number).

    outputs: margins per row: 1, or the number of classes.
    """

    matrix: Any
    target: np.ndarray
    kind: str
    outputs: int = 1
    levels: tuple[int, ...] = ()

    def take(self, rows: np.ndarray) -> "Sample":
        """Return the given rows."""
        return Sample(self.matrix[rows], self.target[rows], self.kind, self.outputs, self.levels)

    def joined(self, other: "Sample") -> "Sample":
        """Return these rows and the other ones."""
        stack = np.concatenate if isinstance(self.matrix, np.ndarray) else partial(sparse.vstack, format="csr")
        target = np.concatenate([self.target, other.target])
        return Sample(stack([self.matrix, other.matrix]), target, self.kind, self.outputs, self.levels)

    @property
    def is_level(self) -> np.ndarray:
        """Which columns are categories, shape (d,), bool."""
        return np.array([count > 0 for count in self.levels], dtype=bool)


@dataclass(frozen=True)
class Batches:
    """Encoded rows that are never in memory at once: `read` yields them, and is called again for each pass."""

    read: Callable[[], Iterator[Sample]]
    kind: str
    outputs: int = 1
    levels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fold:
    """Rows to fit and rows to score; what XGBoost bins of them is kept, so that trials share it."""

    fit: Sample | Batches
    score: Sample

    @property
    def sample(self) -> Sample:
        """The rows to fit, for a family that needs them all in memory."""
        assert isinstance(self.fit, Sample)
        return self.fit

    @cached_property
    def bins(self) -> tuple[Any, Any]:
        """The two sets of rows as XGBoost's quantised matrices, built once."""
        fit = binned(self.fit)
        return fit, binned(self.score, fit)


def binned(rows: Sample | Batches, like: Any = None) -> Any:
    """Return XGBoost's quantised matrix of the rows, a byte or two per cell; with the bins of another one if given."""
    import xgboost

    kinds = ["c" if count else "q" for count in rows.levels]
    common = {"enable_categorical": True, "ref": like, "nthread": -1}
    if isinstance(rows, Sample):
        return xgboost.QuantileDMatrix(rows.matrix, rows.target, feature_types=kinds, **common)
    batches = rows

    class Passes(xgboost.DataIter):  # type: ignore[misc]
        """Hands the batches to XGBoost, which asks for several passes."""

        def reset(self) -> None:
            self.left = batches.read()

        def next(self, input_data: Callable[..., None]) -> bool:
            batch = next(self.left, None)
            if batch is not None:
                input_data(data=batch.matrix, label=batch.target, feature_types=kinds)
            return batch is not None

    return xgboost.QuantileDMatrix(Passes(), **common)


@dataclass(frozen=True)
class Setting:
    """What each fit is told beside its parameters.

    max_rounds: boosting rounds at the most, with early stopping; device: cpu or cuda, for XGBoost; check: called after
    each boosting round, it raises where the fit is to be given up.
    """

    seed: int = 7
    threads: int = 1
    max_rounds: int = 1_000
    device: str = "cpu"
    check: Callable[[], None] | None = None


@dataclass(frozen=True)
class Fitted:
    """A fitted margin; rounds: boosting rounds it has; curves: loss per round, on the rows fitted and scored."""

    model: Margin
    rounds: int | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)
    weights: np.ndarray | None = None


def scores(fitted: Margin, matrix: Any, kind: str) -> np.ndarray:
    """Return uncalibrated probabilities, or values for regression, of the rows of the matrix."""
    margins = fitted.margins(matrix)
    return margins if kind == "regression" else Calibration().probabilities(margins)


def level_counts(columns: Sequence[Any]) -> tuple[int, ...]:
    """Return the number of levels of each encoder column; 0 for a number."""
    return tuple(len(column.levels) if column.kind == "category" else 0 for column in columns)
