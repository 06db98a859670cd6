"""The body of a request, as it comes in: bounded in size, in time, and in what all of them take together."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from ratchet.serving.problems import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
STALL_S = 1.0  # without a byte; and over that, slower than this:
BYTES_PER_S = 10_000
TOGETHER = 16  # largest bodies that may be on their way in at once


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
                    raise Problem(429, "too many large bodies at once", retry_s=1, closes=True)
                if not message.get("more_body"):
                    return b"".join(parts)
        finally:
            self.held -= size
