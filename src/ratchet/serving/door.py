"""What the addresses of the gateway share: who may ask, what is on its way, and the id of a request."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from starlette.routing import BaseRoute

from ratchet.serving.accesslog import AccessLog
from ratchet.serving.apikeys import Keys
from ratchet.serving.gateway import Gateway
from ratchet.serving.problems import Problem, without_values
from ratchet.serving.routes import Backend
from ratchet.serving.upload import Uploads

CLOSED_REQUEST = 499  # nginx's word for a caller who has left
MOST_KEEPING = 64  # bodies of outcomes that wait for the database


class Outcomes(Protocol):
    """Who keeps what came true."""

    def accept(self, body: bytes) -> dict[str, Any]:
        """Keep the outcomes of a body; return how many were new.

        It may block. Raises Problem.
        """
        ...


@dataclass
class Door:
    """What the addresses share. pages: further addresses; outcomes: None where nothing is captured.

    log: where requests are logged, None for nowhere; hosts: the names by which callers without a key may call it; none:
    any. A page of another site that has its own name lead to this machine (DNS rebinding) is refused by them.
    """

    gateway: Gateway
    keys: Keys
    mlflow: str
    outcomes: Outcomes | None = None
    pages: Sequence[BaseRoute] = ()
    hosts: frozenset[str] = frozenset()
    log: AccessLog | None = None
    waiting: int = 0
    keeping: int = 0
    is_draining: bool = False
    uploads: Uploads = field(init=False)

    def __post_init__(self) -> None:
        self.uploads = Uploads(int(self.gateway.task.serving.max_body_mb * 2**20))

    def is_ours(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether the caller calls it by a name that it answers to."""
        return not self.hosts or any(name == b"host" and _name(said.decode("latin-1")) in self.hosts
                                     for name, said in headers)  # fmt: skip

    def require(self, headers: Mapping[bytes, bytes], scope: str) -> str:
        """Return the name of the caller's key; empty where no keys are asked for.

        Raises Problem unless the caller may do it.
        """
        if self.keys.file is None:
            return ""
        caller = self.keys.caller(headers)
        if caller is None:
            raise Problem(401, "no key that is known; send Authorization: Bearer KEY", closes=True)
        if scope not in caller.scopes:
            raise Problem(403, f"this key may not do that; it takes the scope {scope}", closes=True)
        return caller.name

    def problem_as_logged(self, problem: Problem) -> str:
        """Return why a request was refused, without anything that its caller sent."""
        described = self.gateway.described
        return without_values(problem, described.signature.inputs if described else ())

    def public(self, backend: Backend | None) -> Backend | None:
        """Return a version as those without a key may see it: without the rows of the data that travel with it."""
        return replace(backend, sample=(), answers=()) if backend and self.keys.file else backend

    async def keep(self, body: bytes) -> dict[str, Any]:
        """Keep the outcomes of a body, beside the event loop; return what became of them.

        Raises Problem.
        """
        if self.outcomes is None:
            raise Problem(404, "nothing is captured here (serving.capture), so no outcome has a place")
        if self.keeping >= MOST_KEEPING:
            raise Problem(429, "too many outcomes wait for the database", retry_s=1, closes=True)
        self.keeping += 1
        try:
            kept = await asyncio.to_thread(self.outcomes.accept, body)
        finally:
            self.keeping -= 1
        self.gateway.meters.outcomes.inc(kept.get("accepted", 0))
        return kept


def _name(host: str) -> str:
    """Return a Host without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).strip("[]").lower()


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Return the caller's own id where it is a UUID, and so will not come twice; else a new one."""
    if said := headers.get(b"x-request-id"):
        try:
            return str(UUID(said.decode("ascii")))
        except ValueError:
            pass
    return new_id()


def new_id() -> str:
    """Return a random UUID; the library's own way takes five times as long."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
