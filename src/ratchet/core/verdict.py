"""Whether a rollout goes on to the next share, waits, or ends: `advance`, `hold` or `abort`, with the reasons.

Two claims are tested, each at level alpha and at every look: "the challenger is not worse" (an abort refutes it) and
"it is worse by the margin or more" (a step refutes it). At most one of them is true of a challenger, so no level is
shared between them. What may abort is shared: most of alpha for outcomes, a part each for errors and for time.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ratchet.config import Rollout
from ratchet.core import health, sequential
from ratchet.core.gates import rounded_up
from ratchet.core.health import NO_CALLS, Calls, Finding, Pace
from ratchet.core.losses import SAID, Measure
from ratchet.core.sequential import CHALLENGER, CHAMPION, NOTHING, Look, Streams

ADVANCE, HOLD, ABORT = "advance", "hold", "abort"
OF_OUTCOMES, OF_ERRORS, OF_TIME = 0.8, 0.1, 0.1  # of alpha, for a wrong abort
OVERHEAD = 1.5  # about what it costs not to know the difference beforehand, in log wealth


@dataclass(frozen=True)
class Seen:
    """All that a rollout is judged by, by share and arm since it began.

    outcomes: losses; calls: which failed; pace: how long they took; awaited: 1 for a row without an outcome, 0 for one
    with, a snapshot of each look.
    """

    pace: Pace
    outcomes: Streams = NOTHING
    calls: Calls = NO_CALLS
    awaited: Streams = NOTHING

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        calls, pace = self.calls, self.pace
        return {
            "outcomes": self.outcomes.as_json(),
            "awaited": self.awaited.as_json(),
            "calls": [*(each.as_json() for each in (calls.whole, calls.recent, calls.last)), calls.window],
            "pace": [pace.ratio, list(pace.pending), *map(list, (pace.whole, pace.recent, pace.last)), pace.window],
        }

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> "Seen":
        """Return what `as_json` told."""
        *made, window = found["calls"]
        ever, now, before = (Streams.from_json(each) for each in made)
        ratio, pending, *counts, at = found["pace"]
        whole, recent, last = ((slow, fast) for slow, fast in counts)
        return Seen(
            Pace(ratio, tuple(pending), whole, recent, last, at),
            Streams.from_json(found["outcomes"]),
            Calls(ever, now, before, window),
            Streams.from_json(found["awaited"]),
        )


@dataclass(frozen=True)
class Verdict:
    """What is to be done, why, and what it rests on.

    more_rows: about how many more rows with an outcome, of both arms, would tell; None where they would not help.
    silence: why the challenger does not answer at all; empty if it does.
    """

    verdict: str
    reasons: tuple[str, ...]
    look: Look
    errors: Finding
    slower: Finding
    missing: Finding
    more_rows: int | None = None
    silence: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values; what is not known is None."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def judge(
    terms: Rollout, measure: Measure, seen: Seen, at_share_s: float, since_outcome_s: float | None,
    ends: tuple[float, float] | None = None,
) -> Verdict:  # fmt: skip
    """Return the verdict on a challenger.

    terms: frozen at the start; at_share_s: seconds since the present share began; since_outcome_s: seconds since the
    last outcome came in, None before the first; ends: as of `sequential.look`, they are only told.
    """
    found = Verdict(
        HOLD,
        (),
        sequential.look(seen.outcomes, measure.scaled(terms.margin), terms.alpha, ends),
        health.errors(seen.calls, terms.max_error_share),
        health.slower(seen.pace),
        health.missing(seen.awaited),
    )
    against = [*_unwell(terms, found), *_worse(terms, measure, found.look)]
    if against:
        return replace(found, verdict=ABORT, reasons=tuple(against))
    waits = _waits(terms, measure, found, at_share_s, since_outcome_s)
    if waits:
        more = _more_rows(terms, found.look)
        told = (f"about {more:,} more rows with an outcome would tell",) if more else ()
        return replace(found, reasons=(*waits, *told), more_rows=more)
    return replace(found, verdict=ADVANCE, reasons=(_said(terms, measure, found.look, "is not worse by the margin"),))


def silenced(found: Verdict, silence: str) -> Verdict:
    """Return a verdict that holds, unless it aborts, where the challenger does not answer at all, with the reason."""
    if not silence or found.verdict == ABORT:
        return found
    waits = found.reasons if found.verdict == HOLD else ()
    return replace(found, verdict=HOLD, reasons=(silence, *waits), silence=silence)


def _unwell(terms: Rollout, found: Verdict) -> list[str]:
    """Return what is surely wrong with the challenger's answers."""
    said = []
    if found.errors.beyond(terms.alpha * OF_ERRORS):
        said.append(
            f"model errors {found.errors.figure:.1%} of {found.errors.rows:,} calls, the champion's"
            f" {found.errors.beside:.1%}; {terms.max_error_share:.1%} more is allowed"
        )
    if found.slower.beyond(terms.alpha * OF_TIME):
        said.append(
            f"{found.slower.figure:.0%} of {found.slower.rows:,} answers took more than {terms.max_latency_ratio:g}"
            " times the champion's; half is allowed"
        )
    return said


def _is_harmless(terms: Rollout, look: Look) -> bool:
    return look.harmless >= math.log(1 / terms.alpha)


def _worse(terms: Rollout, measure: Measure, look: Look) -> list[str]:
    """Return that the challenger is surely worse, unless it is as surely worse by less than the margin."""
    sure = look.worse >= math.log(1 / (terms.alpha * OF_OUTCOMES)) and not _is_harmless(terms, look)
    return [_said(terms, measure, look, "is surely worse")] if sure else []


def _waits(
    terms: Rollout, measure: Measure, found: Verdict, at_share_s: float, since_outcome_s: float | None
) -> list[str]:
    """Return what a step waits for; empty if for nothing."""
    look, said = found.look, []
    if since_outcome_s is None:
        said.append("no outcome yet")
    elif since_outcome_s > terms.silence_s:
        said.append(f"no outcome for {since_outcome_s:,.0f} s; {terms.silence_s:,.0f} s is the longest silence")
    for name, arm in ((CHAMPION, look.champion), (CHALLENGER, look.challenger)):
        if arm.rows < terms.minimum_rows:
            said.append(f"{arm.rows:,} of {terms.minimum_rows:,} rows with an outcome of the {name}")
    if at_share_s < terms.bake_s:
        said.append(f"{at_share_s:,.0f} of {terms.bake_s:,.0f} s at this share")
    if found.errors.figure - found.errors.beside > terms.max_error_share:
        said.append(f"model errors {found.errors.figure:.1%}, the champion's {found.errors.beside:.1%}, not surely so")
    if found.slower.figure > found.slower.bound:
        said.append(f"{found.slower.figure:.0%} of the answers took too long, not surely so")
    if found.missing.beyond(terms.alpha):
        said.append(
            f"outcomes are missing for {found.missing.figure:.0%} of the challenger's rows, for"
            f" {found.missing.beside:.0%} of the champion's: what is known is not comparable"
        )
    if not _is_harmless(terms, look) and not math.isnan(look.difference):
        said.append(_said(terms, measure, look, "is neither surely worse nor surely within the margin"))
    return said


def _said(terms: Rollout, measure: Measure, look: Look, what: str) -> str:
    """Return the comparison as a sentence, in the metric's unit."""
    unit = measure.largest
    means = [measure.shown(arm.mean) for arm in (look.challenger, look.champion)]
    return (
        f"{SAID[measure.name]}: {means[0]:.4g}, the champion's {means[1]:.4g}; worse by {look.difference * unit:.4g}"
        f" [{look.low * unit:.4g}, {look.high * unit:.4g}] {what} (margin {terms.margin:g})"
    )


def _more_rows(terms: Rollout, look: Look) -> int | None:
    """Return about how many more rows until either claim is refuted, if all stays as it is; None if never."""
    rows = look.champion.rows + look.challenger.rows
    if math.isnan(look.difference) or not min(look.champion.rows, look.challenger.rows):
        return None
    spread = sum(
        max(arm.variance, 1 / (4 * arm.rows + 4)) * rows / arm.rows for arm in (look.champion, look.challenger)
    )
    gaps = {
        look.margin - look.difference: math.log(1 / terms.alpha),
        look.difference: math.log(1 / (terms.alpha * OF_OUTCOMES)),
    }
    needed = [2 * spread * (enough + OVERHEAD) / gap**2 for gap, enough in gaps.items() if gap > 0]
    if not needed or _is_harmless(terms, look):
        return None
    return rounded_up(max(min(needed) - rows, 1))
