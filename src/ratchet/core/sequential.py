"""What is known of two arms at any time: bounds of each mean loss and of their difference, valid at every look at once.

Rows are kept as counts: how often each loss was seen at each share of the traffic, by arm. So a look costs the same
after a hundred rows and after a million, the order of rows does not matter, and a corrected outcome is taken back.
Each share is its own comparison, with a champion's mean of its own, and their evidence is multiplied: a world that
moves while the share grows would otherwise look like a difference of the arms (Simpson 1951).
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ratchet.core import betting
from ratchet.core.betting import Tally

CHAMPION, CHALLENGER = "champion", "challenger"
NEAR = 1e-4  # how exactly bounds are looked for; always to the wide side


@dataclass(frozen=True)
class Streams:
    """What was seen. seen: (percent of the challenger, arm, loss in [0, 1], how many rows), sorted; JSON-ready."""

    seen: tuple[tuple[float, str, float, int], ...] = ()

    def rows(self, arm: str) -> int:
        """Return how many rows of an arm count."""
        return sum(times for _, of, _, times in self.seen if of == arm)

    def rows_at(self, arm: str, percent: float) -> int:
        """Return how many of them there are at a share."""
        return sum(times for share, of, _, times in self.seen if of == arm and share == percent)

    def mean(self, arm: str) -> float:
        """Return an arm's mean loss; NaN without a row."""
        total = sum(loss * times for _, of, loss, times in self.seen if of == arm)
        return total / self.rows(arm) if self.rows(arm) else math.nan

    def as_json(self) -> list[list[float | str | int]]:
        """Return the same as lists."""
        return [list(entry) for entry in self.seen]

    @staticmethod
    def from_json(entries: Sequence[Sequence[float | str | int]]) -> "Streams":
        """Return what `as_json` told."""
        return Streams(tuple((float(p), str(arm), float(loss), int(times)) for p, arm, loss, times in entries))


NOTHING = Streams()


def add(
    streams: Streams,
    losses: np.ndarray,
    arms: Sequence[str],
    percents: float | Sequence[float],
    times: int = 1,
) -> Streams:
    """Return the streams with more rows; those without a loss (NaN) do not count.

    losses, arms: (n,); percents: the challenger's share when each row was answered, or one for all. times: -1 takes
    rows back, such as those whose outcome was corrected. Raises ValueError for a loss outside [0, 1], or for more rows
    taken back than were there.
    """
    shares = np.broadcast_to(np.asarray(percents, dtype=float), (len(losses),)).tolist()
    given = zip(shares, arms, np.asarray(losses, dtype=float).tolist(), strict=True)
    more = Counter(entry for entry in given if not math.isnan(entry[2]))
    counts = Counter({(percent, arm, loss): n for percent, arm, loss, n in streams.seen})
    for entry, n in more.items():
        if not 0 <= entry[2] <= 1 or entry[1] not in (CHAMPION, CHALLENGER):
            raise ValueError(f"loss {entry[2]:g} of {entry[1]}: losses are 0 to 1, of champion or challenger")
        counts[entry] += n * times
        if counts[entry] < 0:
            raise ValueError(f"loss {entry[2]:g} of {entry[1]} at {entry[0]:g} %: taken back more often than seen")
    return Streams(tuple(sorted((*entry, n) for entry, n in counts.items() if n)))


@dataclass(frozen=True)
class Mean:
    """An arm's mean loss with the bounds of a confidence sequence at level 1 - alpha; NaN without a row.

    variance: of single losses.
    """

    rows: int
    mean: float
    low: float
    high: float
    variance: float


@dataclass(frozen=True)
class Look:
    """What is known at one look, on the scale of losses, 0 to 1.

    difference: challenger's mean loss less the champion's, weighed over the shares; low, high: bounds, each of which is
    ever wrong with probability alpha. worse, harmless: log wealth against "the challenger is not worse" and against "it
    is worse by the margin or more"; it is sure at level alpha from log(1 / alpha) on.
    """

    champion: Mean
    challenger: Mean
    difference: float
    low: float
    high: float
    worse: float
    harmless: float
    margin: float
    alpha: float


def look(streams: Streams, margin: float, alpha: float, ends: tuple[float, float] | None = None) -> Look:
    """Return what is known now. margin: on the scale of losses; alpha: of each bound.

    ends: the bounds of the difference, where those of a moment ago will do; finding them is most of the work.
    """
    strata = _strata(streams)

    def above(difference: float) -> float:
        return _evidence(strata, difference, margin)

    def below(difference: float) -> float:
        return _evidence([each.flipped() for each in strata], -difference, margin)

    middle, enough = _difference(strata), math.log(1 / alpha)
    known = not math.isnan(middle)
    if ends is None:
        ends = (_end(above, middle, -1.0, enough), _end(below, middle, 1.0, enough)) if known else (-1.0, 1.0)
    return Look(
        mean(streams, CHAMPION, margin, alpha),
        mean(streams, CHALLENGER, margin, alpha),
        middle,
        *ends,
        above(0.0),
        below(margin),
        margin,
        alpha,
    )


def evidence_above(streams: Streams, above: float, smallest: float) -> float:
    """Return the log wealth against `challenger's mean - champion's mean <= above`; log(1 / alpha) is enough."""
    return _evidence(_strata(streams), above, smallest)


def mean(streams: Streams, arm: str, smallest: float, alpha: float) -> Mean:
    """Return an arm's mean loss with both bounds: hedged, half of the wealth on either side (s. 4.3 of the paper)."""
    counts: Counter[float] = Counter()
    for _, of, loss, times in streams.seen:
        if of == arm:
            counts[loss] += times
    rows = sum(counts.values())
    if not rows:
        return Mean(0, math.nan, math.nan, math.nan, math.nan)
    values, seen = np.array(sorted(counts)), np.array([counts[value] for value in sorted(counts)], dtype=float)
    middle, enough = float(values @ seen / rows), math.log(2 / alpha)
    low = _end(lambda m: _one(values, seen, m, smallest), middle, 0.0, enough)
    high = _end(lambda m: _one(1 - values, seen, 1 - m, smallest), middle, 1.0, enough)
    return Mean(rows, middle, low, high, float((values - middle) ** 2 @ seen / rows))


def _one(values: np.ndarray, seen: np.ndarray, at: float, smallest: float) -> float:
    return float(betting.one_mean(values, seen, np.array([at]), smallest)[0])


def _strata(streams: Streams) -> list[Tally]:
    """Return the shares at which both arms answer."""
    found = []
    for percent in sorted({entry[0] for entry in streams.seen if 0 < entry[0] < 100}):
        here = [entry for entry in streams.seen if entry[0] == percent]
        values = sorted({entry[2] for entry in here})
        counts = {arm: np.zeros((1, len(values))) for arm in (CHAMPION, CHALLENGER)}
        for _, arm, loss, times in here:
            counts[arm][0, values.index(loss)] = times
        found.append(Tally(percent / (100 - percent), np.array(values), counts[CHAMPION], counts[CHALLENGER]))
    return found


def _evidence(strata: Sequence[Tally], above: float, smallest: float) -> float:
    return sum(float(betting.evidence(each, above, smallest)[0]) for each in strata)


def _difference(strata: Sequence[Tally]) -> float:
    """Return the mean difference over shares where both arms have rows, each weighed by what it tells; NaN if none."""
    total, weight = 0.0, 0.0
    for each in strata:
        arms = (each.champion, each.challenger)
        rows = [float(seen.sum()) for seen in arms]
        if min(rows) > 0:
            means = [float((seen @ each.values)[0]) / n for seen, n in zip(arms, rows, strict=True)]
            tells = 1 / (1 / rows[0] + 1 / rows[1])
            total, weight = total + tells * (means[1] - means[0]), weight + tells
    return total / weight if weight else math.nan


def _end(against: Callable[[float], float], inside: float, limit: float, enough: float) -> float:
    """Return the bound between a value and the limit of the scale: from there on there is enough against it."""
    if against(limit) < enough:
        return limit
    out, within = limit, inside
    while abs(out - within) > NEAR:
        half = (out + within) / 2
        out, within = (half, within) if against(half) >= enough else (out, half)
    return out
