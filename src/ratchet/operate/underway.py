"""What people do with a rollout that is under way: pause, resume and abort it; and what it shows.

Nothing here needs a model or MLflow, whose import alone takes seconds: traffic comes off a challenger before that.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ratchet.adapters import captured, database, rollouts
from ratchet.adapters.rollouts import ABORTED, PAUSED, PROMOTING, RUNNING, WAITING, Rollout, Step
from ratchet.core import history
from ratchet.core import rollout as terms_of
from ratchet.core.rollout import Judged
from ratchet.core.verdict import ABORT
from ratchet.errors import RatchetError, ServerError
from ratchet.operate.looking import entries_of, moment, who
from ratchet.settings import Settings
from ratchet.stages import PRODUCTION

if TYPE_CHECKING:
    import sqlalchemy

TRIES = 20  # against a controller that looks at the same time


class HalfMovedError(RatchetError):
    """Whether a version is in Production is known only once a move that was killed is mended."""


def pause(settings: Settings, task: str, why: str) -> Rollout:
    """Keep the share as it is: no step is made, an abort is."""

    def values(found: Rollout) -> dict[str, Any]:
        if found.state == PAUSED:
            raise RatchetError(f"{task}: rollout {found.id} is paused already; nothing was changed")
        return {"state": PAUSED}

    return _by_hand(settings, task, "pause", why, values)


def resume(settings: Settings, task: str, why: str) -> Rollout:
    """Go on with one that was paused."""

    def values(found: Rollout) -> dict[str, Any]:
        if found.state != PAUSED:
            raise RatchetError(f"{task}: rollout {found.id} is {found.state}, not paused; nothing was changed")
        if not found.share_since:
            raise RatchetError(f"{task}: rollout {found.id} has not begun: `ratchet rollout start -c FILE` goes on")
        return {"state": RUNNING}

    return _by_hand(settings, task, "resume", why, values)


def abort(settings: Settings, task: str, why: str) -> Rollout:
    """Take all traffic from the challenger; it stays in Staging."""
    if not why.strip():
        raise RatchetError("abort: give a reason with --comment; it is what remains of the decision")
    return _by_hand(settings, task, "abort", why, lambda _: {
        "state": ABORTED, "percent": 0.0, "verdict": ABORT, "reasons": (why,)})  # fmt: skip


def _by_hand(
    settings: Settings, task: str, action: str, why: str, values: Callable[[Rollout], dict[str, Any]]
) -> Rollout:
    engine = captured.engine(settings)

    def unmoved(found: Rollout) -> dict[str, Any]:
        if found.state in (WAITING, PROMOTING):  # whoever promotes changes it before anything is moved
            _require_unmoved(engine, found)
        return values(found)

    try:
        found = under_way(engine, task)
        step = Step("", action, 0, why, who())
        if found.state != PROMOTING:
            return changed(engine, found, unmoved, step)
        with database.lock(settings, f"promote-{task}"):  # until the move is made; nobody else then makes one
            found = under_way(engine, task)
            return changed(engine, found, unmoved, step, is_locked=True)
    except ServerError as error:
        if "permission denied" not in str(error):
            raise
        raise RatchetError(
            f"{task}: your role in RATCHET_DATABASE_URL may not change a rollout; ask somebody with ratchet_promoter"
        ) from None
    finally:
        engine.dispose()


def _require_unmoved(engine: "sqlalchemy.Engine", found: Rollout) -> None:
    """Raise RatchetError if the challenger is in Production by the ledger, HalfMovedError if that is not known."""
    entries = entries_of(engine, found.task)
    if history.stages(entries).get(found.challenger) == PRODUCTION:
        raise RatchetError(
            f"{found.task}: too late: version {found.challenger} is in Production; nothing was changed; go back with"
            " `ratchet rollback -c FILE`"
        )
    moves = [half.change for half in history.unfinished(entries)]
    if any((move.version, move.to_stage) == (found.challenger, PRODUCTION) for move in moves):
        raise HalfMovedError(
            f"{found.task}: the move of version {found.challenger} to Production was begun and not ended; nothing was"
            " changed; a promoter's `ratchet rollout abort` first ends it, or declares it void"
        )


def under_way(engine: "sqlalchemy.Engine", task: str) -> Rollout:
    """Return the rollout of a task that is under way.

    Raises RatchetError that says how the last one ended, if there is none.
    """
    found = rollouts.open_of(engine, task)
    if found is None:
        last = rollouts.newest(engine, task)
        past = f"; the last one, {last.id}, is {last.state}: {'; '.join(last.reasons)}" if last else ""
        raise RatchetError(f"{task}: no rollout is under way{past}")
    return found


def changed(
    engine: "sqlalchemy.Engine", found: Rollout, values: Callable[[Rollout], dict[str, Any]], step: Step,
    is_locked: bool = False,
) -> Rollout:  # fmt: skip
    """Change a rollout, also where a controller changes it at the same time; never one that is being promoted."""
    for _ in range(TRIES):
        if found.state == PROMOTING and not is_locked:
            raise RatchetError(
                f"{found.task}: version {found.challenger} is being promoted at this moment; look with `ratchet rollout"
                " status -c FILE`, go back with `ratchet rollback -c FILE`"
            )
        given, now = values(found), moment(datetime.now(UTC))
        made = Step(now, step.action, given.get("percent", found.percent), step.why, step.by)
        if after := rollouts.changed(engine, found, {**given, "updated_at": now}, made):
            return after
        found = under_way(engine, found.task)
    raise RatchetError(f"{found.task}: rollout {found.id} is changed by others all the time; try again")


def shown(settings: Settings, task: str, at_most: int = 500) -> dict[str, Any] | None:
    """Return what the page and `status` show of the newest rollout; None if there was none. at_most: looks."""
    engine = captured.engine(settings)
    try:
        found = rollouts.newest(engine, task)
        if found is None:
            return None
        looks, steps = rollouts.looks(engine, found.id), rollouts.steps(engine, found.id)
    finally:
        engine.dispose()
    terms = terms_of.thaw(found.terms)
    judged = Judged.from_json(found.judged, terms)
    every = max(1, -(-len(looks) // at_most))
    thinned = [look for n, look in enumerate(looks) if (len(looks) - 1 - n) % every == 0]
    return {
        "rollout": found.id, "state": found.state, "percent": found.percent, "percents": list(terms.percents),
        "challenger": found.challenger, "champion": found.champion, "metric": terms.measure.name,
        "margin": terms.rollout.margin, "shadow": terms.rollout.shadow, "verdict": found.verdict,
        "reasons": list(found.reasons), "started_at": found.started_at, "share_since": found.share_since,
        "by": found.by, "corrected": judged.corrected, "heard_at": judged.heard_at,
        "looks": [{"at": each.at, "rows": [each.champion_rows, each.challenger_rows], "difference": each.difference,
                   "low": each.low, "high": each.high, "percent": each.percent} for each in thinned],
        "arms": terms_of.arms_of(judged, terms),
        "steps": [_step(step) for step in steps],
    }  # fmt: skip


def _step(step: Step) -> Mapping[str, Any]:
    return {name: getattr(step, name) for name in ("at", "action", "percent", "why", "by", "entry")}
