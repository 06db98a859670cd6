"""How far two tables of predictions for the same rows are apart, down to the last bit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

LABEL = "label"


@dataclass(frozen=True)
class Apart:
    """How two sets of predictions differ. largest: absolute difference of a score; decided: share of other labels."""

    rows: int
    is_identical: bool
    largest: float
    decided: float


def predictions(first: pd.DataFrame, second: pd.DataFrame) -> Apart | None:
    """Compare predictions, a row each: numbers by their bits, labels as they are; None if they answer otherwise.

    Answering otherwise: other columns, or another number of rows.
    """
    if list(first.columns) != list(second.columns) or len(first) != len(second):
        return None
    largest, same, decided = 0.0, True, 0.0
    for name in first.columns:
        if name == LABEL:
            other = _plain(first[name]) != _plain(second[name])
            decided = float(other.mean()) if len(other) else 0.0
            same = same and not other.any()
        else:
            one, two = (np.ascontiguousarray(side[name], dtype=np.float64) for side in (first, second))
            same = same and bool((one.view(np.int64) == two.view(np.int64)).all())
            largest = max(largest, _largest(one, two))
    return Apart(len(first), same, largest, decided)


def _plain(column: Any) -> np.ndarray:
    return np.array([str(value) for value in column], dtype=object)


def _largest(one: np.ndarray, two: np.ndarray) -> float:
    """The largest absolute difference; infinite where only one of the two is a number."""
    if (np.isnan(one) != np.isnan(two)).any():
        return float("inf")
    known = ~np.isnan(one) & (one != two)  # equal infinities have no difference
    return float(np.abs(one[known] - two[known]).max(initial=0.0))
