"""One version's model server as the gateway asks it: what queues while it is busy travels together.

As soon as it is free, all that waits (up to max_rows) goes as one call, and the answers are dealt out again; an idle
one is asked at once. A call that fails is made again in halves, down to single requests, so that nobody's row
spoils another's.
Source: adaptive batching, Crankshaw et al., Clipper, NSDI 2017, section 4.3.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import aiohttp
import orjson

from ratchet.serving.routes import Backend
from ratchet.serving.rows import Asked, Row
from ratchet.serving.upload import GoneError
from ratchet.serving.wire import dumped

HOLD_S = 10.0  # how long requests wait for a champion that is gone to be back, or another process in its place
AGAIN_S, MOST_BREAKS = 0.02, 2
AWAY = (502, 503)  # said by a balancer before model servers elsewhere; MLflow's own does not
MOST_EXPLAINED = 16  # rows of a call that asks for reasons, of which a deep forest takes 0.1 s a row
JSON = {"Content-Type": "application/json"}


class NoModel(Exception):
    """No model server answers."""


class TooSlow(Exception):
    """The answer did not come in time."""


class Faulty(Exception):
    """The model failed on these rows, or answered what is none."""


class AwayError(Exception):
    """Something before the model server says that it is not there now."""


@dataclass(frozen=True)
class Answered:
    """The answers, one a row; body: the model server's own words, where they are this request's alone."""

    answers: list[dict[str, Any]]
    body: bytes | None = None


@dataclass(eq=False)
class _Waiting:
    asked: Asked
    deadline: float
    is_gone: Callable[[], bool]
    answered: "asyncio.Future[Answered]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Upstream:
    """A version's model server. All methods belong to the event loop; `busy` may be read from any thread."""

    def __init__(self, backend: Backend, session: aiohttp.ClientSession, max_rows: int) -> None:
        self.session, self.max_rows, self.hold_s = session, max_rows, HOLD_S
        self.names = list(backend.signature.inputs)
        self.busy = self.calls = 0
        self._small, self._large = deque[_Waiting](), deque[_Waiting]()
        self._pumps: dict[int, asyncio.Task[None]] = {}
        self.replace(backend)

    def replace(self, backend: Backend) -> None:
        """From now on ask another process of the same version."""
        self.backend, self.url = backend, f"{backend.url}/invocations"

    async def ask(self, asked: Asked, timeout_s: float, is_gone: Callable[[], bool]) -> Answered:
        """Return the answers of the rows. is_gone: whether the caller has left, so that nothing is to be done.

        Raises Faulty, NoModel or TooSlow, and GoneError to who has left.
        """
        waiting = _Waiting(asked, time.monotonic() + timeout_s, is_gone)
        queue = self._large if len(asked.cells) > self.max_rows else self._small
        queue.append(waiting)
        self.busy += 1
        key = id(queue)
        if key not in self._pumps:
            self._pumps[key] = asyncio.ensure_future(self._pump(queue))
        timer = asyncio.get_running_loop().call_later(timeout_s, _expire, waiting)
        try:
            return await waiting.answered
        finally:
            timer.cancel()
            waiting.answered.cancel()
            self.busy -= 1

    async def _pump(self, queue: deque[_Waiting]) -> None:
        """Send what waits, one call at a time, until nothing does."""
        try:
            while batch := self._next(queue):
                await self._deal(batch)
        finally:
            del self._pumps[id(queue)]

    def _next(self, queue: deque[_Waiting]) -> list[_Waiting]:
        """Take the next batch off the queue: as many as fit, with the same parameters."""
        batch, rows = list[_Waiting](), 0
        while queue:
            first = queue[0]
            if _has_left(first):
                queue.popleft()
                continue
            rows += len(first.asked.cells)
            most = min(self.max_rows, MOST_EXPLAINED) if first.asked.params else self.max_rows
            if batch and (rows > most or first.asked.params != batch[0].asked.params):
                break
            batch.append(queue.popleft())
        return batch

    async def _deal(self, batch: list[_Waiting]) -> None:
        try:
            answered = await self._call(batch)
        except Faulty as fault:
            if len(batch) == 1:
                _fail(batch[0], fault)
                return
            half = len(batch) // 2
            for part in (batch[:half], batch[half:]):  # one of 512 that is to blame costs 19 calls, by itself 513
                if left := [waiting for waiting in part if not _has_left(waiting)]:
                    await self._deal(left)
        except (NoModel, TooSlow) as error:
            for waiting in batch:
                _fail(waiting, error)
        except Exception as error:  # noqa: BLE001  (a bug here must not leave callers waiting)
            for waiting in batch:
                _fail(waiting, error)
        else:
            start = 0
            for waiting in batch:
                end = start + len(waiting.asked.cells)
                if not waiting.answered.done():
                    alone = len(batch) == 1
                    waiting.answered.set_result(answered if alone else Answered(answered.answers[start:end]))
                start = end

    async def _call(self, batch: list[_Waiting]) -> Answered:
        """Ask once for all; where the connection breaks again, as answers change nothing."""
        cells = [row for waiting in batch for row in waiting.asked.cells]
        body = self._body(cells, batch[0].asked.params)
        deadline, since, breaks = max(waiting.deadline for waiting in batch), time.monotonic(), 0
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TooSlow
            try:
                self.calls += 1
                async with self.session.post(
                    self.url, data=body, headers=JSON, timeout=aiohttp.ClientTimeout(total=left)
                ) as answer:
                    status, said = answer.status, await answer.read()
                if status == 504:  # its own limit of time
                    raise TooSlow
                if status in AWAY:
                    raise AwayError
            except TimeoutError:
                raise TooSlow from None
            except (AwayError, aiohttp.ClientError, OSError) as error:
                breaks += not isinstance(error, AwayError | aiohttp.ClientConnectorError)
                if breaks > MOST_BREAKS:  # it is these rows that end the process, and they would end the next one too
                    raise Faulty("the model server ended on it") from None
                if time.monotonic() - since >= self.hold_s:
                    raise NoModel from None
                await asyncio.sleep(AGAIN_S)
                continue
            if status != 200:
                raise Faulty(f"status {status}")
            return Answered(_answers(said, len(cells)), said)

    def _body(self, cells: Sequence[Row], params: tuple[tuple[str, Any], ...]) -> bytes:
        document: dict[str, Any] = {"dataframe_split": {"columns": self.names, "data": cells}}
        if params:
            document["params"] = dict(params)
        return dumped(document)


def _answers(said: bytes, rows: int) -> list[dict[str, Any]]:
    """Return the predictions of a body; raise Faulty if they are none, or hold what is no number."""
    try:
        answers: list[dict[str, Any]] = orjson.loads(said)["predictions"]  # which refuses NaN
        scores = [_score(answer) for answer in answers]
        is_whole = len(answers) == rows and (isfinite(sum(scores)) or all(map(isfinite, scores)))
    except (ValueError, KeyError, TypeError, AttributeError):
        is_whole = False
    if not is_whole:
        raise Faulty("its answer is none")
    return answers


def _score(answer: dict[str, Any]) -> float:
    """Return the number in an answer; raise KeyError or TypeError where there is none, or a label that is no scalar."""
    hash(answer.get("label"))
    if "probability" in answer:
        _ = answer["label"]
        return float(answer["probability"])
    if "value" in answer:
        return float(answer["value"])
    _ = answer["label"]
    return float(sum(answer["probabilities"].values()))


def _expire(waiting: _Waiting) -> None:
    _fail(waiting, TooSlow())


def _has_left(waiting: _Waiting) -> bool:
    """Whether nobody waits for it any more; who has left is no fault of the model."""
    if waiting.is_gone():
        _fail(waiting, GoneError())
    return waiting.answered.done()


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answered.done():
        waiting.answered.set_exception(error)
