"""Rows go to the arm of their entity; what the challenger fails, the champion answers, and it is held against it."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ratchet.config import Task
from ratchet.serving.fallback import Rule
from ratchet.serving.meters import Meters
from ratchet.serving.problems import Problem
from ratchet.serving.routes import Arm, Backend, Call, Recorder, Rows, Trial
from ratchet.serving.rows import Asked
from ratchet.serving.upstream import Answered, Faulty, NoModel, TooSlow, Upstream
from ratchet.serving.wire import dumped

MOST_COPIES = 64  # of requests that the challenger has not answered yet; further ones it does not get
log = logging.getLogger("ratchet.gateway")
GONE = "no model answers at the moment"
TOLD: Mapping[type[Exception], tuple[int, str, str]] = {
    Faulty: (500, "model", "the model failed on it; the fault is on record under the request's id"),
    NoModel: (503, "gone", GONE),
    TooSlow: (504, "slow", "the model took too long"),
}


@dataclass(frozen=True)
class Request:
    """A request that was read.

    at: when it came, seconds since 1970; began: the same by `time.perf_counter`; tells: whether the answer tells of odd
    cells.
    """

    asked: Asked
    id: str
    at: float
    began: float
    is_gone: Callable[[], bool]
    tells: bool = False


@dataclass(frozen=True)
class Reply:
    """What a caller gets: the body, which versions and arms answered, and how many rows."""

    body: bytes
    versions: str
    arms: str
    rows: int


@dataclass(frozen=True)
class _Side:
    """One version's part in a request. positions: which of its rows."""

    backend: Backend
    arm: Arm
    positions: Sequence[int]
    trial: Trial | None


class Arms:
    """The model servers by version, asked on behalf of either arm."""

    def __init__(self, task: Task, recorder: Recorder, meters: Meters) -> None:
        self.task, self.recorder, self.meters = task, recorder, meters
        self.upstreams = dict[int, Upstream]()
        self._copies = set[asyncio.Task[None]]()

    async def champion(self, backend: Backend, request: Request, trial: Trial | None = None) -> Reply:
        """The champion answers all of it.

        Raises Problem.
        """
        side = _Side(backend, "champion", range(len(request.asked.cells)), trial)
        answered = await self._asked(side, request, self.task.serving.timeout_s)
        if request.tells:
            body = _body(_warned(answered.answers, request))
            return Reply(body, str(backend.version), "champion", len(side.positions))
        body = answered.body or _body(answered.answers)
        return Reply(body, str(backend.version), "champion", len(side.positions))

    def by_rule(self, rule: Rule, request: Request) -> Reply:
        """Let the rule answer all of it, in the place of a version that was withdrawn.

        Raises ExpressionError if the rule does not fit the inputs.
        """
        answers = rule.answers(request.asked.cells, explain=bool(request.asked.params))
        self._record(_Side(rule.backend, "rule", range(len(answers)), None), request, 200, answers)
        return Reply(_body(_warned(answers, request) if request.tells else answers), "none", "rule", len(answers))

    async def both(
        self, champion: Backend, challenger: Backend, request: Request, as_they_read: Request, trial: Trial
    ) -> Reply:
        """Each arm answers the rows of its entities; the champion also those that the challenger fails.

        Raises Problem.
        """
        rows = range(len(request.asked.cells))
        theirs = rows_of(trial, request)
        answers = dict[int, dict[str, Any]]()
        try:
            side = _Side(challenger, "challenger", theirs, trial)
            answered = await self._asked(side, _taken(as_they_read, theirs), self.task.serving.timeout_s / 2)
            answers |= zip(theirs, answered.answers, strict=True)
        except Problem:
            theirs = []
        if ours := [n for n in rows if n not in answers]:
            side = _Side(champion, "champion", ours, trial)
            its_own = replace(_taken(request, ours), began=time.perf_counter())  # not the challenger's time
            left_s = self.task.serving.timeout_s - (time.perf_counter() - request.began)
            answered = await self._asked(side, its_own, max(left_s, self.task.serving.timeout_s / 2))
            answers |= zip(ours, answered.answers, strict=True)
        arms = [("champion", champion)] * bool(ours) + [("challenger", challenger)] * bool(theirs)
        versions, names = (",".join(words) for words in ([str(b.version) for _, b in arms], [a for a, _ in arms]))
        in_order = [answers[n] for n in rows]
        body = _body(_warned(in_order, request) if request.tells else in_order)
        return Reply(body, versions, names, len(rows))

    def refused(self, champion: Backend, challenger: Backend, request: Request, trial: Trial, problem: Problem) -> None:
        """Hold against the challenger that its signature refuses what the champion answers."""
        arm: Arm = "shadow" if trial.shadow else "challenger"
        self.meters.faults.labels(challenger.version, arm, "signature").inc()
        rows = range(len(request.asked.cells))
        theirs = rows if trial.shadow else rows_of(trial, request)
        told = "; ".join(f"{fault.path}: {fault.text.partition(', got ')[0]}" for fault in problem.faults)
        said = f"its signature refuses it: {told or problem}"  # without the values, some of which are not to be kept
        self._record(_Side(challenger, arm, theirs, trial), _taken(request, theirs), 500, (), said, champion)

    def copy(self, challenger: Backend, request: Request, trial: Trial) -> None:
        """Ask the challenger too, for the record alone; nobody waits for it."""
        if len(self._copies) >= MOST_COPIES:
            self.meters.shadow.inc()
            return
        request = replace(request, is_gone=lambda: False, began=time.perf_counter())
        side = _Side(challenger, "shadow", range(len(request.asked.cells)), trial)
        copy = asyncio.ensure_future(self._shadowed(side, request))
        self._copies.add(copy)
        copy.add_done_callback(self._copies.discard)

    def forget_copies(self) -> None:
        """Wait for none of them any longer."""
        for copy in self._copies:
            copy.cancel()

    async def _shadowed(self, side: _Side, request: Request) -> None:
        try:
            await self._asked(side, request, self.task.serving.timeout_s)
        except Problem:
            return  # it is on record

    async def _asked(self, side: _Side, request: Request, timeout_s: float) -> Answered:
        """Ask a version for the rows of the request; keep what it said.

        Raises Problem for what it failed.
        """
        upstream = self.upstreams[side.backend.version]
        try:
            answered = await upstream.ask(request.asked, timeout_s, request.is_gone)
        except (Faulty, NoModel, TooSlow) as error:
            status, kind, text = TOLD[type(error)]
            self.meters.faults.labels(side.backend.version, side.arm, kind).inc()
            if isinstance(error, Faulty):
                log.error("request %s: version %d as %s failed: %s", request.id, side.backend.version, side.arm, error)
            self._record(side, request, status, (), f"{text} ({error})" if str(error) else text)
            raise Problem(status, text, retry_s=1 if status == 503 else None) from None
        self._record(side, request, 200, answered.answers)
        return answered

    def _record(
        self, side: _Side, request: Request, status: int, answers: Sequence[dict[str, Any]], problem: str = "",
        reader: Backend | None = None,
    ) -> None:  # fmt: skip
        version, names = side.backend.version, (reader or side.backend).signature.inputs
        if answers:
            self.meters.answered(version, side.arm, answers)
            if request.asked.odd:
                self.meters.odd(version, request.asked.odd)
                answers = _warned(answers, request, only_odd=True)
        taken_ms = (time.perf_counter() - request.began) * 1_000
        self.recorder.record(Call(
            request.id, request.at, version, side.arm, status, taken_ms,
            Rows(tuple(names), request.asked.cells), request.asked.entities, side.positions, answers, problem,
            side.trial.rollout if side.trial else None,
        ))  # fmt: skip


def rows_of(trial: Trial, request: Request) -> list[int]:
    """Return which rows of a request are the challenger's; a row without an entity goes with the request."""
    return [n for n, entity in enumerate(request.asked.entities) if trial.has(entity or request.id)]


def _taken(request: Request, rows: Sequence[int]) -> Request:
    """The request with some of its rows."""
    asked = request.asked
    if len(rows) == len(asked.cells):
        return request
    cells, entities = [asked.cells[n] for n in rows], [asked.entities[n] for n in rows]
    places = {n: place for place, n in enumerate(rows)} if asked.odd else {}
    odd = tuple(cell._replace(row=places[cell.row]) for cell in asked.odd if cell.row in places)
    return replace(request, asked=Asked(cells, entities, asked.params, odd))


def _warned(answers: Sequence[dict[str, Any]], request: Request, only_odd: bool = False) -> list[dict[str, Any]]:
    """Return the answers, one a row, each with its `warnings`; only_odd: those that have some."""
    found = defaultdict[int, list[dict[str, str]]](list)
    for row, column, warning in request.asked.odd:
        found[row].append({"column": column, "warning": warning})
    return [answer if only_odd and row not in found else {**answer, "warnings": found[row]}
            for row, answer in enumerate(answers)]  # fmt: skip


def _body(answers: Sequence[Mapping[str, Any]]) -> bytes:
    return dumped({"predictions": answers})
