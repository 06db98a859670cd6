"""Rows in batches and rows in memory are the same rows."""

import numpy as np

from ratchet.core.models import xgboost
from ratchet.core.models.sample import Batches, Fold, Sample, Setting

PARAMS = {"max_depth": 3, "learning_rate": 0.3}


def rows(count: int, seed: int) -> Sample:
    numbers = np.random.default_rng(seed).integers(0, 40, (count, 3)).astype(np.float32)
    numbers[:, 2] %= 4
    numbers[::17, 0] = np.nan
    target = (np.nan_to_num(numbers[:, 0]) + 10 * (numbers[:, 2] == 1) > 25).astype(int)
    return Sample(numbers, target, "binary", 1, (0, 0, 4))


def test_trees_fitted_by_batches_are_those_fitted_in_memory() -> None:
    whole, score = rows(900, 1), rows(300, 2)
    parts = [whole.take(np.arange(start, start + 300)) for start in (0, 300, 600)]
    batches = Batches(lambda: iter(parts), "binary", 1, whole.levels)
    in_memory = xgboost.fit(PARAMS, Fold(whole, score), Setting(), rounds=20)
    by_batches = xgboost.fit(PARAMS, Fold(batches, score), Setting(), rounds=20)
    assert np.allclose(by_batches.model.margins(score.matrix), in_memory.model.margins(score.matrix), atol=1e-5)
    assert len(by_batches.weights) == 3


def test_rows_joined_are_the_rows_of_both() -> None:
    both = rows(5, 1).joined(rows(7, 2))
    assert both.matrix.shape == (12, 3)
    assert both.target.shape == (12,)
