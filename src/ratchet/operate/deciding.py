"""What is done on a verdict: which step a rollout makes, and what changes by it."""

from datetime import datetime, timedelta
from typing import Any

from ratchet.adapters.rollouts import ABORTED, DONE, PAUSED, RUNNING, WAITING, Rollout
from ratchet.core.rollout import Judged, Terms
from ratchet.core.sequential import CHALLENGER, CHAMPION
from ratchet.core.verdict import ABORT, ADVANCE, HOLD, Verdict

LATER = "waits for its promotion"


def seconds(since: str, now: datetime) -> float:
    """Return how long ago a written moment was."""
    return (now - datetime.fromisoformat(since)).total_seconds()


def decided(found: Rollout, terms: Terms, judged: Judged, said: Verdict, now: datetime) -> tuple[str, dict[str, Any]]:
    """Return what is done, by the word of its step (empty: nothing), and what changes by it."""
    if said.verdict == ABORT:
        return "abort", {"state": ABORTED, "percent": 0.0}
    if found.state == PAUSED or said.silence:
        return "", {}
    if terms.rollout.shadow:
        return _of_shadow(found, terms, judged, now)
    if said.verdict != ADVANCE or found.state != RUNNING:
        return "", {}
    here, needed = judged.seen.outcomes.rows_at(CHALLENGER, found.percent), terms.rollout.minimum_rows
    if here < needed:  # what earlier shares have told is not enough for this one
        return "", {"verdict": HOLD, "reasons": (f"{here:,} of {needed:,} rows with an outcome at this share",)}
    after = terms.after(found.percent)
    if after is None:
        return "", {"state": WAITING, "reasons": (LATER,)}
    return "step", {"percent": after}


def share_begins(newest: str, now: datetime) -> datetime:
    """Return when a new share begins: after all that was counted at the one before, also what came during the look."""
    return max(now, datetime.fromisoformat(newest) + timedelta(microseconds=1)) if newest else now


def _of_shadow(found: Rollout, terms: Terms, judged: Judged, now: datetime) -> tuple[str, dict[str, Any]]:
    """A shadow that has been well for long enough has said all that it can say."""
    rows = min(judged.seen.calls.whole.rows(arm) for arm in (CHAMPION, CHALLENGER))
    if rows < terms.rollout.minimum_rows or seconds(found.share_since, now) < terms.rollout.bake_s:
        return "", {}
    same, pairs = judged.agreed
    agrees = f"it answers {same / pairs:.1%} of {pairs:,} rows like the champion" if pairs else "no row was compared"
    return "done", {"state": DONE, "reasons": (f"{rows:,} calls of the shadow without a fault; {agrees}",)}
