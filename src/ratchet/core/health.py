"""Whether a challenger answers at all, in time, and like the champion: what can be judged without any outcome.

All tests hold at every look. Errors are losses of 0 and 1 in two streams (core/sequential.py). For the time of an
answer, each answer of the challenger is held against the median of an odd number of the champion's answers before it
that were not used yet: if its times are those of the champion times the allowed ratio, or shorter, it is the slower of
the two at most half of the time, whatever the times' distribution (the rank of one among equals is uniform).

A challenger may be well for days and then break, so each test runs twice: on all calls since the start with half of the
level, and anew on every few hundred calls with the other half, of which the k-th window gets 1 / (k (k + 1)).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ratchet.core import betting, sequential
from ratchet.core.sequential import CHALLENGER, CHAMPION, NOTHING, Mean, Streams

BESIDE = 9  # of the champion's answers, at the most, that one of the challenger's is held against
SMALLEST_ERROR, SMALLEST_SLOW = 0.01, 0.2  # differences that stakes begin at
MORE_MISSING = 0.1  # of the outcomes: a challenger that lacks so many more is not comparable
SAME = 1e-9
WINDOW, PACE_WINDOW = 500, 100  # calls of the challenger, of the two tests, after which they begin anew


def has_failed(status: int, answers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a call is an error of the model: a 5xx, no answer, or an answer with a missing or a NaN field."""
    if status >= 500:
        return True
    return status < 400 and (not answers or any(_is_missing(value) for answer in answers for value in answer.values()))


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


@dataclass(frozen=True)
class Calls:
    """Calls that failed (loss 1) and that did not (0).

    whole: since the start; recent: of the present window; last: of the one before; window: the present one's number.
    """

    whole: Streams = NOTHING
    recent: Streams = NOTHING
    last: Streams = NOTHING
    window: int = 1


NO_CALLS = Calls()


def calls(before: Calls, failed: Sequence[bool], arms: Sequence[str], percents: float | Sequence[float]) -> Calls:
    """Return the calls with more of them, in their order. percents: the challenger's share at each, or at all."""
    failures = np.asarray(failed, dtype=float)
    shares = np.broadcast_to(np.asarray(percents, dtype=float), failures.shape)
    everything = sequential.add(before.whole, failures, arms, shares.tolist())
    nth = before.recent.rows(CHALLENGER) + np.cumsum(np.array(arms) == CHALLENGER)
    # A call that comes when the window is full opens the next one.
    place = np.concatenate([[before.recent.rows(CHALLENGER)], nth[:-1]])[: len(failures)] // WINDOW
    recent, last, window = before.recent, before.last, before.window
    for full in np.unique(place).tolist():
        here = np.flatnonzero(place == full).tolist()
        if before.window + full > window:
            recent, last, window = NOTHING, recent, before.window + full
        recent = sequential.add(recent, failures[here], [arms[at] for at in here], shares[here].tolist())
    return Calls(everything, recent, last, window)


@dataclass(frozen=True)
class Pace:
    """Times of answers held against each other. pending: the champion's last ones, in ms, that were not used yet.

    whole, recent: how many of the challenger's answers took (longer than allowed, not longer), since the start and in
    the window; last: in the window before; window: the present one's number; ratio: what is allowed.
    """

    ratio: float
    pending: tuple[float, ...] = ()
    whole: tuple[int, int] = (0, 0)
    recent: tuple[int, int] = (0, 0)
    last: tuple[int, int] = (0, 0)
    window: int = 1


def pace(before: Pace, latencies_ms: Sequence[float], arms: Sequence[str]) -> Pace:
    """Return what is known after more answers, in their order; NaN, such as of a call that failed, does not count.

    A call that was given up as too slow counts with the time it was given.
    """
    pending, (slow, fast), recent, window = list(before.pending), before.whole, before.recent, before.window
    last = before.last
    for latency_ms, arm in zip(latencies_ms, arms, strict=True):
        if math.isnan(latency_ms):
            continue
        if arm == CHAMPION:
            pending = [*pending, float(latency_ms)][-BESIDE:]
        elif arm == CHALLENGER and pending:
            longer = int(latency_ms > before.ratio * _middle(pending) * (1 + SAME))
            slow, fast, pending = slow + longer, fast + 1 - longer, []
            if sum(recent) >= PACE_WINDOW:
                recent, last, window = (0, 0), recent, window + 1
            recent = (recent[0] + longer, recent[1] + 1 - longer)
    return Pace(before.ratio, tuple(pending), (slow, fast), recent, last, window)


def _middle(times: Sequence[float]) -> float:
    """Return the median of the last ones, as many as make an odd number."""
    odd = sorted(times[-(len(times) - (len(times) + 1) % 2) :])
    return odd[len(odd) // 2]


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


def errors(made: Calls, max_more: float) -> Finding:
    """Return whether the challenger's share of failed calls is beyond the champion's by more than `max_more`."""
    smallest = max(max_more, SMALLEST_ERROR)
    found = [_more(streams, max_more, smallest) for streams in (made.whole, made.recent, made.last)]
    return _strongest(found, made.window)


def _strongest(found: Sequence[Finding], window: int) -> Finding:
    """Return the finding of all calls, or of a window where that tells more, at its part of the level.

    found: of all calls, of the present window, and of the one before, which a look may have missed the end of.
    """
    whole, *recent = found
    parts = [math.log(2 * number * (number + 1)) for number in (window, max(window - 1, 1))]
    judged = [replace(each, surely=each.surely - part) for each, part in zip(recent, parts, strict=True)]
    best = max([replace(whole, surely=whole.surely - math.log(2)), *judged], key=lambda each: each.surely)
    return best if best.surely > 0 else replace(whole, surely=best.surely)


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
    found = [_slower(*counts) for counts in (times.whole, times.recent, times.last)]
    return _strongest(found, times.window)


def _slower(slow: int, fast: int) -> Finding:
    seen = np.array([fast, slow], dtype=float)
    surely = float(betting.one_mean(np.array([0.0, 1.0]), seen, np.array([0.5]), SMALLEST_SLOW)[0])
    return Finding(slow / (slow + fast) if slow + fast else math.nan, math.nan, 0.5, surely, slow + fast)


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
