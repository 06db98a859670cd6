"""Encoded rows with their target, and what a fit of them gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

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

    @property
    def is_level(self) -> np.ndarray:
        """Which columns are categories, shape (d,), bool."""
        return np.array([count > 0 for count in self.levels], dtype=bool)


@dataclass(frozen=True)
class Fold:
    """Rows to fit and rows to score; what XGBoost bins of them is kept, so that trials share it."""

    fit: Sample
    score: Sample

    @cached_property
    def bins(self) -> tuple[Any, Any]:
        """The two samples as XGBoost's quantised matrices, built once."""
        import xgboost

        kinds = ["c" if count else "q" for count in self.fit.levels]
        fit = xgboost.QuantileDMatrix(
            self.fit.matrix, self.fit.target, feature_types=kinds, enable_categorical=True, nthread=-1
        )
        score = xgboost.QuantileDMatrix(
            self.score.matrix,
            self.score.target,
            feature_types=kinds,
            enable_categorical=True,
            ref=fit,
            nthread=-1,
        )
        return fit, score


@dataclass(frozen=True)
class Setting:
    """What each fit is told beside its parameters. max_rounds: boosting rounds at the most, with early stopping."""

    seed: int = 7
    threads: int = 1
    max_rounds: int = 1_000


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
