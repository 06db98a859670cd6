"""Gradient-boosted trees. Source: Chen and Guestrin, KDD 2016."""

from collections.abc import Mapping
from typing import Any

from ratchet.core.models import trees
from ratchet.core.models.sample import Fitted, Fold, Setting
from ratchet.core.models.space import Number, Space

BY_BATCHES = True  # whether it can be fitted on rows that do not fit into memory


def space(kind: str, is_text: bool) -> Space:
    """Depth, pace and regularisation; the number of rounds is found by early stopping, not searched."""
    return {
        "max_depth": Number(2, 9, integer=True),
        "learning_rate": Number(0.02, 0.2, log=True),
        "min_child_weight": Number(0.5, 64, log=True),
        "subsample": Number(0.5, 1.0),
        "colsample_bytree": Number(0.3, 1.0),
        "reg_lambda": Number(0.1, 50, log=True),
        "reg_alpha": Number(1e-3, 10, log=True),
    }


def starts(rows: int, is_text: bool) -> list[dict[str, Any]]:
    """Known-good configurations, tried first: one of middling depth, and a slower, shallow one for few rows."""
    common = {"subsample": 0.8, "reg_lambda": 1.0, "reg_alpha": 1e-2}
    middling = {
        "max_depth": 5,
        "learning_rate": 0.06,
        "min_child_weight": 8.0,
        "colsample_bytree": 0.6,
        **common,
    }
    shallow = {
        "max_depth": 3,
        "learning_rate": 0.06,
        "min_child_weight": 4.0,
        "colsample_bytree": 0.5,
        **common,
    }
    return [shallow, middling] if rows < 10_000 else [middling, shallow]


def fit(params: Mapping[str, Any], fold: Fold, setting: Setting, rounds: int | None = None) -> Fitted:
    """Fit with early stopping on the rows to score, or exactly `rounds` rounds."""
    return trees.train(params, fold, setting, rounds or setting.max_rounds, stop_early=rounds is None)
