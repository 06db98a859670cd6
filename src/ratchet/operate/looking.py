"""One look at a rollout: what has come since the last, what it says, and what is therefore done.

All that is known lies in the database, and each look changes it in one transaction that names the state it had read:
whoever looks may die at any statement, and of two who look at once one does it.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ratchet.adapters import arrivals, captured, database, process, rollouts
from ratchet.adapters.joined import Place
from ratchet.adapters.rollouts import ABORTED, DONE, PROMOTING, WAITING, Looked, Rollout, Step
from ratchet.core import history, rollout, verdict
from ratchet.core.ledger import Entry
from ratchet.core.rollout import Judged, Terms
from ratchet.core.verdict import ABORT, ADVANCE, HOLD, Verdict
from ratchet.errors import Away
from ratchet.operate import counting
from ratchet.operate.counting import Shares
from ratchet.operate.deciding import LATER, decided, seconds, share_begins
from ratchet.settings import Settings
from ratchet.stages import PRODUCTION, STAGING

if TYPE_CHECKING:
    import sqlalchemy

BATCHES, REST_S = 20, 0.002  # at one look, and between two of them, for whoever waits for the interpreter
IDLE_S = 5.0  # where nothing has come, only the clock may change a verdict
KEPT_S = 10.0  # looks are kept for the curve at most so often
AT_ONCE_S = 0.05
SILENCE_S = 30.0  # for so long what a gateway said of it holds for others


def moment(at: datetime) -> str:
    """Return a time as the tables have it."""
    return captured.written(at)


def who() -> str:
    """Return who changes a rollout, as its history says it."""
    return process.user() or "somebody"


def entries_of(engine: "sqlalchemy.Engine", task: str) -> list[Entry]:
    """Return a task's ledger."""
    return [Entry.from_flat(row) for row in rollouts.ledger_rows(engine, task)]


@dataclass(frozen=True)
class Ledger:
    """A task's ledger when it was read: its newest entry, who is in which stage, whether a move is half made."""

    head: int = -1
    stages: Mapping[int, str] = field(default_factory=dict)
    is_half_moved: bool = False


@dataclass
class Looker:
    """Who looks at the rollout of a task, again and again.

    is_behind: more has come than was read; is_half_moved: a promotion was killed in the middle of its move;
    silence: why a version does not answer, empty if it does, None where nobody here knows.
    """

    settings: Settings
    engine: "sqlalchemy.Engine"
    task: str
    is_behind: bool = False
    judged_at: float = -math.inf
    ends: tuple[float, float] = (-1.0, 1.0)
    ends_at: float = -math.inf
    ends_of: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    is_half_moved: bool = False
    silence: Callable[[int], str | None] = lambda number: None

    def look(self, now: datetime | None = None) -> Rollout | None:
        """Look once; return the rollout as it is then, None where none is under way.

        Raises Away or ServerError where the database cannot be asked: nothing is changed then.
        """
        found = rollouts.open_of(self.engine, self.task)
        if found is None or not found.share_since:  # the second one's start is not on the ledger yet
            return found
        now = now or datetime.now(UTC)
        if ended := self._ended_elsewhere(found, now):
            return ended
        if found.state == PROMOTING:
            return self._left_behind(found)
        terms = rollout.thaw(found.terms)
        judged, has_come = self._known(found, terms)
        if not has_come and time.monotonic() - self.judged_at < IDLE_S:
            return found
        found, silence = self._heard(found, now)
        said = verdict.silenced(self._said(found, terms, judged, now), silence)
        return self._acted(found, terms, judged, said, now)

    def _heard(self, found: Rollout, now: datetime) -> tuple[Rollout, str]:
        """Return the rollout with what is known here of its challenger's silence, and that which holds for now.

        Who knows, a gateway, puts it on record for those who do not, such as `ratchet rollout watch`.
        """
        known = self.silence(found.challenger)
        if known is not None:
            return replace(found, silence=known, silence_at=moment(now)), known
        return found, found.silence if found.silence and seconds(found.silence_at, now) < SILENCE_S else ""

    def _said(self, found: Rollout, terms: Terms, judged: Judged, now: datetime) -> Verdict:
        """Return the verdict; the bounds that it tells are found anew from time to time, and for each step."""
        heard_s = seconds(judged.heard_at, now) if judged.heard_at else None
        judge = partial(verdict.judge, terms.rollout, terms.measure, judged.seen, seconds(found.share_since, now),
                        heard_s)  # fmt: skip
        self.judged_at = time.monotonic()
        if self.judged_at - self.ends_at < KEPT_S and self.ends_of == found.id:
            said = judge(self.ends)
            if not decided(found, terms, judged, said, now)[0]:
                return said
        said = judge()
        self.ends, self.ends_at, self.ends_of = (said.look.low, said.look.high), self.judged_at, found.id
        return said

    def _ended_elsewhere(self, found: Rollout, now: datetime) -> Rollout | None:
        """End a rollout whose versions were moved, by the ledger; return it then."""
        head = rollouts.ledger_head(self.engine, self.task)
        if head != self.ledger.head:
            entries = entries_of(self.engine, self.task)
            self.ledger = Ledger(head, history.stages(entries), bool(history.unfinished(entries)))
        stages, values = self.ledger.stages, dict[str, Any]()
        champion = next((number for number, stage in stages.items() if stage == PRODUCTION), None)
        if champion == found.challenger:
            why = f"version {champion} is in Production"
            values = {"state": DONE, "reasons": (why,)}
        elif champion is None:
            why = f"version {found.champion} is in Production no more, and no other version is"
        elif champion != found.champion:
            why = f"version {champion} came to Production in place of version {found.champion}"
        elif stages.get(found.challenger) != STAGING:
            why = f"version {found.challenger} is in Staging no more"
        else:
            return None
        values = values or {"state": ABORTED, "percent": 0.0, "verdict": ABORT, "reasons": (why,)}
        action = "done" if values["state"] == DONE else "abort"
        step = Step(moment(now), action, values.get("percent", found.percent), why, who())
        return rollouts.changed(self.engine, found, {**values, "updated_at": moment(now)}, step)

    def _left_behind(self, found: Rollout) -> Rollout:
        """Have a promotion tried again whose process is gone: nobody holds the lock of the model any more.

        One that had begun to move is completed by the next command that holds the lock, so it stays.
        """
        try:
            with database.lock(self.settings, f"promote-{self.task}", AT_ONCE_S):
                if rollouts.ledger_head(self.engine, self.task) != self.ledger.head:
                    return found  # it has come to an end meanwhile, which the next look sees
                self.is_half_moved = self.ledger.is_half_moved
                values = {"state": WAITING, "ledger_seen": -1}
                return found if self.is_half_moved else rollouts.changed(self.engine, found, values) or found
        except Away:
            return found

    def _known(self, found: Rollout, terms: Terms) -> tuple[Judged, bool]:
        """Return what is known with all that has come, and whether anything has."""
        judged = Judged.from_json(found.judged, terms)
        began = Shares.of(self.engine, found, terms)
        has_come, self.is_behind = False, True
        for _ in range(BATCHES):
            place = Place(*judged.place)
            came = arrivals.since(self.engine, self.task, found.id, place, terms.rollout.shadow)
            if came.to == place:
                self.is_behind = False
                break
            has_come = True
            judged = counting.counted(judged, terms, came, began)
            time.sleep(REST_S)
        return judged, has_come

    def _acted(self, found: Rollout, terms: Terms, judged: Judged, said: Verdict, now: datetime) -> Rollout:
        """Put on record what is known and do what it says."""
        values: dict[str, Any] = {"judged": judged.as_json(), "verdict": said.verdict, "updated_at": moment(now),
                                  "reasons": said.reasons, "silence": found.silence,
                                  "silence_at": found.silence_at}  # fmt: skip
        did, more = decided(found, terms, judged, said, now)
        values |= more
        at = moment(share_begins(judged.newest, now) if did == "step" else now)
        if did == "step":
            values["share_since"] = at
        if found.state == WAITING and not did and said.verdict == ADVANCE:  # on what it waits stays to be read
            values["reasons"] = found.reasons if found.verdict == ADVANCE else (LATER,)
        if found.state == WAITING and said.verdict == HOLD:  # what it waited for is no longer told: it is tried again
            values["ledger_seen"] = -1
        step = Step(at, did, values.get("percent", found.percent), "; ".join(said.reasons), who())
        after = rollouts.changed(self.engine, found, values, step if did else None,
                                 self._kept(found, terms, judged, said, now, bool(did)))  # fmt: skip
        return after or found

    def _kept(
        self, found: Rollout, terms: Terms, judged: Judged, said: Verdict, now: datetime, is_due: bool
    ) -> Looked | None:
        """Return the look, if it is one to keep: they grow rarer with time, and each step is one."""
        last = rollouts.last_look(self.engine, found.id)
        look, unit = said.look, terms.measure.largest
        rows = (look.champion.rows, look.challenger.rows)
        if (
            not is_due
            and last
            and (
                rows == (last.champion_rows, last.challenger_rows)
                or seconds(last.at, now) < rollout.interval_s(seconds(found.started_at, now), KEPT_S)
            )
        ):
            return None
        known = not math.isnan(look.difference)
        middle, low, high = ((each * unit if known else None) for each in (look.difference, look.low, look.high))
        return Looked(moment(now), found.percent, *rows, middle, low, high, said.verdict)
