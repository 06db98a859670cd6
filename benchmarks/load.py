"""A load of one-row requests on a server, from one process: closed (each client waits) or at constant arrival.

Plain sockets and httptools: a client library costs more than the server that is measured.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import numpy as np
import uvloop

LONGEST_S = 60


@dataclass
class Seen:
    """What came back: milliseconds of each answer, how many by status (0: the connection broke), seconds in all."""

    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wall_s: float = 0.0
    broken: list[str] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Answers of 200 a second."""
        return self.statuses[200] / self.wall_s

    def quantile_ms(self, q: float) -> float:
        """Milliseconds within which that share was answered."""
        return float(np.quantile(self.latencies_ms, q)) if self.latencies_ms else float("nan")

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return sum(count for status, count in self.statuses.items() if status != 200)


class Client(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[int] | None = None
        self.closes = False

    def connection_made(self, transport: Any) -> None:
        """Take a connection."""
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the server closes."""
        if name.lower() == b"connection" and value.lower() == b"close":
            self.closes = True

    def on_message_complete(self) -> None:
        """Have an answer."""
        status = self.parser.get_status_code()
        self.parser = httptools.HttpResponseParser(self)
        if self.answer and not self.answer.done():
            self.answer.set_result(status)

    def give_up(self) -> None:
        """Wait no longer."""
        if self.answer and not self.answer.done():
            self.answer.set_exception(TimeoutError(f"no answer within {LONGEST_S} s"))
        if self.transport:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Lose the connection."""
        self.transport = None
        if self.answer and not self.answer.done():
            self.answer.set_exception(ConnectionResetError("the connection broke before the answer"))


@dataclass
class Target:
    """A server and what it is sent: the bodies in turn."""

    url: str
    bodies: Sequence[bytes]
    headers: str = "Content-Type: application/json\r\n"

    def requests(self) -> Iterator[bytes]:
        """Yield whole requests, for ever."""
        parts = urlsplit(self.url)
        head = f"POST {parts.path or '/invocations'} HTTP/1.1\r\nHost: {parts.netloc}\r\n{self.headers}Content-Length: "
        whole = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in self.bodies]
        while True:
            yield from whole

    async def connected(self, loop: asyncio.AbstractEventLoop) -> Client:
        """Open a connection."""
        parts = urlsplit(self.url)
        _, client = await loop.create_connection(Client, parts.hostname, parts.port)
        return client


async def _one(target: Target, client: Client | None, request: bytes, seen: Seen) -> Client | None:
    """Send one request; note what came; return the connection if it may be used again."""
    loop, began = asyncio.get_running_loop(), time.perf_counter()
    try:
        client = client if client and client.transport else await target.connected(loop)
        client.answer = loop.create_future()
        assert client.transport
        client.transport.write(request)
        timer = loop.call_later(LONGEST_S, client.give_up)
        status = await client.answer
        timer.cancel()
    except OSError as error:
        seen.statuses[0] += 1
        seen.broken.append(f"{type(error).__name__}: {error}")
        return None
    seen.latencies_ms.append((time.perf_counter() - began) * 1_000)
    seen.statuses[status] += 1
    if client.closes and client.transport:
        client.transport.close()
        return None
    return client


async def _closed(target: Target, clients: int, seconds: float, most: int | None) -> Seen:
    seen, requests, left = Seen(), target.requests(), [most if most is not None else 2**62]
    began = time.perf_counter()

    async def work() -> None:
        client: Client | None = None
        while time.perf_counter() - began < seconds and left[0] > 0:
            left[0] -= 1
            client = await _one(target, client, next(requests), seen)
        if client and client.transport:
            client.transport.close()

    await asyncio.gather(*(work() for _ in range(clients)))
    seen.wall_s = time.perf_counter() - began
    return seen


async def _constant(target: Target, per_s: float, count: int) -> Seen:
    """Requests at their times, whether the ones before are answered or not; latency counts from when each was due."""
    seen, requests, idle, tasks = Seen(), target.requests(), list[Client](), set[asyncio.Task[None]]()
    began = time.perf_counter()

    async def one(request: bytes) -> None:
        while idle and not idle[-1].transport:
            idle.pop()
        if client := await _one(target, idle.pop() if idle else None, request, seen):
            idle.append(client)

    for number in range(count):
        while (wait_s := began + number / per_s - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        task = asyncio.ensure_future(one(next(requests)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    seen.wall_s = time.perf_counter() - began
    for client in idle:
        if client.transport:
            client.transport.close()
    return seen


def closed(target: Target, clients: int, seconds: float, most: int | None = None) -> Seen:
    """So many clients, each of which sends its next request when it has its answer."""
    return uvloop.run(_closed(target, clients, seconds, most))


def constant(target: Target, per_s: float, count: int) -> Seen:
    """So many requests, at a constant rate."""
    return uvloop.run(_constant(target, per_s, count))


def main() -> None:
    """Send a body at a constant rate: `python benchmarks/load.py URL BODY PER_S COUNT`; print the figures as JSON."""
    url, body, per_s, count = sys.argv[1:]
    seen = constant(Target(url, [body.encode()]), float(per_s), int(count))
    told = {"p50_ms": seen.quantile_ms(0.5), "p99_ms": seen.quantile_ms(0.99), "failed": seen.failed}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
