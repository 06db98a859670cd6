"""`ratchet serve`: the gateway, the model servers behind it and the record of what it answers, in one process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any, cast

from ratchet.adapters import rights
from ratchet.adapters.captured import RefusedError
from ratchet.errors import Away, ConfigError, RatchetError
from ratchet.operate import underway
from ratchet.operate.controller import Controller
from ratchet.operate.gateway import How, supervised
from ratchet.operate.modelservers import LONGEST_START_S
from ratchet.operate.supervisor import Supervisor
from ratchet.serving import bodies, outcomes, pages, server
from ratchet.serving.accesslog import AccessLog
from ratchet.serving.apikeys import Keys
from ratchet.serving.curve import RolloutState
from ratchet.serving.door import Door
from ratchet.serving.gateway import Gateway
from ratchet.serving.meters import Meters
from ratchet.serving.outcomes import FaultyError, Labels
from ratchet.serving.problems import Fault, Problem
from ratchet.serving.recorder import Recorder
from ratchet.serving.routes import Trial
from ratchet.serving.server import Listening
from ratchet.settings import log_target
from ratchet.steps.session import Session

LOOPBACK = ("127.0.0.1", "::1", "localhost")
NOT_RECORDED = ("outcomes cannot be recorded here now: whoever runs this gateway finds the reason and the mend in its"
                " log; send them again after that")  # fmt: skip
KEYS_S = 5.0  # after which a change of the file of keys is seen


@dataclass(frozen=True)
class Front:
    """How callers reach it. config: the task's file; is_open: without keys also from other machines, behind what
    checks them.
    """

    config: str
    at: Listening
    how: How
    is_open: bool = False


def serve(session: Session, front: Front, up: Callable[[str, Supervisor], None]) -> None:
    """Answer until SIGTERM or SIGINT. up: called with the address once a model answers, from another thread;
    until then it listens and says that it is not ready.

    Raises RatchetError if no version is in the stage, the port is taken, nobody would be asked for a key, or what is
    asked and comes true could not be recorded.
    """
    keys = _keys(session, front)
    if session.task.serving.capture:
        _require_recording(session)
    meters = Meters()
    recorder = Recorder(session.task, session.settings, session.progress.note)
    gateway = Gateway(session.task, recorder, meters)
    captures = session.task.serving.capture
    door = Door(gateway, keys, version("mlflow"), Truth(recorder, gateway, session.progress.note) if captures else None)
    door.hosts = frozenset(LOOPBACK) if keys.file is None and not front.is_open else frozenset()
    controller = Controller(front.config, session.settings, session.progress.note) if captures else None
    door.pages = pages.routes(door, partial(_state, session))
    target = log_target()
    door.log = AccessLog(target) if target else None
    meters.gauge("ratchet_log_lines_lost", "Lines of the log of requests that were not written.",
                 lambda: door.log.lost if door.log else 0)  # fmt: skip
    for name, about in COUNTS.items():
        meters.gauge(f"ratchet_captured_{name}", about, partial(getattr, recorder, name))
    faults = list[RatchetError]()

    def listens(supervisor: Supervisor, url: str) -> None:
        threading.Thread(target=first, args=[supervisor, url], name="first", daemon=True).start()

    def first(supervisor: Supervisor, url: str) -> None:
        try:
            supervisor.wait(LONGEST_START_S)
            up(url, supervisor)
        except RatchetError as error:
            faults.append(error)
            door.is_draining = True  # which ends it

    how = replace(front.how, trial=partial(_trial, controller, gateway, recorder)) if controller else front.how
    try:
        with supervised(session, gateway, how) as supervisor, _reread(keys, session), _looking(controller, supervisor):
            server.run(door, front.at, partial(listens, supervisor))
        if faults:
            raise faults[0]
    finally:
        recorder.close()
        if door.log:
            door.log.close()


def _require_recording(session: Session) -> None:
    """Refuse to start where the role may not record; a database that does not answer now may do so later."""
    try:
        rights.require_recording(session.settings)
    except Away as error:
        session.progress.note(f"{error}; whether requests can be recorded is not known yet, they wait until then")


def _state(session: Session) -> RolloutState | None:
    return cast("RolloutState | None", underway.shown(session.settings, session.task.name))


def _trial(controller: Controller, gateway: Gateway, recorder: Recorder) -> tuple[int, Trial] | None:
    """The rollout under way; while there is one, entities are told by the column that was frozen at its start."""
    found = controller.trial()
    column = controller.entity() if found else gateway.task.rollout.key or gateway.task.data.id
    gateway.entity_is(column)
    recorder.entity_is(column)
    return found


@contextmanager
def _looking(controller: Controller | None, supervisor: Supervisor) -> Iterator[None]:
    """Let the controller look at the rollout meanwhile."""
    if controller is None:
        yield
        return
    controller.silence = supervisor.silence
    controller.start()
    try:
        yield
    finally:
        controller.stop()


COUNTS = {
    "recorded": "Rows that are on record, or on their way there.",
    "waiting": "Rows on their way to the database.",
    "sent": "Rows that came to the database.",
    "lost": "Rows that will never be there.",
}


def _keys(session: Session, front: Front) -> Keys:
    file = session.settings.api_keys
    if file is None and front.at.host not in LOOPBACK and not front.is_open:
        raise ConfigError(
            f"--host {front.at.host}: without keys everybody who reaches it may ask; set RATCHET_API_KEYS_FILE"
            " (`ratchet key NAME` makes one), or say --no-keys where a proxy before it checks callers"
        )
    if file is None:
        session.progress.note(f"no keys (RATCHET_API_KEYS_FILE): whoever reaches {front.at.host} may ask")
    return Keys(file)


@contextmanager
def _reread(keys: Keys, session: Session) -> Iterator[None]:
    """Read the keys again when their file changes."""
    over, odd = threading.Event(), ""

    def watch() -> None:
        nonlocal odd
        while not over.wait(KEYS_S):
            if (found := keys.refresh()) != odd:
                odd = found
                session.progress.note(f"{found}; the keys of before go on" if found else "the keys are read again")

    if keys.file:
        threading.Thread(target=watch, name="keys", daemon=True).start()
    try:
        yield
    finally:
        over.set()


class Truth:
    """Keeps what came true, as callers send it."""

    def __init__(self, recorder: Recorder, gateway: Gateway, tell: Callable[[str], None]) -> None:
        self.recorder, self.gateway, self._tell, self._told = recorder, gateway, tell, ""

    def tell(self, text: str) -> None:
        """Tell whoever runs the gateway, once for each fault."""
        if text != self._told:
            self._tell(text)
        self._told = text

    def accept(self, body: bytes) -> dict[str, Any]:
        """Keep the outcomes of a body; return how many were new. It waits for the database.

        Raises Problem.
        """
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Problem(400, f"byte {error.start} is not UTF-8") from None
        described = self.gateway.described
        known = described.signature if described else None
        labels = Labels(known.classes, known.kind == "regression") if known else Labels()
        try:
            return dict(outcomes.keep(self.recorder, bodies.parsed(text), labels))
        except FaultyError as error:
            raise Problem.of([Fault(path, told) for path, told in error.faults]) from None
        except Away:
            raise Problem(503, "the database of outcomes is away; send them again", retry_s=5) from None
        except RefusedError as error:
            raise Problem(500, "the outcomes could not be kept") from error
        except RatchetError as error:
            self.tell(f"outcomes are refused with 503: {error}")
            raise Problem(503, NOT_RECORDED, retry_s=60) from None
