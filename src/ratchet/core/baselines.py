"""What a model has to beat: the dummy and the task's own rule, as answers to the same rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ratchet.config import Cost
from ratchet.core.decision import cheapest_threshold
from ratchet.core.metrics import Judged
from ratchet.errors import DataError
from ratchet.scoring.expressions import Expression, ExpressionError


def dummy(seen: np.ndarray, truth: np.ndarray, classes: Sequence[Any], cost: Cost) -> Judged:
    """The majority (two classes: the cheaper constant answer) or, without classes, the mean.

    seen: (m,) target of train; truth: (n,) target of the rows judged; class indices or values.
    """
    if not classes:
        mean = np.full(len(truth), seen.mean())
        return Judged(truth, mean, mean)
    shares = np.bincount(seen, minlength=len(classes)) / len(seen)
    if len(classes) > 2:
        scores = np.tile(shares, (len(truth), 1))
        return Judged(truth, scores, scores.argmax(axis=1))
    scores = np.full(len(truth), shares[1])
    return Judged(truth, scores, (scores >= cheapest_threshold(cost)).astype(int))


def rule(text: str, rows: pd.DataFrame, truth: np.ndarray, kind: str, classes: Sequence[Any]) -> Judged:
    """What the rule says of the rows: truth for binary, a class for multiclass, a number for regression.

    A missing number is the mean of what the rule says elsewhere. Raises DataError if the rule does not fit.
    """
    try:
        said = Expression.parse(text).evaluate(rows)
    except ExpressionError as error:
        raise DataError(f"problem.rule: {error}") from None
    if kind == "multiclass":
        return _named(said, truth, classes)
    if said.dtype == object:
        wanted = "a condition" if kind == "binary" else "a number"
        raise DataError(f"problem.rule: gives text such as {said[0]!r}; a {kind} target needs {wanted}")
    if kind == "regression":
        values = np.where(np.isnan(said), np.nanmean(said) if not np.isnan(said).all() else 0.0, said)
        return Judged(truth, values, values)
    decided = (np.nan_to_num(said) != 0).astype(int)
    return Judged(truth, decided.astype(float), decided)


def _named(said: np.ndarray, truth: np.ndarray, classes: Sequence[Any]) -> Judged:
    numeric = said.dtype != object and all(not isinstance(label, str) for label in classes)
    labels = [float(label) if numeric else str(label) for label in classes]
    chosen = pd.Index(labels).get_indexer(pd.Index(said if numeric else [str(name) for name in said]))
    if (chosen < 0).any():
        strange = said.tolist()[int(np.flatnonzero(chosen < 0)[0])]
        raise DataError(f"problem.rule: gives {strange!r}, which is no class; one of {', '.join(map(str, classes))}")
    return Judged(truth, np.eye(len(classes))[chosen], np.asarray(chosen))
