"""The pages for people: try the model, watch a rollout, read how to ask. Plain forms, without script."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from ratchet.errors import RatchetError
from ratchet.serving import curve, figures, forms, guide, html, openapi, shown
from ratchet.serving.apikeys import ADMIN, OUTCOMES, PREDICT
from ratchet.serving.arms import Reply
from ratchet.serving.bodies import JSON
from ratchet.serving.curve import RolloutState
from ratchet.serving.door import CLOSED_REQUEST, Door, request_id
from ratchet.serving.observed import PROBLEM
from ratchet.serving.problems import Fault, Problem
from ratchet.serving.routes import Backend
from ratchet.serving.upload import GoneError
from ratchet.serving.wire import dumped

REASONS = 12
REFRESH_S = 5
NEWEST = 20  # looks in the table of a rollout
Handler = Callable[[Request], Awaitable[Response]]


def routes(door: Door, rollout: Callable[[], RolloutState | None] = lambda: None) -> Sequence[BaseRoute]:
    """Return the pages' addresses. rollout: the state of the rollout under way, or of the last one; it may block."""
    pages = Pages(door, rollout)
    return [
        *(Route(path, pages.readable(handler), methods=[method]) for path, method, handler in (
            ("/", "GET", pages.form), ("/", "POST", pages.answer), ("/feedback", "POST", pages.feedback),
            ("/rollout", "GET", pages.live), ("/rollout", "POST", pages.live_once), ("/docs", "GET", pages.docs),
        )),
        Mount("/static", html.Static(directory=html.HERE / "static")),
    ]  # fmt: skip


class Pages:
    """The handlers of the pages."""

    def __init__(self, door: Door, rollout: Callable[[], RolloutState | None]) -> None:
        self.door, self.rollout, self.task = door, rollout, door.gateway.task
        self.is_text = self.task.features.kind == "text"
        self.templates = html.templates()

    def readable(self, handler: Handler) -> Handler:
        """Return a handler whose problems are told as a page."""

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except Problem as problem:
                request.scope[PROBLEM] = problem
                return self._page("problem.html", problem, number=request_id(dict(request.headers.raw)))
            except GoneError:
                return Response(status_code=CLOSED_REQUEST)

        return handled

    async def form(self, request: Request) -> Response:
        """GET /: the form, empty or filled in with the sample row that the query names."""
        backend, said = self._champion(), request.query_params.get("sample", "")
        sample = backend.sample[int(said)] if said.isdecimal() and int(said[:9]) < len(backend.sample) else {}
        return self._try(backend, forms.cells(sample))

    async def answer(self, request: Request) -> Response:
        """POST /: the answer to the form, above or below it."""
        headers, form = await self._posted(request)
        backend, number = self._champion(), request_id(headers)
        record = forms.record(backend.signature, form)
        status, door = 500, self.door
        door.waiting += 1
        try:
            self._require(headers, form, PREDICT)
            reply = await self._asked(record, number)
            status = 200
        except Problem as problem:
            status, request.scope[PROBLEM] = problem.status, problem
            return self._try(backend, form, problem, number=number)
        finally:
            door.waiting -= 1
            door.gateway.meters.done(status)
        text = str(next(iter(record.values()))) if self.is_text else None
        answer = shown.shown(self.task, backend, json.loads(reply.body)["predictions"][0], text)
        return self._try(backend, form, answer=answer, reply=reply, number=number)

    async def feedback(self, request: Request) -> Response:
        """POST /feedback: what came true of an answer."""
        headers, form = await self._posted(request)
        self._require(headers, form, OUTCOMES)
        label, number = _label(form), form.get("request_id", "")
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await self.door.keep(dumped({"request_id": number, "label": label, "at": at}))
        return self._try(self._champion(), {}, noted=shown.word(self.task, label), number=number)

    async def live(self, request: Request) -> Response:
        """GET /rollout: the counts and the curve, again every few seconds unless the query says still."""
        try:
            self._require(dict(request.headers.raw), {}, ADMIN)
        except Problem as problem:
            return self._page("key.html", problem)
        return await self._live(is_still="still" in request.query_params)

    async def live_once(self, request: Request) -> Response:
        """POST /rollout: the same for who sends a key, which no refresh could send again."""
        self._require(*await self._posted(request), ADMIN)
        return await self._live(is_still=True)

    async def docs(self, request: Request) -> Response:
        """GET /docs: how programs ask."""
        gateway, has_keys = self.door.gateway, self.door.keys.file is not None
        champion = self.door.public(gateway.described)
        document = openapi.document(self.task, champion, gateway.entity)
        told = guide.guide(document, champion, f"{request.url.scheme}://{request.url.netloc}", has_keys)
        return self._page(
            "docs.html", guide=told, champion=champion, about=document["paths"]["/invocations"]["post"],
            withdrawn=gateway.routes.withdrawn, rule=gateway.rule,
        )  # fmt: skip

    async def _live(self, is_still: bool) -> Response:
        trouble, state = "", None
        try:
            state = await asyncio.to_thread(self.rollout)
        except RatchetError as error:
            trouble = str(error)
        looks = state["looks"] if state else []
        return self._page(
            "rollout.html", figures=figures.figures(self.door.gateway.meters), state=state, trouble=trouble,
            curve=curve.drawn(looks, state["margin"]) if state else None, looks=list(reversed(looks))[:NEWEST],
            is_still=is_still, refresh_s=REFRESH_S, now=datetime.now(UTC), champion=self.door.gateway.routes.champion,
        )  # fmt: skip

    async def _posted(self, request: Request) -> tuple[dict[bytes, bytes], dict[str, str]]:
        headers = dict(request.headers.raw)
        forms.require_from_here(headers)
        return headers, forms.read(headers, await self.door.uploads.read(headers, request.receive))

    def _require(self, headers: Mapping[bytes, bytes], form: Mapping[str, str], scope: str) -> None:
        """Raise Problem unless the key of the form, or of the headers, may do it."""
        typed = form.get("key", "").strip().encode("latin-1", "replace")
        self.door.require({b"x-api-key": typed} if typed else headers, scope)

    def _champion(self) -> Backend:
        champion = self.door.gateway.routes.champion
        if champion is None:
            raise self.door.gateway.absence
        return self.door.public(champion) or champion

    async def _asked(self, record: Mapping[str, Any], number: str) -> Reply:
        gateway = self.door.gateway
        if self.door.waiting > self.task.serving.max_waiting:
            raise Problem(429, "too many requests wait already", retry_s=1)
        if self.is_text and not record:
            raise Problem.of([Fault(f"{forms.RECORD}{next(iter(self._champion().signature.inputs))}", "is empty")])
        document: dict[str, Any] = {"dataframe_records": [record]}
        # A challenger that gives no reasons would be held to have failed.
        if all(each.signature.explains for each in (gateway.routes.champion, gateway.routes.challenger) if each):
            document["params"] = {"explain": True, "reasons": REASONS}
        return await gateway.answer(JSON, dumped(document), number, lambda: False)

    def _try(
        self, backend: Backend, form: Mapping[str, str], problem: Problem | None = None, **more: Any
    ) -> Response:  # fmt: skip
        values = {"answer": None, "reply": None, "noted": "", "number": ""} | more
        fields = forms.fields(backend, form, problem)
        elsewhere = [f.sentence for f in problem.faults if not any(f.text == field.fault for field in fields)] if (
            problem) else []  # fmt: skip
        return self._page(
            "try.html", problem, backend=backend, fields=fields, elsewhere=elsewhere, is_text=self.is_text,
            takes_outcomes=self.door.outcomes is not None, **values,
        )  # fmt: skip

    def _page(self, name: str, problem: Problem | None = None, **values: Any) -> Response:
        status = problem.status if problem else 200
        text = self.templates.get_template(name).render(
            task=self.task, problem=problem, title=HTTPStatus(status).phrase if problem else "",
            has_keys=self.door.keys.file is not None, **values,
        )  # fmt: skip
        headers = dict(html.HEADERS)
        if problem and problem.retry_s:
            headers["Retry-After"] = str(problem.retry_s)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.door.is_draining or (problem and problem.closes):
            headers["Connection"] = "close"
        return Response(text.encode("utf-8", "replace"), status, headers, "text/html; charset=utf-8")


def _label(form: Mapping[str, str]) -> shown.Label:
    """Return the label that a button or a field sends.

    Raises Problem.
    """
    if "typed" in form:
        label: Any = forms.number(form["typed"])
        if form.get("is_value") and isinstance(label, str):
            raise Problem(400, "the true value is a number")
        return label if form.get("is_value") else form["typed"].strip()
    try:
        label = json.loads(form.get("label", ""))
    except ValueError:
        label = None
    if not isinstance(label, str | int | float):
        raise Problem(400, "the form holds no label")
    return label
