"""What the tests of the pages share: a tiny model server that gives reasons, and a gateway with its pages before it."""

import contextlib
import json
import math
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import uvicorn
import yaml

from ratchet.adapters import sockets
from ratchet.config import Task
from ratchet.serving import pages
from ratchet.serving.apikeys import Keys
from ratchet.serving.app import build
from ratchet.serving.curve import RolloutState
from ratchet.serving.door import Door
from ratchet.serving.gateway import Gateway
from ratchet.serving.meters import Meters
from ratchet.serving.problems import Fault, Problem
from ratchet.serving.routes import Backend, Call, Routes, Signature
from ratchet.serving.server import Protocol, Server
from tests.end_to_end.conftest import Served

Row = dict[str, Any]
WEIGHTS = {"재미있": 1.9, "최고": 1.6, "감동": 1.2, "배우": 0.4, "지루": -1.8, "아까": -1.5, "최악": -2.2, "뻔한": -0.9,
           "great": 1.5, "dull": -1.6}  # fmt: skip
REVIEWS = (
    "배우들 연기는 최고인데 결말이 뻔한 게 아까워요. 그래도 정말 재미있게 봤습니다",
    "시간이 아까운 영화",
    "감동적이고 아름답다",
    "A great cast in a dull film",
)


def of_text(row: Row) -> Row:
    """A reader of reviews by ten words."""
    words = list(re.finditer(r"\S+", row["document"]))
    reasons = [
        {"word": word[0], "start": word.start(), "end": word.end(), "contribution": weight}
        for word in words
        for part, weight in WEIGHTS.items()
        if part in word[0].lower()
    ]
    margin = sum(reason["contribution"] for reason in reasons)
    probability = 1 / (1 + 2.718281828**-margin)
    return {"label": int(probability >= 0.5), "probability": probability, "reasons": reasons}


class Model:
    """A model server: answers each row of MLflow's split form by a function, and remembers the bodies."""

    def __init__(self, answer: Callable[[Row], Row]) -> None:
        self.bodies: list[Any] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.bodies.append(body)
                split = body["dataframe_split"]
                rows = [dict(zip(split["columns"], cells, strict=True)) for cells in split["data"]]
                said = json.dumps({"predictions": [answer(row) for row in rows]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@dataclass
class Heard:
    """Keeps calls and outcomes in memory."""

    calls: list[Call] = field(default_factory=list)
    outcomes: list[Row] = field(default_factory=list)

    def record(self, call: Call) -> None:
        self.calls.append(call)

    def accept(self, body: bytes) -> dict[str, int]:
        outcome = json.loads(body)
        if outcome["request_id"] not in {call.request_id for call in self.calls}:
            raise Problem.of([Fault("request_id", "is not known")])
        self.outcomes.append(outcome)
        return {"accepted": 1}


@dataclass(frozen=True)
class Site:
    """A gateway that runs: its URL, what it heard, and its door."""

    url: str
    heard: Heard
    door: Door


def text_task(**more: Any) -> Task:
    return Task.model_validate({
        "name": "reviews", "problem": {"question": "Does this reviewer like the film?"},
        "data": {"sources": {"reviews": {"uris": ["reviews.tsv"]}}, "target": "liked", "positive": 1},
        "features": {"kind": "text", "text": "document"},
    } | more)  # fmt: skip


def table_task(**more: Any) -> Task:
    return Task.model_validate({
        "name": "applicants", "problem": {"question": "Will this applicant default?"},
        "data": {"sources": {"applicants": {"uris": ["applicants.csv"]}}, "target": "defaulted", "positive": "yes"},
    } | more)  # fmt: skip


def text_backend(url: str) -> Backend:
    sample = tuple({"document": text} for text in REVIEWS)
    return Backend(3, url, Signature({"document": ("text", True)}, explains=True), sample)


@contextlib.contextmanager
def site(
    task: Task, routes: Routes, rollout: Callable[[], RolloutState | None] = lambda: None, keys: Path | None = None
) -> Iterator[Site]:
    """Run a gateway with its pages in a thread."""
    heard, meters = Heard(), Meters()
    gateway = Gateway(task, heard, meters)
    gateway.route(routes)
    door = Door(gateway, Keys(keys), "3.17.2", outcomes=heard)
    door.pages = pages.routes(door, rollout)
    bound, up = sockets.bound("127.0.0.1", 0), threading.Event()
    server = Server(uvicorn.Config(build(door), http=Protocol, log_config=None), door, up.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    assert up.wait(20)
    try:
        yield Site(f"http://127.0.0.1:{bound.getsockname()[1]}", heard, door)
    finally:
        server.should_exit = True
        thread.join(20)
        bound.close()


def rollout_state(looks: int = 60) -> RolloutState:
    """A rollout that has come to 20 %: made-up outcomes, the challenger right a little more often."""
    began, chance = datetime(2026, 5, 3, 9, 0, tzinfo=UTC), random.Random(12)
    found, rows, wrong = [], [0, 0], [0, 0]
    for number in range(looks):
        percent = 5 if number < looks // 3 else 10 if number < 2 * looks // 3 else 20
        for arm, (share, rate) in enumerate(((100 - percent, 0.130), (percent, 0.122))):
            rows[arm] += 4 * share
            wrong[arm] += sum(chance.random() < rate for _ in range(4 * share))
        difference = wrong[1] / rows[1] - wrong[0] / rows[0]
        width = 3.1 * math.sqrt(0.11 / rows[1] + 0.11 / rows[0])
        found.append({
            "at": (began + timedelta(minutes=7 * number)).strftime("%Y-%m-%dT%H:%M:%S.000000Z"), "rows": list(rows),
            "difference": difference, "low": difference - width, "high": difference + width, "percent": percent,
        })  # fmt: skip
    losses = [wrong[arm] / rows[arm] for arm in (0, 1)]
    seen = f"{difference:+.3f} ({difference - width:+.3f} to {difference + width:+.3f})"
    return {
        "rollout": 3, "state": "running", "percent": 20, "percents": [5, 10, 20, 50, 100], "challenger": 4,
        "champion": 3, "metric": "accuracy", "margin": 0.02, "verdict": "hold",
        "reasons": [f"The difference is {seen}; the margin is 0.02.",
                    "The share of 20 % has been in place for 42 of 60 minutes."],
        "looks": found,  # type: ignore[typeddict-item]
        "arms": {
            "champion": {"rows": rows[0] + 8_290, "outcomes": rows[0], "loss": losses[0], "errors": 0,
                         "latency_ms": 6.1},
            "challenger": {"rows": rows[1] + 929, "outcomes": rows[1], "loss": losses[1], "errors": 1,
                           "latency_ms": 6.4},
        },
    }  # fmt: skip


def backend_of(served: Served) -> Backend:
    """The version that a command serves, as the gateway knows it."""
    about = yaml.safe_load(next((served.place / "mlruns").rglob("MLmodel")).read_text())
    columns = json.loads(about["signature"]["inputs"])
    inputs = {it["name"]: (about["metadata"]["columns"][it["name"]], it["required"]) for it in columns}
    sample = json.loads(next((served.place / "mlruns").rglob("sample.json")).read_text())["dataframe_records"]
    explains = "explain" in (about["signature"].get("params") or "")
    return Backend(1, served.url, Signature(inputs, explains=explains), tuple(sample), tuple(served.ask(sample)))  # type: ignore[arg-type]
