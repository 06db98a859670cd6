"""What an outcome costs the model that answered: one loss per row, 0 to 1, higher is worse."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ratchet.config import Cost, Kind, Rollout
from ratchet.core.labels import ClassIndex
from ratchet.errors import ConfigError

STEPS = 100  # losses of a regression are kept to so many parts of the largest error
SAID = {
    "accuracy": "the share of right decisions",
    "cost": "cost per row",
    "loss_of_approved": "the share of positives among those called negative",
    "absolute_error": "absolute error",
}


@dataclass(frozen=True)
class Measure:
    """How rows of a rollout are judged. largest: what a loss of 1 is in the metric's own unit; cost: of a decision.

    classes: the labels as the model answers them, for binary (negative, positive); empty for regression.
    """

    name: str
    kind: Kind
    largest: float
    classes: tuple[Any, ...]
    cost: Cost

    def scaled(self, amount: float) -> float:
        """Return an amount of the metric, such as the margin, on the scale of losses."""
        return amount / self.largest

    def shown(self, loss: float) -> float:
        """Return a mean loss as the metric itself; accuracy is what is left of the errors."""
        return 1 - loss if self.name == "accuracy" else loss * self.largest


def measure_of(terms: Rollout, kind: Kind, classes: Sequence[Any], cost: Cost) -> Measure:
    """Return how a task's rows are judged: by `rollout.metric`, else by cost, a regression by absolute_error.

    Raises ConfigError for a metric that the kind of task does not have, or that has no largest loss.
    """
    name = terms.metric or ("absolute_error" if kind == "regression" else "cost")
    fits = {"absolute_error": kind == "regression", "loss_of_approved": kind == "binary"}
    if not fits.get(name, kind != "regression"):
        raise ConfigError(f"rollout.metric: {name} is not defined for {kind}")
    if name == "absolute_error" and terms.largest_error is None:
        raise ConfigError("rollout.largest_error: missing; absolute_error counts errors up to it")
    largest = 1.0
    if name == "absolute_error":
        largest = terms.largest_error or 1.0
    elif name == "cost" and kind == "binary":
        largest = max(cost.false_positive, cost.false_negative)
        if largest <= 0:
            raise ConfigError("decision.cost: both are 0, so nothing can be worse; rollout.metric may be accuracy")
    return Measure(name, kind, largest, tuple(classes), cost)


def losses(measure: Measure, answers: Sequence[Any], outcomes: Sequence[Any]) -> np.ndarray:
    """Return the loss of each row, (n,), in [0, 1]; NaN where a row does not count.

    answers: the label, or for regression the value, that was answered; outcomes: what came true. A row does not count
    where either is missing or no label of the model, and for loss_of_approved where it was called positive.
    """
    if measure.kind == "regression":
        return _errors(_numbers(answers), _numbers(outcomes), measure.largest)
    names = ClassIndex(measure.classes)
    called, true = (np.array([_place(names, each) for each in given], float) for given in (answers, outcomes))
    known = ~np.isnan(called) & ~np.isnan(true)
    wrong = (called != true).astype(float)
    if measure.name == "cost" and measure.kind == "binary":
        wrong *= np.where(true == 1, measure.cost.false_negative, measure.cost.false_positive) / measure.largest
    if measure.name == "loss_of_approved":
        known &= called == 0
    return np.where(known, wrong, np.nan)


def _errors(values: np.ndarray, outcomes: np.ndarray, largest: float) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(values - outcomes) / largest
    return np.where(np.isnan(off), np.nan, np.round(np.clip(off, 0, 1) * STEPS) / STEPS)


def _numbers(given: Sequence[Any]) -> np.ndarray:
    return np.array([_number(each) for each in given], dtype=float)


def _number(value: Any) -> float:
    """Return a number; NaN for what is none. JSON may bring numbers as text, and true is no number."""
    if value is None or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _place(names: ClassIndex, label: Any) -> float:
    place = names.find(label)
    return math.nan if place is None else place
