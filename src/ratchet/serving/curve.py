"""A rollout's state as its page shows it, and its curve: the bounds of the arms' difference at each look."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NotRequired, TypedDict

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 26, 30  # around the plot
MOST_POINTS = 300


class Look(TypedDict):
    """What was known at one look. at: UTC, ISO 8601; rows: with an outcome, of champion and challenger.

    difference, low, high: the challenger's mean loss less the champion's and its bounds, in the metric's unit, so above
    0 it does worse; None while nothing is known. percent: the challenger's share.
    """

    at: str
    rows: Sequence[int]
    difference: float | None
    low: float | None
    high: float | None
    percent: float


class ArmState(TypedDict):
    """One arm so far. loss: mean, in the metric's unit; latency_ms: of a typical answer; None: not known."""

    rows: int
    outcomes: int
    loss: float | None
    errors: int
    latency_ms: float | None


class RolloutState(TypedDict):
    """A rollout. percent: the challenger's share now; reasons: sentences; looks: the oldest first."""

    rollout: int
    state: Literal["running", "paused", "done", "aborted", "waiting"]
    percent: float
    percents: Sequence[float]
    challenger: int
    champion: int
    metric: str
    margin: float
    verdict: Literal["advance", "hold", "abort"]
    reasons: Sequence[str]
    looks: Sequence[Look]
    arms: Mapping[str, ArmState]
    shadow: NotRequired[bool]


@dataclass(frozen=True)
class Curve:
    """The drawing, in the units of its view box. band, line: points; steps: (x, share) where the share grew."""

    band: str
    line: str
    ticks_y: Sequence[tuple[float, str]]
    ticks_x: Sequence[tuple[float, str]]
    zero: float
    margin: float
    steps: Sequence[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True)
class _Point:
    at: float
    difference: float
    low: float
    high: float
    percent: float


def drawn(looks: Sequence[Look], margin: float) -> Curve | None:
    """Return the curve of the looks at which something was known; None for less than two of them."""
    points = list(_known(looks))
    if len(points) < 2 or points[0].at == points[-1].at:
        return None
    low, high = _range(points, margin)
    begin, end = points[0].at, points[-1].at

    def x(at: float) -> float:
        return round(LEFT + (at - begin) / (end - begin) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(TOP + (high - min(max(value, low), high)) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    thin = _thinned(points)
    upper = [(x(point.at), y(point.high)) for point in thin]
    lower = [(x(point.at), y(point.low)) for point in reversed(thin)]
    values = _ticks(low, high)
    digits = max(0, -math.floor(math.log10(values[1] - values[0])))
    grown = [now for before, now in itertools.pairwise(points) if now.percent != before.percent]
    return Curve(
        _joined(upper + lower),
        _joined([(x(point.at), y(point.difference)) for point in thin]),
        [(y(value), f"{value:+.{digits}f}".replace("-", "−") if value else "0") for value in values],
        [(x(at), _time(at, end - begin)) for at in (begin + (end - begin) * part / 3 for part in range(4))],
        y(0),
        y(margin),
        [(x(point.at), f"{point.percent:g} %") for point in (points[0], *grown)],
    )


def _known(looks: Sequence[Look]) -> Iterator[_Point]:
    for look in looks:
        found = [look["difference"], look["low"], look["high"]]
        figures = [float(value) for value in found if value is not None and math.isfinite(value)]
        if len(figures) == 3:
            difference, low, high = figures
            yield _Point(datetime.fromisoformat(look["at"]).timestamp(), difference, low, high, look["percent"])


def _range(points: Sequence[_Point], margin: float) -> tuple[float, float]:
    """Return what the plot shows: the newer bounds in full, not the first ones, which are wide and would flatten it."""
    later = points[len(points) // 2 :]
    low = min(0.0, *(point.low for point in later), *(point.difference for point in later))
    high = max(margin, *(point.high for point in later), *(point.difference for point in later))
    around = 0.15 * (high - low)
    return low - around, high + around


def _thinned(points: Sequence[_Point]) -> list[_Point]:
    step = math.ceil(len(points) / MOST_POINTS)
    return [*points[:-1:step], points[-1]]


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round values between the bounds."""
    size = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = next(size * times for times in (5, 2, 1) if (high - low) / (size * times) >= 3)
    return [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _time(at: float, span_s: float) -> str:
    moment = datetime.fromtimestamp(at, tz=UTC)
    return f"{moment:%H:%M}" if span_s < 86_400 else f"{moment:%d %b}"
