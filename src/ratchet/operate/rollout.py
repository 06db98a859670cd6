"""A rollout begins: its terms are frozen on the ledger, then the first share of the traffic is let in."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ratchet.adapters import captured, joined, registry, rollouts, schema
from ratchet.adapters.registry import Version
from ratchet.adapters.rollouts import RUNNING, Rollout, Step
from ratchet.adapters.runs import Run
from ratchet.core import rollout as terms_of
from ratchet.core.labels import spelling
from ratchet.core.rollout import Judged
from ratchet.errors import RatchetError
from ratchet.operate import settling
from ratchet.operate.looking import moment, who
from ratchet.operate.underway import changed
from ratchet.stages import PRODUCTION, ROLLOUT, STAGING
from ratchet.steps import chronicle, moves, promote
from ratchet.steps.session import Session

if TYPE_CHECKING:
    import sqlalchemy


def start(session: Session, number: int | None = None, why: str = "") -> Rollout:
    """Let the version in Staging in on the first share of the entities; return the rollout.

    number: says that it is this version. Its terms are frozen: on the ledger first, then traffic comes. Raises
    RatchetError that says what is missing.
    """
    task, settings = session.task, session.settings
    if not task.serving.capture:
        raise RatchetError("serving.capture: false; a rollout is judged by what is captured: true lets it begin")
    if not schema.state(settings).may_promote:
        raise RatchetError(f"{task.name}: {promote.NO_PROMOTER.replace('promote', 'rollout start')}")
    chronicle.require_key(settings)
    engine = captured.engine(settings)
    try:
        with session.opened(ROLLOUT) as run, moves.begun(session, run) as board:
            begun = _begun(session, engine, run, _both(session, number), why)
            settling.settled(session, engine, board.entries, run)
            return changed(engine, begun, _first_share, Step("", "step", 0, "the first share", who()))
    finally:
        engine.dispose()


def _begun(
    session: Session, engine: "sqlalchemy.Engine", run: Run, versions: tuple[Version, Version], why: str
) -> Rollout:
    """Return the rollout on record, at 0 %; one whose start was killed before it took any traffic goes on."""
    champion, challenger = versions
    found = rollouts.open_of(engine, champion.name)
    if found and not found.share_since and (found.champion, found.challenger) == (champion.number, challenger.number):
        return found
    if found:
        raise RatchetError(rollouts.UNDER_WAY.format(champion.name))
    terms, now = _terms(session, champion, challenger), moment(datetime.now(UTC))
    thawed, place = terms_of.thaw(terms), joined.now(engine)  # what came before is not about it
    nothing = replace(Judged.from_json("", thawed), place=(place.requests, place.outcomes))
    made = Rollout(
        champion.name, champion.number, challenger.number, terms, secrets.token_hex(16), who(), now, run.id,
        judged=nothing.as_json(), updated_at=now,
    )  # fmt: skip
    shares = ", ".join(f"{each:g}" for each in thawed.percents)
    said = f"shares {shares} %" + (f": {why}" if why else "")
    return rollouts.begin(engine, made, Step(now, "start", 0, said, who()))


def _both(session: Session, number: int | None) -> tuple[Version, Version]:
    """Return the champion and the version in Staging."""
    name = session.task.name
    found = [registry.in_stage(session.client, name, stage) for stage in (PRODUCTION, STAGING)]
    champion, challenger = found
    if challenger is None or (number and number != challenger.number):
        there = f"version {challenger.number} is there" if challenger else "nothing is there"
        raise RatchetError(
            f"{name}: a rollout is of the version in Staging, and {there}; `ratchet promote -c FILE --to staging"
            f"{f' --version {number}' if number else ''}` brings one there"
        )
    if champion is None:
        raise RatchetError(
            f"{name}: nothing is in Production that it could be held against; `ratchet promote -c FILE --version"
            f" {challenger.number}` brings this one there"
        )
    return champion, challenger


def _terms(session: Session, champion: Version, challenger: Version) -> str:
    """Return the terms; the models themselves say what they answer."""
    one, other = (session.scorer(chronicle.model_of(session, each)) for each in (champion, challenger))
    if one.kind != other.kind or sorted(map(spelling, one.classes)) != sorted(map(spelling, other.classes)):
        raise RatchetError(
            f"{session.task.name}: versions {champion.number} and {challenger.number} answer different labels"
            f" ({', '.join(map(str, one.classes))}; {', '.join(map(str, other.classes))}), which cannot be compared"
        )
    classes = [each.item() if hasattr(each, "item") else each for each in other.classes]
    return terms_of.freeze(session.task, other.kind, classes)


def _first_share(found: Rollout) -> dict[str, Any]:
    first = terms_of.thaw(found.terms).percents[0]
    return {"state": RUNNING, "percent": first, "share_since": moment(datetime.now(UTC))}
