"""Real servers in threads: a model server whose answers and faults a test decides, and the gateway before it."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ratchet.adapters import sockets
from ratchet.config import Task
from ratchet.serving import server
from ratchet.serving.apikeys import Keys
from ratchet.serving.door import Door
from ratchet.serving.gateway import Gateway
from ratchet.serving.meters import Meters
from ratchet.serving.routes import Backend, Call, Routes, Signature

ROOT = Path(__file__).parents[2]
INPUTS: dict[str, Any] = {"x": ("number", True), "note": ("text", False)}


@dataclass
class Model:
    """Answers each row with its own x as the probability, and remembers what it was asked.

    fails: rows on which it fails; delay_s: how long a call takes; says: what it answers instead; refuses: a status that
    it answers everything with.
    """

    fails: Callable[[dict[str, Any]], bool] = lambda row: False
    delay_s: float = 0.0
    says: Any = None
    label: int = 1
    refuses: int = 0
    calls: list[list[dict[str, Any]]] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: Request) -> Response:
        """POST /invocations."""
        if self.refuses:
            return Response(status_code=self.refuses)
        asked = json.loads(await request.body())
        split = asked["dataframe_split"]
        rows = [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
        self.calls.append(rows)
        self.params.append(asked.get("params"))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if any(map(self.fails, rows)):
            return Response("Traceback: the caller's own row", 400)
        if self.says is not None:
            return Response(self.says, media_type="application/json")
        return JSONResponse({"predictions": [{"label": self.label, "probability": row["x"]} for row in rows]})

    def backend(self, version: int, **signature: Any) -> Backend:
        """It, as that version."""
        return Backend(version, self.url, Signature(**{"inputs": INPUTS, **signature}))


def _serve(app: Any, ready: threading.Event) -> tuple[uvicorn.Server, threading.Thread, str]:
    bound = sockets.bound("127.0.0.1", 0)
    made = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=made.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not made.started:
        time.sleep(0.01)
    ready.set()
    return made, thread, f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def serving(model: Model) -> Iterator[Model]:
    """Run a model server."""
    app = Starlette(routes=[Route("/invocations", model.answer, methods=["POST"])])
    running, thread, model.url = _serve(app, threading.Event())
    yield model
    running.should_exit = running.force_exit = True
    thread.join(10)


class Kept:
    """Remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def record(self, call: Call) -> None:
        """Keep a call."""
        self.calls.append(call)


def task(**sections: Any) -> Task:
    """A task of one number and one text, about entities named `who`."""
    data = {"sources": {"rows": {"uris": ["rows.csv"]}}, "target": "y", "id": "who"}
    return Task.model_validate({"name": "small", "data": data, **sections})


@dataclass
class Running:
    """A gateway that listens."""

    url: str
    gateway: Gateway
    door: Door
    kept: Kept

    @property
    def port(self) -> int:
        """Where."""
        return int(self.url.rpartition(":")[2])


@contextmanager
def gateway(routes: Routes, about: Task | None = None, keys: Keys | None = None, **more: Any) -> Iterator[Running]:
    """Run the gateway; it drains at the end."""
    kept = Kept()
    made = Gateway(about or task(), kept, Meters())
    made.route(routes)
    door = Door(made, keys or Keys(None), "3.17.2", **more)
    up, found = threading.Event(), []

    def listens(url: str) -> None:
        found.append(url)
        up.set()

    thread = threading.Thread(target=server.run, args=[door, server.Listening("127.0.0.1", 0), listens], daemon=True)
    thread.start()
    assert up.wait(20)
    yield Running(found[0], made, door, kept)
    door.is_draining = True
    thread.join(20)
    assert not thread.is_alive()


def small(model: Model) -> Routes:
    """Version 3, which explains, with a sample row."""
    signature = Signature(INPUTS, explains=True)
    return Routes(Backend(3, model.url, signature, ({"x": 0.5, "note": "서울"},), ({"label": 1, "probability": 0.5},)))


@contextmanager
def apart() -> Iterator[str]:
    """Run such a gateway in a process of its own; yield its address."""
    words = [sys.executable, "-c", "from tests.serving import parts; parts.run_apart()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout and process.stdin
        yield process.stdout.readline().strip()
        process.stdin.close()


def run_apart() -> None:
    """Be that process, until stdin ends."""
    with serving(Model()) as model, gateway(small(model)) as running:
        print(running.url, flush=True)  # noqa: T201
        sys.stdin.read()
