"""How sure a figure is: draws of the rows with replacement, and the bounds that follow from them.

A statistic is a function of how often each row counts, so a draw is a row of weights and nothing is sorted twice. Two
models that answer the same rows get the same weights: their difference is paired. Rows of one group are drawn together.
Sources: Efron, Better bootstrap confidence intervals, JASA 1987 (BCa); Davison and Hinkley, Bootstrap Methods and their
Application, 1997, s. 3.8 (groups) and 5.3; Holm, Scandinavian Journal of Statistics 1979.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

Statistic = Callable[[np.ndarray], np.ndarray]  # weights (draws, n) -> (draws,)
How = Literal["bca", "paired", "one-sided"]
ALPHA = 0.05  # of each one-sided bound
DRAWS, LEFT_OUT = 2_000, 200
CELLS = 1_000_000  # weights that are held at a time
TAIL = 10  # draws: of fewer no quantile is read, a normal tail goes on from there
UNDEFINED = 0.1  # share of draws without a figure from which on there is no interval


def plain(statistic: Statistic, rows: int) -> float:
    """Return a statistic of the rows as they are."""
    return float(statistic(np.ones((1, rows)))[0])


def weights(rows: int, draws: int, seed: int, groups: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield how often each row is drawn, some draws at a time, (draws, rows).

    groups: (rows,) index of each row's group, 0 to the number of groups - 1; a group is drawn as a whole.
    """
    rng = np.random.default_rng(seed)
    units = rows if groups is None else int(groups.max()) + 1
    at_a_time = max(1, CELLS // max(rows, 1))
    for start in range(0, draws, at_a_time):
        many = min(at_a_time, draws - start)
        drawn = rng.integers(0, units, (many, units), dtype=np.int64) + units * np.arange(many)[:, None]
        counted = np.bincount(drawn.ravel(), minlength=many * units).reshape(many, units).astype(float)
        yield counted if groups is None else counted[:, groups]


def _left_out(rows: int, seed: int, groups: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield the weights of a jackknife that leaves out one part of the rows after another."""
    units = rows if groups is None else int(groups.max()) + 1
    parts = min(LEFT_OUT, units)
    part = np.random.default_rng(seed + 1).permutation(units) % parts
    part = part if groups is None else part[groups]
    at_a_time = max(1, CELLS // max(rows, 1))
    for start in range(0, parts, at_a_time):
        yield (part != np.arange(start, min(start + at_a_time, parts))[:, None]).astype(float)


@dataclass(frozen=True)
class Estimate:
    """A figure and how sure it is.

    draws: (draws,) sorted, of bootstrap samples; none: the figure is exact. lean, skew: BCa's bias correction and
    acceleration. slant: how far draws of a figure that can only err to one side lie off it. degrees: of freedom, of a
    difference, whose bounds are Student's about the draws' spread. units, reach: rows (or groups) that the figure
    rests on and how much each can bring, for a figure that is the same in every draw; units 0: it is then exact.
    """

    figure: float
    draws: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    lean: float = 0.0
    skew: float = 0.0
    slant: float = 0.0
    degrees: int = 0
    units: int = 0
    reach: float = 1.0

    def shifted(self, by: float) -> "Estimate":
        """Return the same on a scale that begins elsewhere."""
        return replace(self, figure=self.figure + by, draws=self.draws + by)

    def bound(self, level: float) -> float:
        """Return the value that the truth is below with this confidence: level 0.05 is a lower bound, 0.95 an upper.

        NaN where no bound is known.
        """
        if not len(self.draws):
            return self.figure
        if np.isnan(self.draws[0]):
            return float("nan")
        if self._is_still:
            found = self.figure + (-1 if level < 0.5 else 1) * self._unseen(min(level, 1 - level))
            return min(max(found, 0.0), max(self.reach, self.figure)) if self.units else found
        if self.degrees:
            error = float(self.draws.std()) * ((self.degrees + 1) / self.degrees) ** 0.5
            return float(self.figure + error * stdtrit(self.degrees, level))
        z = self.lean + float(ndtri(level))
        found = self._quantile(float(ndtr(self.lean + z / max(1 - self.skew * z, 1e-6))))
        return float(found - self.slant if (self.slant > 0) == (level < 0.5) else found)

    def level(self, value: float) -> float:
        """Return the confidence with which the truth is below a value: what `bound` turns round."""
        low, high = 0.0, 1.0
        for _ in range(60):  # `bound` rises with the level
            middle = (low + high) / 2
            low, high = (middle, high) if self.bound(middle) < value else (low, middle)
        return (low + high) / 2

    @property
    def low(self) -> float:
        """The one-sided 95 % lower bound."""
        return self.bound(ALPHA)

    @property
    def high(self) -> float:
        """The one-sided 95 % upper bound."""
        return self.bound(1 - ALPHA)

    @property
    def _is_still(self) -> bool:
        return bool(self.draws[0] == self.draws[-1])

    def _unseen(self, alpha: float) -> float:
        """How frequent may be what none of the units showed: about 3 / units at 95 %.

        Source: Hanley and Lippman-Hand, If nothing goes wrong, is everything all right? JAMA 1983.
        """
        return self.reach * (1 - max(alpha, 1e-300) ** (1 / self.units)) if self.units else 0.0

    def _quantile(self, share: float) -> float:
        edge = min(TAIL / len(self.draws), 0.25)
        inner = min(max(share, edge), 1 - edge)
        place = inner * (len(self.draws) - 1)
        left = int(place)
        right = min(left + 1, len(self.draws) - 1)
        found = float(self.draws[left] + (place - left) * (self.draws[right] - self.draws[left]))
        if inner == share:
            return found
        beyond = float(ndtri(min(max(share, 1e-300), 1 - 1e-16))) - float(ndtri(inner))
        return found + beyond * float(self.draws.std())


@dataclass(frozen=True)
class Plan:
    """How rows are drawn. groups: (n,) index of each row's group, which is drawn as a whole, or None."""

    rows: int
    seed: int
    groups: np.ndarray | None = None
    draws: int = DRAWS

    def take(self, rows: np.ndarray, draws: int = DRAWS) -> "Plan":
        """Return the plan of some of the rows."""
        groups = None if self.groups is None else np.unique(self.groups[rows], return_inverse=True)[1]
        return Plan(len(rows), self.seed, groups, draws)

    @property
    def units(self) -> int:
        """How many are drawn: rows, or groups."""
        return self.rows if self.groups is None else int(self.groups.max()) + 1


def estimate(statistic: Statistic, plan: Plan, how: How = "bca", units: int = 0, reach: float = 1.0) -> Estimate:
    """Return a figure with the draws that tell how sure it is.

    how: paired for a difference of two sides on the same rows, which is nearly symmetric: there Student's t about the
    draws' spread keeps its level at 200 rows, and BCa does not. one-sided for a distance or the largest of several,
    which chance drives one way only: plain quantiles, the one that chance favours moved back by what chance brought,
    since BCa fails at such an edge. units, reach: see Estimate.
    """
    figure = plain(statistic, plan.rows)
    drawn = [statistic(each) for each in weights(plan.rows, plan.draws, plan.seed, plan.groups)]
    draws = np.sort(np.concatenate(drawn))
    known = draws[~np.isnan(draws)]
    if np.isnan(figure) or len(known) < (1 - UNDEFINED) * len(draws):
        return Estimate(figure, np.array([np.nan]))
    if how == "paired":
        return Estimate(figure, known, degrees=max(plan.units - 1, 1), units=units, reach=reach)
    if how == "one-sided":
        return Estimate(figure, known, slant=2 * (float(known.mean()) - figure), units=units, reach=reach)
    below = ((known < figure).sum() + (known <= figure).sum()) / (2 * len(known))
    lean = float(ndtri(min(max(below, 1 / len(known)), 1 - 1 / len(known))))
    return Estimate(figure, known, lean, _skew(statistic, plan), units=units, reach=reach)


def _skew(statistic: Statistic, plan: Plan) -> float:
    """BCa's acceleration, by a jackknife over parts of the rows: sums of parts are skewed as the rows are."""
    parts = np.concatenate([statistic(each) for each in _left_out(plan.rows, plan.seed, plan.groups)])
    away = np.nanmean(parts) - parts[~np.isnan(parts)] if not np.isnan(parts).all() else np.zeros(1)
    spread = float((away**2).sum())
    return float((away**3).sum() / (6 * spread**1.5)) if spread > 1e-30 else 0.0


def difference(one: Statistic, other: Statistic) -> Statistic:
    """Return what one statistic is more than the other, row for row the same draws."""
    return lambda weights: one(weights) - other(weights)


def independent(one: Estimate, other: Estimate, seed: int) -> Estimate:
    """Return how much one figure is more than another of other rows, whose chances have nothing in common."""
    draws = np.random.default_rng(seed).permutation(one.draws)[: len(other.draws)]
    return Estimate(one.figure - other.figure, np.sort(draws - other.draws[: len(draws)]))


def holm(levels: Sequence[float]) -> list[float]:
    """Return p-values adjusted for how many they are, in their order. Source: Holm 1979."""
    adjusted, worst = [1.0] * len(levels), 0.0
    for rank, place in enumerate(np.argsort(levels, kind="stable")):
        worst = max(worst, min(1.0, (len(levels) - rank) * levels[place]))
        adjusted[place] = worst
    return adjusted
