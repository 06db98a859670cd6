"""Whether a challenger answers at all, in time, and like the champion: what can be judged without any outcome.

All tests hold at every look. Errors are losses of 0 and 1 in two streams (core/sequential.py). For the time of an
answer, each answer of the challenger is held against the median of an odd number of the champion's answers before it
that were not used yet: if its times are those of the champion times the allowed ratio, or shorter, it is the slower of
the two at most half of the time, whatever the times' distribution (the rank of one among equals is uniform).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ratchet.core import betting, sequential
from ratchet.core.sequential import CHALLENGER, CHAMPION, Mean, Streams

BESIDE = 9  # of the champion's answers, at the most, that one of the challenger's is held against
SMALLEST_ERROR, SMALLEST_SLOW = 0.01, 0.2  # differences that stakes begin at
MORE_MISSING = 0.1  # of the outcomes: a challenger that lacks so many more is not comparable
SAME = 1e-9


def has_failed(status: int, answers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a call is an error of the model: a 5xx, no answer, or an answer with a missing or a NaN field."""
    if status >= 500:
        return True
    return status < 400 and (not answers or any(_is_missing(value) for answer in answers for value in answer.values()))


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


@dataclass(frozen=True)
class Pace:
    """Times of answers held against each other. pending: the champion's last ones, in ms, that were not used yet.

    slow, fast: how many of the challenger's answers took longer than allowed, and how many did not; ratio: allowed.
    """

    ratio: float
    pending: tuple[float, ...] = ()
    slow: int = 0
    fast: int = 0


def pace(before: Pace, latencies_ms: Sequence[float], arms: Sequence[str]) -> Pace:
    """Return what is known after more answers, in their order; NaN, such as of a call that failed, does not count.

    A call that was given up as too slow counts with the time it was given.
    """
    pending, slow, fast = list(before.pending), before.slow, before.fast
    for latency_ms, arm in zip(latencies_ms, arms, strict=True):
        if math.isnan(latency_ms):
            continue
        if arm == CHAMPION:
            pending = [*pending, float(latency_ms)][-BESIDE:]
        elif arm == CHALLENGER and pending:
            odd = pending[-(len(pending) - (len(pending) + 1) % 2) :]
            longer = latency_ms > before.ratio * sorted(odd)[len(odd) // 2] * (1 + SAME)
            slow, fast, pending = slow + longer, fast + (not longer), []
    return replace(before, pending=tuple(pending), slow=int(slow), fast=int(fast))


@dataclass(frozen=True)
class Finding:
    """What a test of the challenger's health says. figure, beside: of challenger and champion; bound: what is allowed.

    surely: log wealth against "within the bound"; from log(1 / alpha) on it is surely beyond. rows: of the challenger.
    """

    figure: float
    beside: float
    bound: float
    surely: float
    rows: int

    def beyond(self, alpha: float) -> bool:
        """Whether the bound is surely passed."""
        return self.surely >= math.log(1 / alpha)


def errors(calls: Streams, max_more: float) -> Finding:
    """Return whether the challenger's share of failed calls is beyond the champion's by more than `max_more`.

    calls: loss 1 for a call that failed, 0 for one that did not.
    """
    return _more(calls, max_more, max(max_more, SMALLEST_ERROR))


def missing(awaited: Streams) -> Finding:
    """Return whether the challenger's rows lack their outcome by far more often than the champion's.

    awaited: loss 1 for a row without an outcome yet, 0 for one with. Rows turn from one to the other, so this is a
    snapshot and holds at each look by itself; it only ever makes a rollout wait.
    """
    return _more(awaited, MORE_MISSING, MORE_MISSING)


def _more(streams: Streams, bound: float, smallest: float) -> Finding:
    surely = sequential.evidence_above(streams, bound, smallest)
    return Finding(streams.mean(CHALLENGER), streams.mean(CHAMPION), bound, surely, streams.rows(CHALLENGER))


def slower(times: Pace) -> Finding:
    """Return whether the challenger is slower than allowed beside the champion more than half of the time."""
    rows = times.slow + times.fast
    seen = np.array([times.fast, times.slow], dtype=float)
    surely = float(betting.one_mean(np.array([0.0, 1.0]), seen, np.array([0.5]), SMALLEST_SLOW)[0])
    return Finding(times.slow / rows if rows else math.nan, math.nan, 0.5, surely, rows)


def shares(counts: Mapping[str, Mapping[str, int]], alpha: float) -> dict[str, dict[str, Mean]]:
    """Return the share of each decision by arm with its confidence sequence, decision -> arm -> share.

    counts: arm -> decision -> how often it was made.
    """
    decisions = sorted({decision for of in counts.values() for decision in of})
    found: dict[str, dict[str, Mean]] = {}
    for decision in decisions:
        found[decision] = {}
        for arm, of in counts.items():
            made, rows = of.get(decision, 0), sum(of.values())
            streams = Streams(((0.0, arm, 0.0, rows - made), (0.0, arm, 1.0, made)))
            found[decision][arm] = sequential.mean(streams, arm, MORE_MISSING, alpha)
    return found
