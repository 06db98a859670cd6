"""What is counted and logged of each request: how long it took by address and status, and a line in the log."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from ratchet.serving.accesslog import Line
from ratchet.serving.arms import Reply
from ratchet.serving.door import Door
from ratchet.serving.problems import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
OTHER = "other"  # stands for every path that is no address: it may hold anything, and there are too many of them
QUIET = frozenset({"/ping", "/health", "/ready", "/metrics"})  # asked again and again; a line only where it is refused
PROBLEM, CALLER = "ratchet.problem", "ratchet.caller"  # of a request's scope


@dataclass(slots=True)
class Seen:
    """What became known of a request while it was answered. path: of one of the gateway's addresses, or `OTHER`."""

    began: float
    id: str
    method: str
    path: str
    caller: str = ""
    bytes_in: int = 0
    reply: Reply | None = None
    problem: Problem | None = None

    def end(self, door: Door, status: int, bytes_out: int) -> None:
        """Count and log the request."""
        seconds = time.perf_counter() - self.began
        door.gateway.meters.timed(self.path, status, seconds)
        if door.log is None or (self.path in QUIET and status in (200, 503)):
            return
        reply, problem = self.reply, self.problem
        door.log.add(
            Line(
                time.time() - seconds, self.id, self.method, self.path, status, seconds * 1_000,
                reply.versions if reply else "", reply.arms if reply else "", reply.rows if reply else None,
                self.bytes_in, bytes_out, self.caller, door.problem_as_logged(problem) if problem else "",
            )
        )  # fmt: skip


class Observed:
    """An application whose requests are counted and logged.

    Args:
        door: Of the gateway.
        application: What answers.
        paths: Its addresses; one that ends with `/` stands for all below it.
    """

    def __init__(self, door: Door, application: Application, paths: Iterable[str]) -> None:
        self.door, self.application = door, application
        self.paths = frozenset(paths)
        self.folders = tuple(path for path in self.paths if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it answer, and note how."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        seen = Seen(time.perf_counter(), "", scope["method"], self._label(scope["path"]))
        seen.bytes_in = announced(dict(scope["headers"]))
        status, bytes_out = 500, 0

        async def noted(message: Message) -> None:
            nonlocal status, bytes_out
            if message["type"] == "http.response.start":
                status = message["status"]
                seen.id = dict(message.get("headers", ())).get(b"x-request-id", b"").decode()
            bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            await self.application(scope, receive, noted)
        finally:
            seen.problem, seen.caller = scope.get(PROBLEM), scope.get(CALLER, "")
            seen.end(self.door, status, bytes_out)

    def _label(self, path: str) -> str:
        if path in self.paths:
            return path
        return next((folder for folder in self.folders if path.startswith(folder)), OTHER)


def announced(headers: Mapping[bytes, bytes]) -> int:
    """Return the size of a body by its head, in bytes; 0 where it does not say."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() and len(length) < 16 else 0
