"""The gateway as a process: one event loop, sockets without delay, slow callers let go, an end that loses nobody."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import ceil
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ratchet.adapters import sockets
from ratchet.serving.app import build
from ratchet.serving.door import Door
from ratchet.serving.observed import OTHER, Seen
from ratchet.serving.problems import Problem

HEADERS_S = 5.0  # for the head of a request to come, from its first byte on; and for the first byte of a connection
IDLE_S = 75  # a kept connection that is not used; longer than a load balancer's 60
DRAIN_S = 3.0  # in which answers ask their callers to close the connection, before it is closed for them
END_S = 30  # for answers that are on their way; or as long as one may take, where that is longer


class Protocol(HttpToolsProtocol):
    """uvicorn's, without Nagle's delay, and with an end to heads that never come."""

    door: Door
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        sockets.no_delay(transport.get_extra_info("socket"))
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEADERS_S, self._too_slow)

    def on_message_begin(self) -> None:
        """Begin a request: its head has to come within the time."""
        super().on_message_begin()
        if self._timer is None:
            self._timer = self.loop.call_later(HEADERS_S, self._too_slow)

    def on_headers_complete(self) -> None:
        """Have the head of a request."""
        self._forget()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lose the connection."""
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self._refused(Problem(408, "the head of the request came too slowly"))
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        self._refused(Problem(400, "not HTTP"))
        super().send_400_response(msg)

    def _refused(self, problem: Problem) -> None:
        seen = Seen(time.perf_counter(), "", "-", OTHER)
        seen.problem = problem
        seen.end(self.door, problem.status, 0)


@dataclass(frozen=True)
class Listening:
    """Where it listens."""

    host: str
    port: int


class Server(uvicorn.Server):
    """uvicorn's server, which says goodbye first: while it drains each answer asks its caller to close."""

    def __init__(self, config: uvicorn.Config, door: Door, up: Callable[[], None]) -> None:
        super().__init__(config)
        self.door, self.up = door, up
        self._until: float | None = None  # when the drain is over

    async def startup(self, sockets: Any = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self.up()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain; the second signal ends it at once."""
        if self.door.is_draining:
            self.should_exit = self.force_exit = True
        self.door.is_draining = True

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether it is time to go."""
        if self.door.is_draining and not self.should_exit:
            loop = asyncio.get_running_loop()
            if self._until is None:
                self._until = loop.time() + DRAIN_S
                for server in self.servers:
                    server.close()  # nobody new
            self.should_exit = not self.server_state.connections or loop.time() > self._until
        return await super().on_tick(counter)


def run(door: Door, at: Listening, up: Callable[[str], None] = lambda url: None) -> None:
    """Answer until SIGTERM or SIGINT; then let what is on its way be answered, and return. up: called with the URL
    once it listens.

    Raises ServerError if the port is taken.
    """
    bound = sockets.bound(at.host, at.port)
    end_s = max(END_S, ceil(1.5 * door.gateway.task.serving.timeout_s))  # a hanging challenger takes the half of it
    protocol = type("OfDoor", (Protocol,), {"door": door})
    config = uvicorn.Config(
        build(door), http=protocol, ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
        date_header=False, backlog=4096, timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=end_s,
    )  # fmt: skip
    with bound:
        host, port = bound.getsockname()[:2]
        Server(config, door, partial(up, f"http://{host}:{port}")).run(sockets=[bound])
