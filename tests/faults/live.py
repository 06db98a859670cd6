"""Live traffic on a gateway: applicants come at a constant rate, and what came true of each is posted."""

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import pandas as pd

from ratchet.adapters import synthetic

TOLD_S, MOST_TOLD = 0.2, 500
KEPT_BACK = ("applied_at", "probability_of_default", "defaulted")


@dataclass(frozen=True)
class Answer:
    """One request: when it was answered, by whom, what came back (0: the connection broke) and how long it took."""

    at: float
    status: int
    arm: str
    version: str
    entity: int
    seconds: float


class Traffic:
    """Requests of one row, each of an entity of its own. per_s: how many; tells: whether outcomes are posted.

    Used as a block; all fields may be read, and these two set, from any thread.
    """

    def __init__(self, url: str, per_s: float, applicants: int = 60_000, seed: int = 77) -> None:
        self.url, self.per_s, self.tells = url, per_s, True
        self.answers: list[Answer] = []
        self.told = Counter[int]()
        self._rows: list[dict[str, Any]] = synthetic.credit(applicants, seed).to_dict("records")
        self._sent = 0
        self._waiting = deque[dict[str, Any]]()
        self._flying = set[asyncio.Task[None]]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    @property
    def failed(self) -> list[Answer]:
        """Requests that were not answered with 200."""
        return [answer for answer in self.answers if answer.status != 200]

    def quiet(self) -> None:
        """Send nothing more for now, and wait for what is on its way."""
        self.per_s = 0.0
        until(lambda: not self._flying, 60)

    async def _run(self) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            teller = asyncio.ensure_future(self._tell(session))
            due = time.perf_counter()
            while not self._over.is_set():
                if not self.per_s:
                    await asyncio.sleep(0.05)
                    due = time.perf_counter()
                    continue
                due += 1 / self.per_s
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                task = asyncio.ensure_future(self._ask(session, self._sent))
                self._sent += 1
                self._flying.add(task)
                task.add_done_callback(self._flying.discard)
            await asyncio.gather(*self._flying)
            await teller

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        row = self._rows[number % len(self._rows)]
        record = {name: value for name, value in row.items() if name not in KEPT_BACK and not pd.isna(value)}
        began, entity = time.perf_counter(), int(row["applicant_id"])
        body = json.dumps({"dataframe_records": [record]})
        status, arm, version, whose = 0, "", "", {"entity": str(entity)}
        try:
            async with session.post(f"{self.url}/invocations", data=body,
                                    headers={"Content-Type": "application/json"}) as answer:  # fmt: skip
                await answer.read()
                status, arm = answer.status, answer.headers.get("X-Arm", "")
                version = answer.headers.get("X-Model-Version", "")
                if number % 2:  # the truth is told of the request, or of the entity
                    whose = {"request_id": answer.headers["X-Request-Id"]}
        except (aiohttp.ClientError, OSError):
            pass
        self.answers.append(Answer(time.time(), status, arm, version, entity, time.perf_counter() - began))
        if status == 200:
            self._waiting.append(whose | {"label": int(row["defaulted"])})

    async def _tell(self, session: aiohttp.ClientSession) -> None:
        while not self._over.is_set():
            await asyncio.sleep(TOLD_S)
            if not (self.tells and self._waiting):
                continue
            some = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOLD))]
            try:
                async with session.post(f"{self.url}/outcomes", json=some) as answer:
                    self.told[answer.status] += len(some)
            except (aiohttp.ClientError, OSError):
                self._waiting.extendleft(reversed(some))  # as who tells outcomes does: again


def until(is_so: Callable[[], Any], limit_s: float, every_s: float = 0.1) -> float:
    """Wait until it is so; how long that took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < limit_s, f"not so after {limit_s:g} s"
        time.sleep(every_s)
    return time.monotonic() - began
