"""What has come of a rollout is counted: each call and each row at the share that held when it was answered."""

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from ratchet.adapters import rollouts
from ratchet.adapters.arrivals import Arrived
from ratchet.adapters.rollouts import Rollout
from ratchet.core import health, rollout
from ratchet.core.rollout import SHADOW, SHADOW_SHARE, Answered, Judged, Terms
from ratchet.core.sequential import CHALLENGER

if TYPE_CHECKING:
    import sqlalchemy


@dataclass(frozen=True)
class Shares:
    """Which share held when, from the steps of a rollout."""

    began: tuple[str, ...]
    percents: tuple[float, ...]
    is_shadow: bool

    @classmethod
    def of(cls, engine: "sqlalchemy.Engine", found: Rollout, terms: Terms) -> "Shares":
        """Return those of a rollout. A step is never before another that was made earlier, whatever a clock says."""
        steps = rollouts.steps(engine, found.id)
        began = accumulate((step.at for step in steps), max)
        return cls(tuple(began), tuple(step.percent for step in steps), terms.rollout.shadow)

    def at(self, when: str) -> float:
        """Return the challenger's share at a time; of a shadow it counts as half."""
        return SHADOW_SHARE if self.is_shadow else rollout.share_at(self.began, self.percents, when)

    def beside(self, when: str) -> float:
        """Return the share whose champion a call is held against: at 100 % there is none, so the one before."""
        here = self.at(when)
        return max((each for each in self.percents if each < 100), default=here) if here >= 100 else here


def counted(judged: Judged, terms: Terms, came: Arrived, shares: Shares) -> Judged:
    """Return what is known with what has come. A shadow is the challenger."""

    def arm(name: str) -> str:
        return CHALLENGER if name == SHADOW else name

    calls, rows = came.calls, came.rows
    failed = [health.has_failed(call.status, call.answers) for call in calls]
    times = [math.nan if call.latency_ms is None else call.latency_ms for call in calls]
    judged = rollout.with_calls(judged, failed, [arm(call.arm) for call in calls], times,
                                [shares.beside(call.at) for call in calls])  # fmt: skip
    judged = rollout.with_rows(judged, terms, Answered(
        [shares.at(row.at) for row in rows], [arm(row.arm) for row in rows], [row.answer for row in rows],
        [row.label for row in rows], [row.former for row in rows], [row.is_new for row in rows]))  # fmt: skip
    judged = rollout.with_pairs(judged, terms, came.pairs)
    heard = max((row.received_at for row in rows if row.received_at), default="")
    newest = max([judged.newest, *(call.at for call in calls), *(row.at for row in rows)])
    return replace(judged, place=(came.to.requests, came.to.outcomes), heard_at=max(judged.heard_at, heard),
                   newest=newest)  # fmt: skip
