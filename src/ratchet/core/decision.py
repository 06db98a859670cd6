"""From margins to decisions: calibration and the threshold, both chosen on the valid side."""

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from ratchet.config import Cost
from ratchet.scoring.predict import Calibration, sigmoid, softmax


def calibrate(margins: np.ndarray, truth: np.ndarray) -> Calibration:
    """Fit the calibration that minimises log loss.

    margins: (n,) or (n, classes); truth: (n,) class index. Constant margins or one class: no calibration.
    Source: Platt 1999, with his smoothed targets; Guo et al. 2017 for several classes.
    """
    if len(np.unique(truth)) < 2 or np.ptp(margins) == 0:
        return Calibration()
    if margins.ndim == 1:
        return _platt(margins, truth)
    # Smoothed like Platt's: on rows that are told apart without a mistake the slope would grow without bound.
    unsure = 1 / (len(truth) + 2)
    target = (1 - unsure) * np.eye(margins.shape[1])[truth.astype(int)] + unsure / margins.shape[1]

    def loss(log_slope: float) -> float:
        odds = np.log(np.maximum(softmax(np.exp(log_slope) * margins), 1e-300))
        return float(-(target * odds).sum(axis=1).mean())

    return Calibration(slope=float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)))


def _platt(margins: np.ndarray, truth: np.ndarray) -> Calibration:
    positives, rows = truth.sum(), len(truth)
    target = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (rows - positives + 2))
    scale = float(np.abs(margins).max())

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        odds = at[0] * margins / scale + at[1]
        error = (sigmoid(odds) - target) / rows
        return float((np.logaddexp(0, odds) - target * odds).mean()), np.array(
            [(error * margins / scale).sum(), error.sum()]
        )

    slope, intercept = minimize(loss, np.array([scale, 0.0]), jac=True, method="BFGS").x
    if slope <= 0:  # a margin that points the wrong way on valid is left as it is, for the gates to see
        return Calibration()
    return Calibration(float(slope / scale), float(intercept))


def cheapest_threshold(cost: Cost) -> float:
    """Return the probability from which on calling a row positive is the cheaper decision."""
    total = cost.false_positive + cost.false_negative
    return cost.false_positive / total if total else 0.5


def choose_threshold(probabilities: np.ndarray, truth: np.ndarray, cost: Cost) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the threshold of least mean cost, and all candidates with their costs, each (candidates,).

    probabilities, truth: (n,). A row is positive if its probability is at least the threshold.
    """
    order = np.argsort(probabilities, kind="stable")
    ordered, labels = probabilities[order], truth[order]
    missed = np.concatenate([[0.0], np.cumsum(labels)]) * cost.false_negative
    false = np.concatenate([[0.0], np.cumsum((1 - labels)[::-1])])[::-1] * cost.false_positive
    between = (ordered[1:] + ordered[:-1]) / 2
    between = np.where(between > ordered[:-1], between, ordered[1:])  # neighbouring floats have none between them
    candidates = np.concatenate([[0.0], between, [1.0]])
    real = np.concatenate([[True], ordered[1:] > ordered[:-1], [ordered[-1] < 1]])
    costs = (missed + false) / len(truth)
    candidates, costs = candidates[real], costs[real]
    best = np.flatnonzero(costs <= costs.min() + 1e-12)
    chosen = best[np.argmin(np.abs(candidates[best] - 0.5))]  # of equals the one nearest to an even chance
    return float(candidates[chosen]), candidates, costs
