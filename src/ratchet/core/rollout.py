"""A rollout as plain values: the terms that were frozen at its start, and what is known of it so far."""

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ratchet.config import Cost, Kind, Rollout, Task
from ratchet.core import health, sequential
from ratchet.core.health import Pace
from ratchet.core.losses import Measure, losses, measure_of
from ratchet.core.sequential import CHALLENGER, CHAMPION
from ratchet.core.verdict import Seen
from ratchet.errors import ConfigError

SHADOW = "shadow"
SHADOW_SHARE = 50.0  # both arms are asked the same rows: one row of either for one of the other
MOST_DECISIONS = 100  # of which the share of each is told


@dataclass(frozen=True)
class Terms:
    """By what a rollout is judged. entity: the column that names who stays with an arm, None: the request."""

    rollout: Rollout
    measure: Measure
    entity: str | None

    @property
    def percents(self) -> tuple[float, ...]:
        """The shares, one after the other; a shadow has none."""
        return (0.0,) if self.rollout.shadow else tuple(map(float, self.rollout.percents))

    def after(self, percent: float) -> float | None:
        """Return the share that comes after one; None after the last."""
        return next((each for each in self.percents if each > percent), None)


def freeze(task: Task, kind: Kind, classes: Sequence[Any]) -> str:
    """Return the terms of a task as JSON. classes: of the model, for binary (negative, positive).

    Raises ConfigError if the task's metric does not fit, or no share leaves anything to compare with.
    """
    if not task.rollout.shadow and len(task.rollout.percents) == 1:
        raise ConfigError("rollout.percents: 100 alone leaves nobody to compare with; begin lower, as [5, 20, 100]")
    measure_of(task.rollout, kind, classes, task.decision.cost)
    said = {
        "rollout": task.rollout.model_dump(mode="json"), "cost": task.decision.cost.model_dump(), "kind": kind,
        "classes": list(classes), "entity": task.rollout.key or task.data.id,
    }  # fmt: skip
    return json.dumps(said, sort_keys=True, ensure_ascii=False)


def thaw(terms: str) -> Terms:
    """Return what `freeze` wrote."""
    said = json.loads(terms)
    rollout = Rollout.model_validate(said["rollout"])
    measure = measure_of(rollout, said["kind"], said["classes"], Cost(**said["cost"]))
    return Terms(rollout, measure, said["entity"])


def digest(terms: str) -> str:
    """Return the sha256 that stands for the terms on the ledger."""
    return hashlib.sha256(terms.encode()).hexdigest()


@dataclass(frozen=True)
class Answered:
    """Rows with what is known of each: the share and the arm of each, what was answered and came true (None: not yet).

    former: what was known of it before; is_new: whether it was not there before.
    """

    percents: Sequence[float]
    arms: Sequence[str]
    answers: Sequence[Mapping[str, Any] | None]
    labels: Sequence[Any]
    former: Sequence[Any]
    is_new: Sequence[bool]


@dataclass(frozen=True)
class Judged:
    """What is known. place: the numbers of the last request and outcome in it; made: arm -> decision -> how often.

    times: arm -> (calls, ms in all); corrected: outcomes that were known otherwise before; agreed: (pairs of champion
    and shadow that answer alike, pairs); heard_at: when the last outcome came, empty before the first;
    newest: when the newest request in it came.
    """

    seen: Seen
    place: tuple[int, int] = (0, 0)
    made: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    times: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    corrected: int = 0
    agreed: tuple[int, int] = (0, 0)
    heard_at: str = ""
    newest: str = ""

    def as_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(vars(self) | {"seen": self.seen.as_json()}, ensure_ascii=False)

    @staticmethod
    def from_json(text: str, terms: Terms) -> "Judged":
        """Return what `as_json` wrote; nothing is known where nothing was written yet."""
        if not text:
            return Judged(Seen(Pace(terms.rollout.max_latency_ratio)))
        said = json.loads(text)
        pairs = {name: tuple(said[name]) for name in ("place", "agreed")}
        times = {arm: (n, total) for arm, (n, total) in said["times"].items()}
        return Judged(**said | pairs | {"seen": Seen.from_json(said["seen"]), "times": times})


def share_at(began: Sequence[str], percents: Sequence[float], at: str) -> float:
    """Return the share that held at a time. began: when each of the percents did, rising."""
    return percents[max(0, bisect_right(began, at) - 1)]


def with_calls(
    judged: Judged, failed: Sequence[bool], arms: Sequence[str], times_ms: Sequence[float], percents: Sequence[float]
) -> Judged:
    """Return it with more calls, in their order. times_ms: NaN where one tells nothing."""
    seen, times = judged.seen, dict(judged.times)
    for arm, time_ms in zip(arms, times_ms, strict=True):
        if not math.isnan(time_ms):
            count, total = times.get(arm, (0, 0.0))
            times[arm] = (count + 1, total + time_ms)
    pace = health.pace(seen.pace, times_ms, arms)
    return replace(judged, times=times, seen=replace(
        seen, pace=pace, calls=health.calls(seen.calls, failed, arms, percents)))  # fmt: skip


def with_rows(judged: Judged, terms: Terms, rows: Answered) -> Judged:
    """Return it with more rows, and with more outcomes of known ones; a corrected one is taken back first."""
    seen, measure = judged.seen, terms.measure
    called = [None if answer is None else answer.get("label", answer.get("value")) for answer in rows.answers]
    outcomes, awaited = seen.outcomes, seen.awaited
    told = np.array([label is not None for label in rows.labels], dtype=bool)
    was = np.array([label is not None for label in rows.former], dtype=bool)
    counts, fresh = np.array([answer is not None for answer in rows.answers], dtype=bool), np.array(rows.is_new, bool)
    for labels, times, here in ((rows.former, -1, was), (rows.labels, 1, told)):
        known = np.where(here, losses(measure, called, labels), np.nan)
        outcomes = sequential.add(outcomes, known, rows.arms, rows.percents, times)
    for is_known, times, here in ((was, -1, ~fresh), (told, 1, np.ones_like(fresh))):
        waits = np.where(counts & here, (~is_known).astype(float), np.nan)
        awaited = sequential.add(awaited, waits, rows.arms, rows.percents, times)
    made = {arm: dict(of) for arm, of in judged.made.items()}
    if measure.kind != "regression":
        for arm, label, is_new in zip(rows.arms, called, rows.is_new, strict=True):
            of = made.setdefault(arm, {})
            if is_new and label is not None and (str(label) in of or len(of) < MOST_DECISIONS):
                of[str(label)] = of.get(str(label), 0) + 1
    corrected = judged.corrected + int((told & was).sum())
    return replace(judged, made=made, corrected=corrected, seen=replace(seen, outcomes=outcomes, awaited=awaited))


def with_pairs(judged: Judged, terms: Terms, pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Judged:
    """Return it with more pairs of what champion and shadow answered to one row; values agree within the margin."""
    same, count = judged.agreed
    for one, other in pairs:
        if "value" in one and "value" in other:
            same += abs((one["value"] or 0) - (other["value"] or 0)) <= terms.rollout.margin
        else:
            same += one.get("label") == other.get("label")
    return replace(judged, agreed=(same, count + len(pairs)))


def arms_of(judged: Judged, terms: Terms) -> dict[str, dict[str, Any]]:
    """Return by arm: rows answered, rows with an outcome, the loss as the metric, the share of errors, the mean ms."""
    seen, found = judged.seen, {}
    for arm in (CHAMPION, CHALLENGER):
        outcomes, (calls, total_ms) = seen.outcomes, judged.times.get(arm, (0, 0.0))
        failed = seen.calls.whole.mean(arm)
        of = judged.made.get(arm, {})
        loss = outcomes.mean(arm)
        found[arm] = {
            "rows": seen.awaited.rows(arm), "outcomes": outcomes.rows(arm), "calls": seen.calls.whole.rows(arm),
            "loss": None if math.isnan(loss) else terms.measure.shown(loss),
            "errors": None if math.isnan(failed) else failed,
            "latency_ms": total_ms / calls if calls else None,
            "decisions": {label: n / sum(of.values()) for label, n in sorted(of.items())},
        }  # fmt: skip
    return found


def interval_s(elapsed_s: float, at_least_s: float) -> float:
    """Return how long after a look the next is kept: longer as the rollout grows old, so that they stay few."""
    return max(at_least_s, elapsed_s / 500)
