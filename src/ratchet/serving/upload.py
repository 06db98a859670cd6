"""The body of a request, as it comes in: bounded in size, in time, and in what all of them take together."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from ratchet.serving.problems import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
STALL_S = 1.0  # without a byte; and over that, slower than this:
BYTES_PER_S = 10_000
TOGETHER = 16  # largest bodies that may be on their way in, or wait for their answer, at once
SMALL = 64 * 1024  # bytes of a body that is not counted there: there are at most serving.max_waiting of them


class GoneError(Exception):
    """The caller has left."""


class Uploads:
    """Reads bodies. limit: bytes of one."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """Return the whole body.

        Raises Problem (413 too large, 408 too slow, 429 too many at once), GoneError where the caller leaves.
        """
        if (length := headers.get(b"content-length")) and int(length) > self.limit:
            raise self._too_large()
        try:  # most bodies are there with their head, and this costs them nothing
            async with asyncio.timeout(STALL_S):
                message = await receive()
        except TimeoutError:
            raise Problem(408, "no byte of the body came", closes=True) from None
        if message["type"] == "http.disconnect":
            raise GoneError
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            if len(body) > self.limit:
                raise self._too_large()
            return body
        return await self._rest(body, receive)

    @contextmanager
    def kept(self, body: bytes) -> Iterator[None]:
        """Count a body as long as it waits for its answer.

        Raises Problem (429) where there are too many of that size.
        """
        size = len(body) if len(body) > SMALL else 0
        if size and self.held + size > TOGETHER * self.limit:
            raise self._too_many()
        self.held += size
        try:
            yield
        finally:
            self.held -= size

    def _too_many(self) -> Problem:
        return Problem(429, "too many large bodies at once", retry_s=1, closes=True)

    def _too_large(self) -> Problem:
        return Problem(413, f"a body has at most {self.limit:,} bytes (serving.max_body_mb)", closes=True)

    async def _rest(self, first: bytes, receive: Receive) -> bytes:
        parts, size, began = [first], len(first), time.monotonic()
        self.held += size
        try:
            while True:
                allowed_s = STALL_S + size / BYTES_PER_S - (time.monotonic() - began)
                try:
                    message = await asyncio.wait_for(receive(), min(max(allowed_s, 0.001), STALL_S))
                except TimeoutError:
                    raise Problem(408, f"the body came too slowly; {size:,} bytes so far", closes=True) from None
                if message["type"] == "http.disconnect":
                    raise GoneError
                part: bytes = message.get("body", b"")
                parts.append(part)
                size, self.held = size + len(part), self.held + len(part)
                if size > self.limit:
                    raise self._too_large()
                if self.held > TOGETHER * self.limit:
                    raise self._too_many()
                if not message.get("more_body"):
                    return b"".join(parts)
        finally:
            self.held -= size
