"""The gateway as callers see it: its addresses, what they answer, and every fault as problem+json."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from ratchet.serving import bodies, forms, openapi
from ratchet.serving.apikeys import ADMIN, OUTCOMES, PREDICT
from ratchet.serving.door import CLOSED_REQUEST, Door, new_id, request_id
from ratchet.serving.fallback import MARK
from ratchet.serving.observed import CALLER, PROBLEM, Application, Observed, Receive, Scope, Seen, Send, announced
from ratchet.serving.problems import TYPE, Fault, Problem, shown
from ratchet.serving.upload import GoneError

V1 = "/v1/models/{}"  # KServe's and TensorFlow Serving's first protocol, by the name of the model
WARNINGS = b"x-warnings"  # header by which a caller asks to be told of odd cells
log = logging.getLogger("ratchet.gateway")


class Invocations:
    """POST /invocations. Plain ASGI: it is the one address that is asked thousands of times a second."""

    def __init__(self, door: Door) -> None:
        self.door, self.meters = door, door.gateway.meters
        self.meters.gauge("ratchet_requests_in_flight", "Requests that wait for their answer.", lambda: door.waiting)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began, headers = time.perf_counter(), dict(scope["headers"])
        number, door = request_id(headers), self.door
        more: list[tuple[bytes, bytes]] = [(b"x-request-id", number.encode())]
        kind, status = b"application/json", 200
        seen = Seen(began, number, scope["method"], scope["path"])
        door.waiting += 1
        try:
            body = await self._answered(scope, headers, receive, seen, more)
        except GoneError:
            status, body = CLOSED_REQUEST, b""
        except Problem as problem:
            seen.problem = problem
        except Exception:
            log.exception("request %s failed", number)
            seen.problem = Problem(500, "a fault of the gateway; it is on record under the request's id")
        finally:
            door.waiting -= 1
        if refusal := seen.problem:
            status, kind, body = refusal.status, TYPE, refusal.body(number)
            more += _headers_of(refusal)
        self.meters.done(status)
        seen.end(door, status, len(body))
        if status == CLOSED_REQUEST:
            return
        if door.is_draining:
            more.append((b"connection", b"close"))
        length = (b"content-length", str(len(body)).encode())
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), length, *more]}
        )
        await send({"type": "http.response.body", "body": body})

    async def _answered(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, seen: Seen,
        more: list[tuple[bytes, bytes]],
    ) -> bytes:  # fmt: skip
        door, seen.bytes_in = self.door, announced(headers)
        if scope["method"] != "POST":
            raise Problem(405, "this address takes POST")
        seen.caller = door.require(headers, PREDICT)
        if door.waiting > door.gateway.task.serving.max_waiting:
            raise Problem(429, "too many requests wait already", retry_s=1, closes=True)
        body = await door.uploads.read(headers, receive)
        seen.bytes_in = len(body)
        kind = headers.get(b"content-type", b"").decode("latin-1")
        with door.uploads.kept(body):
            tells = _wants_warnings(headers)
            reply = seen.reply = await door.gateway.answer(kind, body, seen.id, _gone(receive), tells)
        more += [(b"x-model-version", reply.versions.encode()), (b"x-arm", reply.arms.encode())]
        return reply.body


def _wants_warnings(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the caller asks to be told of odd cells.

    Raises Problem for a word that is neither true nor false.
    """
    word = headers.get(WARNINGS, b"false").lower()
    if word not in (b"true", b"false"):
        raise Problem.of([Fault("X-Warnings", "expected true or false")])
    return word == b"true"


def _gone(receive: Receive) -> Callable[[], bool]:
    """What tells whether the caller has left. uvicorn knows it before the application asks, and asking costs a task."""
    cycle: Any = getattr(receive, "__self__", None)
    return (lambda: bool(cycle.disconnected)) if hasattr(cycle, "disconnected") else (lambda: False)


def _headers_of(problem: Problem) -> list[tuple[bytes, bytes]]:
    found = [(b"retry-after", str(problem.retry_s).encode())] if problem.retry_s else []
    if problem.status == 401:
        found.append((b"www-authenticate", b"Bearer"))
    if problem.status == 405:
        found.append((b"allow", b"POST"))
    return found + ([(b"connection", b"close")] if problem.closes else [])


def told(problem: Problem, number: str) -> Response:
    """Return a problem as a response."""
    headers = {name.decode(): value.decode() for name, value in _headers_of(problem)}
    return Response(problem.body(number), problem.status, headers | {"X-Request-Id": number}, TYPE.decode())


def build(door: Door) -> Application:
    """Return the application: what is asked all the time, and Starlette for the rest."""
    invocations = Invocations(door)
    ways = {"/invocations", os.environ.get("AIP_PREDICT_ROUTE") or "/invocations"}  # the second is Vertex AI's
    ways.add(V1.format(f"{door.gateway.task.name}:predict"))
    starlette = _others(door)
    others = Observed(door, starlette, [*_paths(starlette), V1.format(door.gateway.task.name)])

    async def stranger(scope: Scope, receive: Receive, send: Send) -> None:
        problem = Problem(403, "without keys only this machine may ask, by its own name", closes=True)
        scope[PROBLEM] = problem
        await told(problem, new_id())(scope, receive, send)

    strangers = Observed(door, stranger, ())

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not door.is_ours(scope["headers"]):
            await strangers(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in ways:
            await invocations(scope, receive, send)
        else:
            await others(scope, receive, send)

    return application


def _paths(starlette: Starlette) -> list[str]:
    """Return the addresses of an application that are not patterns; of a mounted one all that is below it."""
    plain = [route.path for route in starlette.routes if isinstance(route, Route) and "{" not in route.path]
    return [*plain, *(f"{route.path}/" for route in starlette.routes if isinstance(route, Mount))]


def _others(door: Door) -> Starlette:
    gateway, health = door.gateway, os.environ.get("AIP_HEALTH_ROUTE")

    async def alive(request: Request) -> Response:
        return PlainTextResponse("\n")

    async def ready(request: Request) -> Response:
        if door.is_draining:
            return told(Problem(503, "it is about to stop", retry_s=1), new_id())
        if champion := gateway.routes.champion:
            return JSONResponse({"ready": True, "version": champion.version})
        if gateway.rule:
            return JSONResponse({"ready": True, "version": None, **MARK})
        withdrawn = gateway.routes.withdrawn
        return told(gateway.absence if withdrawn else Problem(503, "no model answers yet", retry_s=1), new_id())

    async def version(request: Request) -> Response:
        champion = gateway.routes.champion
        headers = {"X-Model-Version": str(champion.version) if champion else "none", "X-Task": gateway.task.name}
        return PlainTextResponse(door.mlflow, headers=headers)

    async def metrics(request: Request) -> Response:
        request.scope[CALLER] = door.require(dict(request.headers.raw), ADMIN)
        return Response(gateway.meters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def schema(request: Request) -> Response:
        return JSONResponse(openapi.document(gateway.task, door.public(gateway.described), gateway.entity))

    def require_name(request: Request) -> None:
        if (name := request.path_params["name"]) != gateway.task.name:
            raise Problem(404, f"no model {shown(name)}; {gateway.task.name!r} is served here")

    async def model(request: Request) -> Response:
        require_name(request)
        return JSONResponse({"name": gateway.task.name, "ready": bool(gateway.routes.champion or gateway.rule)})

    async def no_such_model(request: Request) -> Response:
        require_name(request)
        raise Problem(404, "no such address")

    async def outcomes(request: Request) -> Response:
        headers = dict(request.headers.raw)
        forms.require_from_here(headers)  # a page of any site may send JSON that says it is plain text
        request.scope[CALLER] = door.require(headers, OUTCOMES)
        bodies.require_json(headers.get(b"content-type", b"").decode("latin-1"))
        return JSONResponse(await door.keep(await door.uploads.read(headers, request.receive)))

    async def fault(request: Request, error: Exception) -> Response:
        number = request_id(dict(request.headers.raw))
        if isinstance(error, HTTPException):
            allowed = (error.headers or {}).get("Allow", "")
            detail = f"this address takes {allowed}" if error.status_code == 405 else "no such address"
            request.scope[PROBLEM] = Problem(error.status_code, detail)
            detail = f"no address {request.url.path}" if error.status_code == 404 else detail
            answer = told(Problem(error.status_code, detail), number)
            if allowed:
                answer.headers["Allow"] = allowed
            return answer
        if isinstance(error, Problem):
            request.scope[PROBLEM] = error
            if error.status == 500:
                log.error("request %s failed: %s", number, error.__cause__ or error)
            return told(error, number)
        log.error("request %s failed", number, exc_info=error)
        request.scope[PROBLEM] = Problem(500, "a fault of the gateway")
        return told(Problem(500, "a fault of the gateway; it is on record under the request's id"), number)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=CLOSED_REQUEST)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        await gateway.begin()
        yield
        await gateway.end()

    plain = {"/ping": alive, "/health": alive, "/ready": ready, "/version": version, "/metrics": metrics,
             "/openapi.json": schema} | ({health: alive} if health else {})  # fmt: skip
    return Starlette(
        routes=[
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in plain.items()),
            Route("/outcomes", outcomes, methods=["POST"]),
            Route(V1.format("{name}"), model, methods=["GET"]),
            Route(V1.format("{name}:predict"), no_such_model, methods=["POST"]),
            *door.pages,
        ],
        exception_handlers={HTTPException: fault, Problem: fault, GoneError: gone, Exception: fault},
        lifespan=lifespan,
    )
