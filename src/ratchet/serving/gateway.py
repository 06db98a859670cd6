"""The versions that answer, and the way of a request through them."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import aiohttp

from ratchet.config import Task
from ratchet.errors import RatchetError
from ratchet.serving import bodies
from ratchet.serving.arms import GONE, Arms, Reply, Request, rows_of
from ratchet.serving.fallback import Rule
from ratchet.serving.meters import Meters
from ratchet.serving.oddities import InputCheck
from ratchet.serving.problems import Problem
from ratchet.serving.routes import Backend, Recorder, Routes, Signature, Withdrawn
from ratchet.serving.rows import Asked, Reader
from ratchet.serving.upstream import HOLD_S, Upstream

log = logging.getLogger("ratchet.gateway")
LARGE = 64 * 1024  # bytes of a body from which on it is read beside the event loop
READERS = 2  # at a time, as each takes many times its body in memory
RETRY_S = 2
WITHDRAWN_RETRY_S = 60  # for people to decide what comes next


class Gateway:
    """What answers. `route` and `busy` are for any thread, all else belongs to the event loop."""

    def __init__(self, task: Task, recorder: Recorder, meters: Meters) -> None:
        self.task, self.meters = task, meters
        self.entity = task.rollout.key or task.data.id
        self.arms = Arms(task, recorder, meters)
        self.routes, self.readers = Routes(), dict[int, Reader]()
        self.rule: Rule | None = None  # what answers in the place of a version that was withdrawn
        self._changed, self._on_the_way = asyncio.Event(), Counter[int]()
        # Its own threads: those that wait for a database that is away must not hold up who is to be answered.
        self._reading = ThreadPoolExecutor(READERS, "reader")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: aiohttp.ClientSession | None = None
        self._lock = threading.Lock()
        meters.gauge("ratchet_champion_version", "The version that answers; 0: none.", self._champion_number)

    def _champion_number(self) -> float:
        return self.routes.champion.version if self.routes.champion else 0

    @property
    def described(self) -> Backend | None:
        """The version by which callers know what to send: the one that answers, else the last one that did."""
        withdrawn = self.routes.withdrawn
        return self.routes.champion or (withdrawn.last if withdrawn else None)

    @property
    def absence(self) -> Problem:
        """What callers are told where no model answers."""
        withdrawn = self.routes.withdrawn
        return (
            Problem(503, withdrawn.sentence, retry_s=WITHDRAWN_RETRY_S)
            if withdrawn
            else Problem(503, GONE, retry_s=RETRY_S)
        )

    async def begin(self) -> None:
        """Open what needs the running event loop."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(connector=connector)
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._take(self.routes)

    async def end(self) -> None:
        """Let go of it."""
        self.arms.forget_copies()
        with self._lock:
            self._loop = None
        self._reading.shutdown(wait=False, cancel_futures=True)
        if self._session:
            await self._session.close()

    def route(self, routes: Routes) -> None:
        """From now on these answer; whoever is on the way is answered by who was there when it came."""
        with self._lock:
            if self._loop is None:
                self.routes = routes
            else:
                self._loop.call_soon_threadsafe(self._take, routes)

    def entity_is(self, column: str | None) -> None:
        """From now on that column names the entity."""
        with self._lock:
            if column != self.entity:
                self.entity = column
                if self._loop:  # where the routes are read: others may be on their way there
                    self._loop.call_soon_threadsafe(lambda: self._take(self.routes))

    def busy(self, version: int) -> int:
        """How many requests may still be asked of a version, are queued or on their way there."""
        upstream = self.arms.upstreams.get(version)
        return self._on_the_way[version] + (upstream.busy if upstream else 0)

    def _take(self, routes: Routes) -> None:
        assert self._session
        both = [backend for backend in (routes.champion, routes.challenger) if backend]
        named = frozenset(name for backend in both for name in backend.signature.inputs)
        self.rule = self._rule_instead_of(routes.withdrawn)
        self.readers = {
            b.version: Reader(_knowing(b.signature, named), self.entity, InputCheck(b.signature, self.task.features))
            for b in [*both, *([self.rule.backend] if self.rule else [])]
        }
        upstreams = self.arms.upstreams
        for backend in both:
            if known := upstreams.get(backend.version):
                known.replace(backend)
            else:
                upstreams[backend.version] = Upstream(backend, self._session, self.task.serving.max_rows)
            upstreams[backend.version].hold_s = HOLD_S if backend is routes.champion else 0.0
        for version in list(upstreams):  # one that drains stays until it is idle
            if version not in self.readers and not self.busy(version):
                del upstreams[version]
        self.routes = routes
        self._changed.set()
        self._changed = asyncio.Event()

    def _rule_instead_of(self, withdrawn: Withdrawn | None) -> Rule | None:
        if withdrawn == self.routes.withdrawn and self.rule:
            return self.rule
        try:
            return Rule.of(self.task, withdrawn) if withdrawn else None
        except RatchetError as error:
            log.error("%s; callers get a 503", error)
            return None

    async def answer(
        self, kind: str, body: bytes, request_id: str, is_gone: Callable[[], bool], tells: bool = False
    ) -> Reply:
        """Answer a body. kind: its Content-Type; is_gone: whether the caller has left; tells: of odd cells too.

        Raises Problem.
        """
        began, at = time.perf_counter(), time.time()
        if self.routes.champion is None:
            await self._held()
        routes, champion = self.routes, self.routes.champion
        tells = tells or self.task.serving.warnings
        if champion is None and self.rule:
            asked = await self._read(kind, body, self.rule.backend)
            return self.arms.by_rule(self.rule, Request(asked, request_id, at, began, is_gone, tells))
        if champion is None:
            raise self.absence
        versions = [backend.version for backend in (champion, routes.challenger) if backend]
        self._on_the_way.update(versions)
        try:
            asked = await self._read(kind, body, champion)
            request = Request(asked, request_id, at, began, is_gone, tells)
            return await self._answered(routes, champion, request, partial(self._read, kind, body))
        finally:
            self._on_the_way.subtract(versions)

    async def _answered(
        self, routes: Routes, champion: Backend, request: Request, read: Callable[[Backend], Awaitable[Asked]]
    ) -> Reply:
        trial, challenger = routes.trial, routes.challenger
        if trial is None or challenger is None or challenger.version == champion.version:
            return await self.arms.champion(champion, request)
        if not trial.shadow and not rows_of(trial, request):
            return await self.arms.champion(champion, request, trial)
        try:
            same = challenger.signature.inputs == champion.signature.inputs
            as_they_read = request if same else replace(request, asked=await read(challenger))
        except Problem as problem:
            self.arms.refused(champion, challenger, request, trial, problem)
            return await self.arms.champion(champion, request, trial)
        if trial.shadow:
            self.arms.copy(challenger, as_they_read, trial)
            return await self.arms.champion(champion, request, trial)
        return await self.arms.both(champion, challenger, request, as_they_read, trial)

    @property
    def _may_come_back(self) -> bool:
        return bool(self.arms.upstreams) and self.routes.champion is None and self.routes.withdrawn is None

    async def _held(self) -> None:
        """Wait a moment for a champion, if there was one before."""
        loop = asyncio.get_running_loop()
        until = loop.time() + HOLD_S
        while self._may_come_back and (left_s := until - loop.time()) > 0:
            try:
                await asyncio.wait_for(self._changed.wait(), left_s)
            except TimeoutError:
                return

    async def _read(self, kind: str, body: bytes, backend: Backend) -> Asked:
        reader = self.readers.get(backend.version) or Reader(backend.signature, self.entity)
        if len(body) < LARGE:
            return _asked(kind, body, reader)
        return await asyncio.get_running_loop().run_in_executor(self._reading, _asked, kind, body, reader)


def _asked(kind: str, body: bytes, reader: Reader) -> Asked:
    return reader.odd(bodies.read(kind, body, reader))


def _knowing(signature: Signature, names: frozenset[str]) -> Signature:
    """The signature, with what the other arm reads known too."""
    return replace(signature, known=(signature.known | names) - signature.inputs.keys())
