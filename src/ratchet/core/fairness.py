"""How differently groups are treated: figures by fairlearn, and the same as functions of row weights for the bounds.

Sources: Hardt, Price and Srebro, Equality of opportunity in supervised learning, NeurIPS 2016; fairlearn's user guide.
"""

import numpy as np

from ratchet.core.bootstrap import Statistic
from ratchet.core.metrics import over


def figure(name: str, truth: np.ndarray, decided: np.ndarray, groups: np.ndarray) -> float:
    """Return one figure of config.FAIRNESS. truth, decided: (n,) 0 or 1; groups: (n,) code of each row's group."""
    import fairlearn.metrics  # costs seconds

    return float(getattr(fairlearn.metrics, name)(truth, decided, sensitive_features=groups))


def statistic(name: str, truth: np.ndarray, decided: np.ndarray, groups: np.ndarray) -> Statistic:
    """Return the same figure as a function of how often each row counts; NaN where a group has no rate."""
    member = (groups[:, None] == np.unique(groups)).astype(float)
    called = (decided == 1).astype(float)[:, None] * member
    # The rows that count for each rate: all, the positives, the negatives.
    asked = {"selection": np.ones(len(truth)), "true": truth == 1, "false": truth == 0}
    rows = {rate: among.astype(float)[:, None] for rate, among in asked.items()}

    def of(weights: np.ndarray) -> np.ndarray:
        def spread(rate: str) -> np.ndarray:
            shares = over(weights @ (called * rows[rate]), weights @ (member * rows[rate]))
            low, high = shares.min(axis=1), shares.max(axis=1)
            return over(low, high) if name.endswith("ratio") else high - low

        if name.startswith("equalized_odds"):
            worse = np.minimum if name.endswith("ratio") else np.maximum
            return np.asarray(worse(spread("true"), spread("false")))
        if name.startswith("demographic"):
            return spread("selection")
        return spread("false" if name.startswith("false_positive") else "true")

    return of
