"""Where the model servers of a version come from: children of this process, or those that run elsewhere."""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from ratchet.adapters import models, modelserver, places, registry, servers, tether, tracking
from ratchet.adapters.modelserver import Kept
from ratchet.adapters.registry import Version
from ratchet.errors import Away, ServerError
from ratchet.operate import proof
from ratchet.operate.keeper import IsOver, Running, Start
from ratchet.operate.proof import Known
from ratchet.serving.routes import Backend
from ratchet.settings import masked
from ratchet.steps import chronicle
from ratchet.steps.session import Session

FOLDERS = "serving"
MISSES, PING_S = 3, 1.0  # pings in a row without an answer: then a server elsewhere counts as gone
LONGEST_START_S = max(modelserver.START_S.values())
Found = AbstractContextManager[Start]
AGAIN_S = 5  # longest wait before one elsewhere is asked again, which costs little


@contextmanager
def children(session: Session, version: Version, env_manager: str) -> Iterator[Start]:
    """Yield what starts `mlflow models serve` on the version's verified copy, which lies here meanwhile."""
    with places.place(session.settings.home, FOLDERS) as folder:
        model, known = _looked_at(session, version, folder)
        modelserver.name_types(model, {name: kind for name, (kind, _) in known.signature.inputs.items()})
        yield partial(_child, Kept(model, folder, env_manager, session.task.serving.timeout_s), known)


@contextmanager
def _child(how: Kept, known: Known, number: int, is_over: IsOver) -> Iterator[Running]:
    with modelserver.kept(how, f"serve-{number}", is_over) as server:
        yield Running(known.backend(server.url), partial(tether.until_one_ends, server.process))


@contextmanager
def elsewhere(session: Session, version: Version, urls: tuple[str, ...]) -> Iterator[Start]:
    """Yield what finds the version's servers at their addresses. urls: none, if no address is known of this version.

    Raises ServerError if there is none.
    """
    if not urls:
        raise ServerError(f"RATCHET_UPSTREAMS names no model server of version {version.number}")
    with session.work_folder() as folder:
        known = _looked_at(session, version, folder)[1]
    yield partial(_found, urls, known)


@contextmanager
def _found(urls: tuple[str, ...], known: Known, number: int, is_over: IsOver) -> Iterator[Running]:
    url = urls[number % len(urls)]
    if not servers.answers(f"{url}/ping"):
        raise Away(f"{masked(url)}: no model server answers there")
    yield Running(known.backend(url), partial(_until_silent, url))


def _until_silent(url: str, is_over: IsOver) -> bool:
    misses = 0
    while not is_over():
        misses = 0 if servers.answers(f"{url}/ping") else misses + 1
        if misses == MISSES:
            return True
        time.sleep(PING_S)
    return False


def addresses(named: Mapping[int | None, tuple[str, ...]], number: int, is_champion: bool) -> tuple[str, ...]:
    """Return a version's addresses; those without a number are whichever version's is the champion."""
    return named.get(number) or (named.get(None, ()) if is_champion else ())


def described(session: Session, number: int) -> Backend:
    """Return a version by its verified model alone, without a server of it: what it reads, and its sample rows.

    Raises RatchetError if there is no such version, or its model is not the one that was trained.
    """
    with session.work_folder() as folder:
        known = _looked_at(session, registry.numbered(session.client, session.task.name, number), folder)[1]
    return Backend(known.version, "", known.signature, known.sample, known.recorded or ())


def _looked_at(session: Session, version: Version, folder: Path) -> tuple[Path, Known]:
    """The version's verified copy, and what is known of it."""
    with tracking.reachable(session.settings):
        named = chronicle.model_of(session, version)
        model = models.fetched(session.client, named, folder, session.settings.model_public_key)
        known = proof.known(session, version, model)
    if known.recorded is None:
        session.progress.note(
            f"version {version.number}: nobody recorded its answers to the sample rows, so any answers will do"
        )
    return model, known
