"""The smallest gateway that there can be, to try the supervisor with: it hands each request to the champion."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.adapters.servers import free_port
from ratchet.serving.routes import Routes

HOLD_S, AGAIN_S = 3.0, 0.02


class Proxy:
    """Asks again where a connection breaks, as answers change nothing, whoever the champion then is."""

    def __init__(self) -> None:
        self.routes, self.flying = Routes(), Counter[int]()
        self.seen = list[tuple[float, Routes]]()
        self.url = f"http://127.0.0.1:{free_port()}"
        app = Starlette(routes=[Route("/invocations", self.invocations, methods=["POST"])])
        config = uvicorn.Config(app, port=int(self.url.rpartition(":")[2]), log_level="error", access_log=False)
        self.server = uvicorn.Server(config)

    def route(self, routes: Routes) -> None:
        self.seen.append((time.monotonic(), routes))
        self.routes = routes

    def busy(self, version: int) -> int:
        return self.flying[version]

    async def invocations(self, request: Request) -> Response:
        body, began = await request.body(), time.monotonic()
        async with aiohttp.ClientSession() as client:
            while time.monotonic() - began < HOLD_S:
                backend = self.routes.champion
                if backend is None:
                    await asyncio.sleep(AGAIN_S)
                    continue
                self.flying[backend.version] += 1
                headers = {"Content-Type": "application/json"}
                try:
                    async with client.post(f"{backend.url}/invocations", data=body, headers=headers) as answer:
                        said = await answer.read()
                        told = {"X-Model-Version": str(backend.version)}
                        return Response(said, answer.status, told, "application/json")
                except aiohttp.ClientError:
                    await asyncio.sleep(AGAIN_S)
                finally:
                    self.flying[backend.version] -= 1
        return Response(status_code=503)

    @contextmanager
    def listening(self) -> Iterator[None]:
        thread = threading.Thread(target=self.server.run, daemon=True)
        thread.start()
        while not self.server.started:
            time.sleep(0.01)
        try:
            yield
        finally:
            self.server.should_exit = True
            thread.join()


class Load:
    """Clients that ask one row after the other. asked: (status, version) -> how often."""

    def __init__(self, url: str, row: object, clients: int = 3) -> None:
        self.asked, self.over = Counter[tuple[int, str]](), threading.Event()
        self.url, self.body = f"{url}/invocations", {"dataframe_records": [row]}
        self.threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        with requests.Session() as session:
            while not self.over.wait(0.03):
                answer = session.post(self.url, json=self.body, timeout=30)
                self.asked[answer.status_code, answer.headers.get("X-Model-Version", "")] += 1

    @property
    def failed(self) -> int:
        return sum(count for (status, _), count in self.asked.items() if status != 200)

    @property
    def versions(self) -> set[str]:
        return {version for _, version in self.asked}

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
