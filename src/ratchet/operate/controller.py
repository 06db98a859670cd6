"""The loop that looks at a task's rollout and does what its verdicts say, in a thread beside whatever else runs.

It imports neither MLflow nor a model: what needs them (a promotion, entries of the ledger, the curve) is done by
commands in processes of their own, and only where our role may append to the ledger.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters import captured, rollouts, schema
from ratchet.adapters.rollouts import ENDED, PROMOTING, WAITING, Rollout
from ratchet.core import rollout as terms_of
from ratchet.core.verdict import ADVANCE
from ratchet.errors import RatchetError
from ratchet.operate.deciding import LATER
from ratchet.operate.looking import Looker
from ratchet.serving.routes import Trial
from ratchet.settings import Settings
from ratchet.taskfile import load

if TYPE_CHECKING:
    import sqlalchemy

LOOK_S = 2.0
AGAIN_S, LONGEST_S = 30.0, 900.0  # until a command that failed is tried again, and twice as long each time
PROMOTION_S = 1_800.0  # how long one may take
UNANSWERED_S = 120.0  # after which another controller's attempt is taken for dead; two at once do no harm
TRYING = "its promotion is under way"
NOT_OURS = "our role may not append to the ledger: `ratchet rollout promote -c FILE`, or `watch`, by a promoter"


class Controller:
    """Looks every so often. start, stop: of the thread; trial, entity: for whoever routes; problem: why it cannot look.

    tell: hears what people ought to know, in one line, from the thread; silence: as of `Looker`.
    """

    def __init__(
        self, config: str | Path, settings: Settings, tell: Callable[[str], None] = lambda text: None,
        look_s: float = LOOK_S,
    ) -> None:  # fmt: skip
        self.config, self.settings, self.tell, self.look_s = Path(config).absolute(), settings, tell, look_s
        self.task = load(config).name
        self.problem = ""
        self.silence: Callable[[int], str | None] = lambda number: None
        self.last: Rollout | None = None
        self._told: tuple[int, str, float] | None = None
        self._engine: sqlalchemy.Engine | None = None
        self._looker: Looker | None = None
        self._may_append: bool | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._again_at, self._failures = 0.0, 0
        self._trying_since: float | None = None
        self._known: Rollout | None = None
        self._opening = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="rollout", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; a promotion that is under way in its process comes to its own end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._engine is not None:
            self._engine.dispose()

    def trial(self) -> tuple[int, Trial] | None:
        """Return the challenger and its share, None without a rollout; the last known while the database is away."""
        try:
            self._known = rollouts.open_of(self.engine(), self.task)
        except RatchetError as error:
            self.problem = str(error)
        found = self._known
        if found is None or not found.share_since or (found.percent <= 0 and not _is_shadow(found)):
            return None
        return found.challenger, Trial(found.id, found.salt, found.percent, _is_shadow(found))

    def entity(self) -> str | None:
        """Return the column that names the entity in the rollout of the last `trial`: as frozen, not as in the file."""
        return terms_of.thaw(self._known.terms).entity if self._known else None

    def engine(self) -> "sqlalchemy.Engine":
        """Return the engine of the database.

        Raises ServerError while it is away.
        """
        with self._opening:
            if self._engine is None:
                self._engine = captured.engine(self.settings)
            return self._engine

    def _look_on(self) -> None:
        while not self._stop.is_set():
            behind = False
            try:
                self.look()
                behind = bool(self._looker and self._looker.is_behind)
                self.problem = ""
            except RatchetError as error:  # nothing was changed: it holds
                if not self.problem:
                    self.tell(f"rollout: held, {error}")
                self.problem = str(error)
            except Exception as error:  # noqa: BLE001  whoever answers requests goes on
                said = f"{type(error).__name__}: {error}"
                if self.problem != said:
                    self.tell(f"rollout: held, {said}")
                self.problem = said
            self._stop.wait(self.look_s / 10 if behind else self.look_s)

    def look(self) -> Rollout | None:
        """Look once, and begin what is to be done by commands; return the rollout, None where none is under way."""
        if self._looker is None:
            self._looker = Looker(self.settings, self.engine(), self.task, silence=self.silence)
        found = self._looker.look()
        self._say(found)
        self.last = found
        if self._child and self._child.poll() is not None:
            self._ended(self._child)
        elif self._child and time.monotonic() - self._began > PROMOTION_S:
            self._child.kill()  # what it left is mended by the next one
        if self._child is None and time.monotonic() >= self._again_at:
            self._begin(found, self._looker)
        return found

    def _say(self, found: Rollout | None) -> None:
        if found is None and self._told and self._told[1] not in ENDED:  # somebody ended it by hand
            found = rollouts.newest(self.engine(), self.task)
        if found is None or not found.share_since:  # its start is not on the ledger yet
            return
        was, self._told = self._told, (found.id, found.state, found.percent)
        if was != self._told:
            self.tell(f"rollout {found.id}: {found.state} at {found.percent:g} %: {'; '.join(found.reasons)}")

    def _begin(self, found: Rollout | None, looker: Looker) -> None:
        """Begin a promotion, or the entries of the ledger that are owed."""
        if found and (_is_due(found, looker) or self._is_unanswered(found)):
            if not self.may_append():
                if found.reasons == (LATER,):
                    rollouts.changed(self.engine(), found, {"reasons": (f"{LATER}; {NOT_OURS}",)})
                return
            seen = {"ledger_seen": rollouts.ledger_head(self.engine(), self.task), "reasons": (TRYING,)}
            if rollouts.changed(self.engine(), found, seen) or found.state == PROMOTING:
                self._run("promote")
        elif rollouts.is_owed(self.engine(), self.task) and self.may_append():
            self._run("settle")

    def _is_unanswered(self, found: Rollout) -> bool:
        """Whether whoever began a promotion has said nothing of it for long; ours is no longer running."""
        if found.state != WAITING or found.reasons != (TRYING,):
            self._trying_since = None
            return False
        self._trying_since = self._trying_since or time.monotonic()
        return time.monotonic() - self._trying_since >= UNANSWERED_S

    def may_append(self) -> bool:
        """Whether our role may append to the ledger; asked once."""
        if self._may_append is None:
            self._may_append = schema.state(self.settings).may_promote
        return self._may_append

    def _run(self, word: str) -> None:
        words = [sys.executable, "-m", "ratchet", "rollout", word, "-c", str(self.config), "--json"]
        log = self.settings.home / f"rollout-{self.task}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        env = {name: value for name, value in os.environ.items() if name != "MLFLOW_RUN_ID"}
        with log.with_suffix(".json").open("wb") as out, log.open("wb") as err:
            self._child = subprocess.Popen(words, stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                                           env=env)  # fmt: skip
        with contextlib.suppress(OSError):  # it gives way to whoever answers requests
            os.setpriority(os.PRIO_PROCESS, self._child.pid, 10)
        self._word, self._began, self._out = word, time.monotonic(), log.with_suffix(".json")

    def _ended(self, child: "subprocess.Popen[bytes]") -> None:
        self._child = None
        if child.returncode == 0:
            self._failures = 0
            return
        said = _json(self._out)
        fault = str(said.get("error", f"`ratchet rollout {self._word}` ended with {child.returncode}"))
        self.tell(f"rollout {self._word}: {fault}")
        is_refusal = "gates" in said  # which waits for the ledger to change, and not for the clock
        if not is_refusal:
            self._failures += 1
            self._again_at = time.monotonic() + min(AGAIN_S * 2 ** (self._failures - 1), LONGEST_S)
        found = rollouts.open_of(self.engine(), self.task)
        if self._word == "promote" and found and found.state == WAITING:
            values: dict[str, Any] = {"reasons": (fault,)} | ({} if is_refusal else {"ledger_seen": -1})
            rollouts.changed(self.engine(), found, values)


def _is_due(found: Rollout, looker: Looker) -> bool:
    """Whether its promotion is to be tried: for the first time, or since the ledger has changed."""
    if found.state == PROMOTING:
        return looker.is_half_moved
    return found.state == WAITING and found.verdict == ADVANCE and looker.ledger.head != found.ledger_seen


def _is_shadow(found: Rollout) -> bool:
    return terms_of.thaw(found.terms).rollout.shadow


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def watch(config: str, settings: Settings, tell: Callable[[str], None], look_s: float = LOOK_S) -> Rollout:
    """Look until the rollout has ended and all of it is on the ledger; return it.

    Raises RatchetError if there is none, or its state cannot be told at all.
    """
    controller = Controller(config, settings, tell, look_s)
    engine = controller.engine()
    found = rollouts.newest(engine, controller.task)
    if found is None:
        raise RatchetError(f"{controller.task}: there is no rollout; `ratchet rollout start -c FILE` begins one")
    controller.start()
    try:
        while found.state not in ENDED or (controller.may_append() and rollouts.is_owed(engine, controller.task)):
            time.sleep(look_s / 4)
            found = rollouts.newest(engine, controller.task) or found
    finally:
        controller.stop()
    return replace(found)
