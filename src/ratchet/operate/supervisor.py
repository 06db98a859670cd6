"""Keeps the right versions answering: follows the registry, starts what comes, lets go of what leaves once it is idle.

A version takes over only when a server of it has proven itself; until then, and where it never does, the last good
one goes on.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ratchet.adapters import registry, tracking
from ratchet.adapters.registry import Version
from ratchet.errors import Away, RatchetError, ServerError, told
from ratchet.operate.keeper import Keeper
from ratchet.operate.vacancy import VacancyWatch
from ratchet.serving.routes import Backend, Routes, Trial, Withdrawn
from ratchet.stages import PRODUCTION
from ratchet.steps.session import Session

POLL_S, LONGEST_S = 1.0, 30.0
IDLE_S = 1.0  # a version that was left counts as idle after this, so that who had chosen it has begun
STOP_S = 15.0


class Gateway(Protocol):
    """Who answers callers."""

    def route(self, routes: Routes) -> None:
        """From now on these answer."""
        ...

    def busy(self, version: int) -> int:
        """How many requests are queued or on their way at a version."""
        ...


@dataclass(frozen=True)
class Followed:
    """What is followed. trial: the challenger's number and its part of the traffic, None without a rollout."""

    stage: str = PRODUCTION
    trial: Callable[[], tuple[int, Trial] | None] = lambda: None
    poll_s: float = POLL_S


class Supervisor:
    """Starts and stops keepers and says who answers. keep: makes the keeper of a version; want: how many servers."""

    def __init__(
        self,
        session: Session,
        gateway: Gateway,
        keep: Callable[["Supervisor", Version], Keeper],
        want: Callable[[int, bool], int],
        followed: Followed = Followed(),
    ) -> None:
        self.session, self.gateway, self.followed = session, gateway, followed
        self.routes = Routes()
        self._keep, self._want = keep, want
        self._champion: Version | None = None
        self._withdrawn: Withdrawn | None = None  # until another version answers
        self._barred = set[int]()  # withdrawn versions, whose servers answer nobody while they are stopped
        self._watch = VacancyWatch(session)
        self._challenger: tuple[Version, Trial] | None = None
        self._trial: tuple[int, Trial] | None = None
        self._keepers, self._leaving = dict[int, Keeper](), list[Keeper]()
        self._left_at = dict[int, float]()
        self._lock, self._over, self._changed = threading.RLock(), threading.Event(), threading.Event()
        self._odd = ""
        self._threads = [threading.Thread(target=work, name=name, daemon=True)
                         for name, work in (("supervisor", self._follow), ("trial", self._heed))]  # fmt: skip

    def begin(self) -> None:
        """Look at the registry once, and follow it from now on.

        Raises RatchetError if no version is in the stage, and none was withdrawn from it.
        """
        try:
            self._champion = registry.behind(self.session.client, self.session.task.name, self.followed.stage)
        except RatchetError:
            if (withdrawn := self._vacancy()) is None:
                raise
            self._leave_empty(withdrawn)
        self._settle()
        for thread in self._threads:
            thread.start()

    def wait(self, limit_s: float) -> Routes:
        """Return who answers, as soon as somebody does or it is known that nobody is to, or after limit_s.

        Raises what keeps the first version from answering, unless it is that a server is away.
        """
        deadline = time.monotonic() + limit_s
        while not (self.routes.champion or self.routes.withdrawn) and time.monotonic() < deadline:
            with self._lock:
                keeper = self._keepers.get(self.champion or 0)
            if keeper and keeper.fault and not isinstance(keeper.fault, Away):
                fault = keeper.fault
                raise fault if isinstance(fault, RatchetError) else ServerError(told(fault) or repr(fault)) from fault
            self._changed.wait(0.1)
            self._changed.clear()
        return self.routes

    @property
    def champion(self) -> int | None:
        """The version that the registry wants."""
        return self._champion.number if self._champion else None

    def silence(self, number: int) -> str | None:
        """Why a challenger does not answer, in words; empty if it does, None while it is not known."""
        with self._lock:
            keeper = self._keepers.get(number)
        if keeper and keeper.fault:
            return f"the challenger does not answer: {told(keeper.fault) or repr(keeper.fault)}"
        return "" if keeper and keeper.backend else None

    def changed(self) -> None:
        """A server is up or has ended: say who answers, at once."""
        self._route()
        self._changed.set()

    def end(self) -> None:
        """Stop all servers; nobody is to ask them any more."""
        self._over.set()
        with self._lock:
            keepers = [*self._keepers.values(), *self._leaving]
        for keeper in keepers:
            keeper.stop()
        deadline = time.monotonic() + STOP_S
        for keeper in keepers:
            keeper.join(max(0.0, deadline - time.monotonic()))

    def _follow(self) -> None:
        pause_s = self.followed.poll_s
        while not self._over.wait(pause_s):
            try:
                odd = self._look()
                pause_s = self.followed.poll_s
            except Exception as error:  # noqa: BLE001  (whatever is wrong with it: the last good version goes on)
                odd = f"the registry cannot be followed: {told(error) or repr(error)}; version {self.champion} goes on"
                pause_s = min(max(pause_s, POLL_S) * 2, LONGEST_S)
            self._tell(odd)
            self._settle()

    def _heed(self) -> None:
        """Follow the share of the challenger, which is taken off at once also while the registry is away."""
        said = ""
        while not self._over.is_set():
            try:
                trial, odd = self.followed.trial(), ""
            except Exception as error:  # noqa: BLE001  (the last share goes on, as the last version does)
                trial, odd = self._trial, f"the rollout cannot be followed: {error!r}; its last share goes on"
            if odd and odd != said:
                self.session.progress.note(odd)
            said = odd
            with self._lock:
                self._trial = trial
                self._challenger = self._tried(self._challenger[0] if self._challenger else None)
            self._settle()
            self._over.wait(self.followed.poll_s)

    def _tried(self, known: Version | None) -> tuple[Version, Trial] | None:
        """The version with its share, if it is the one that is tried now."""
        return (known, self._trial[1]) if known and self._trial and known.number == self._trial[0] else None

    def _look(self) -> str:
        """See which versions are wanted; return what is odd about it, in words."""
        client, name = self.session.client, self.session.task.name
        with tracking.reachable(self.session.settings):
            champion = registry.holder(client, name, self.followed.stage)
            trial, known = self._trial, self._challenger[0] if self._challenger else None
            if trial and (known is None or known.number != trial[0]):
                known = registry.numbered(client, name, trial[0])
            withdrawn = None if champion else self._vacancy()
        with self._lock:
            self._challenger = self._tried(known)  # which may have ended meanwhile
            if champion and champion.number != self.champion:
                self.session.progress.note(f"version {champion.number} is in {self.followed.stage}: it is started")
            self._champion = champion or self._champion
            if withdrawn:
                self._leave_empty(withdrawn)
        is_odd = champion is None and withdrawn is None
        return f"no version is in {self.followed.stage}; version {self.champion} goes on" if is_odd else ""

    def _vacancy(self) -> Withdrawn | None:
        """Return the version by whose withdrawal the stage is empty; None if that is not why."""
        if self._withdrawn and self._champion is None:
            return self._withdrawn
        return self._watch.withdrawn(self.routes.champion) if self.followed.stage == PRODUCTION else None

    def _leave_empty(self, withdrawn: Withdrawn) -> None:
        """From now on no version answers, until one comes to Production."""
        if withdrawn != self._withdrawn:
            answer = "the task's rule answers" if self.session.task.serving.fallback else "callers get a 503"
            self.session.progress.note(f"version {withdrawn.version} was withdrawn at {withdrawn.at}: {answer}")
        self._champion, self._withdrawn = None, withdrawn
        self._barred.add(withdrawn.version)

    def _settle(self) -> None:
        """Keep what is wanted, say who answers, stop what has left and is idle."""
        with self._lock:
            if self._over.is_set():
                return
            for version in (self._champion, self._challenger[0] if self._challenger else None):
                if version:
                    keeper = self._keepers.get(version.number) or self._keep(self, version)
                    self._keepers[version.number] = keeper
                    keeper.want(self._want(version.number, version.number == self.champion))
        self._route()
        with self._lock:
            for number in [number for number in self._keepers if self._may_stop(number)]:
                keeper = self._keepers.pop(number)
                keeper.stop()
                self._leaving = [*(each for each in self._leaving if not each.is_gone), keeper]

    def _route(self) -> None:
        with self._lock:
            if self._over.is_set():
                return
            routes = self._routes()
            if routes == self.routes:
                return
            former, self.routes = self.routes, routes
            self.gateway.route(routes)
        if routes.champion and (not former.champion or former.champion.version != routes.champion.version):
            self.session.progress.note(f"version {routes.champion.version} answers")

    def _routes(self) -> Routes:
        """Who answers now: the champion or, while no server of it is up, whoever did before."""
        if self._withdrawn:
            if self.champion is None or self._backend(self.champion) is None:
                return Routes(withdrawn=self._withdrawn)
            self._withdrawn = None
        last = self.routes.champion.version if self.routes.champion else None
        order = [self.champion, last, *reversed(self._keepers)]
        may = [number for number in order if number and (number == self.champion or number not in self._barred)]
        up = [backend for number in may if (backend := self._backend(number))]
        champion = next((each for each in up if not self._is_challenger(each.version)), None)
        if champion is None or self._challenger is None or champion.version == self._challenger[0].number:
            return Routes(champion)
        challenger = self._backend(self._challenger[0].number)
        return Routes(champion, challenger, self._challenger[1]) if challenger else Routes(champion)

    def _is_challenger(self, number: int) -> bool:
        challenger = self._challenger[0].number if self._challenger else None
        return number != self.champion and number == challenger

    def _backend(self, number: int) -> Backend | None:
        keeper = self._keepers.get(number)
        return keeper.backend if keeper else None

    def _may_stop(self, number: int) -> bool:
        """Whether a version is neither wanted nor answering, and has no request left, or for too long a time."""
        routed = (self.routes.champion, self.routes.challenger)
        wanted = self.champion == number or self._is_challenger(number)
        if wanted or any(backend and backend.version == number for backend in routed):
            self._left_at.pop(number, None)
            return False
        since_s = time.monotonic() - self._left_at.setdefault(number, time.monotonic())
        limit_s = self.session.task.serving.timeout_s + 5
        return since_s > limit_s or (since_s > IDLE_S and not self.gateway.busy(number))

    def _tell(self, odd: str) -> None:
        """Tell what is odd about the registry once, and when it is over."""
        if odd != self._odd:
            self.session.progress.note(odd or "the registry is followed again")
        self._odd = odd
