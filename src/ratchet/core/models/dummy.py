"""The dummy: the share of each class, or the mean, whatever the row. What any model has to beat."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ratchet.core.models.sample import Fitted, Fold, Setting
from ratchet.core.models.space import Space
from ratchet.scoring.margin import Constant

BY_BATCHES = False  # whether it can be fitted on rows that do not fit into memory


def space(kind: str, is_text: bool) -> Space:
    """Nothing to search."""
    return {}


def starts(rows: int, is_text: bool) -> list[dict[str, Any]]:
    """The one configuration there is."""
    return [{}]


def fit(params: Mapping[str, Any], fold: Fold, setting: Setting, rounds: int | None = None) -> Fitted:
    """Return the constant that minimises the loss on the rows to fit."""
    target, outputs = fold.sample.target, fold.sample.outputs
    if fold.sample.kind == "regression":
        return Fitted(Constant(np.array([target.mean()])))
    shares = (np.bincount(target.astype(int), minlength=max(outputs, 2)) + 0.5) / (len(target) + 1)
    margins = np.log(shares) if outputs > 1 else np.log(shares[1:] / shares[0])
    return Fitted(Constant(margins))
