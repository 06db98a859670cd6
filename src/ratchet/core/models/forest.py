"""Random forests: one round of XGBoost with many parallel trees. Source: Breiman, Machine Learning 45, 2001."""

from collections.abc import Mapping
from typing import Any

from ratchet.core.models import trees
from ratchet.core.models.sample import Fitted, Fold, Setting
from ratchet.core.models.space import Number, Space

TREES = 200
BY_BATCHES = True  # whether it can be fitted on rows that do not fit into memory


def space(kind: str, is_text: bool) -> Space:
    """Depth, leaf size and how much each tree and each split sees."""
    return {
        "max_depth": Number(4, 16, integer=True),
        "min_child_weight": Number(0.5, 32, log=True),
        "subsample": Number(0.4, 0.95),
        "colsample_bynode": Number(0.15, 1.0),
    }


def starts(rows: int, is_text: bool) -> list[dict[str, Any]]:
    """A known-good configuration, tried first."""
    return [{"max_depth": 12, "min_child_weight": 2.0, "subsample": 0.632, "colsample_bynode": 0.4}]


def fit(params: Mapping[str, Any], fold: Fold, setting: Setting, rounds: int | None = None) -> Fitted:
    """Fit one round of parallel trees."""
    fixed = {"num_parallel_tree": TREES, "learning_rate": 1.0, "reg_lambda": 1e-3}
    fitted = trees.train({**fixed, **params}, fold, setting, 1, stop_early=False)
    return Fitted(fitted.model, weights=fitted.weights)
