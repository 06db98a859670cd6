"""Step 4: register the judged model, hold it against the gates, and move it through the stages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ratchet.adapters import database, ledger, process, registry, stops
from ratchet.adapters.ledger import Entry
from ratchet.adapters.registry import NONE, PRODUCTION, STAGING, Version
from ratchet.adapters.runs import Run
from ratchet.core import gates
from ratchet.core.gates import Verdict
from ratchet.errors import GateRefused
from ratchet.steps import evaluate, judge, train
from ratchet.steps.evaluate import Evaluated
from ratchet.steps.session import Session

Target = Literal["staging", "production"]


@dataclass(frozen=True)
class Promoted:
    """Where a version came to, and what each gate said on the way (stage -> verdicts)."""

    run_id: str
    version: Version
    verdicts: Mapping[str, list[Verdict]]


def promote(session: Session, to: Target = "production", parent: Run | None = None) -> Promoted:
    """Register the model of evaluate and move it: None -> Staging -> Production, as far as `to`.

    Raises GateRefused with every reason; the version stays where it was allowed to come.
    """
    with session.opened("promote", parent) as run:
        evaluated = evaluate.evaluate(session, parent or run)
        session.progress.step("promote", "running")
        with database.lock(session.settings, f"promote-{session.task.name}"):
            promoted = _advance(session, run, evaluated, to)
        session.progress.step("promote", "done")
        return promoted


def _advance(session: Session, run: Run, evaluated: Evaluated, to: Target) -> Promoted:
    registry.settle(session.client, session.task.name)
    version = _register(session, evaluated)
    _same_champion(session, evaluated, version)
    stages = judge.WAY[to]
    verdicts = judge.judge(session, run, evaluated, stages)
    run.set_tags({"ratchet.version": version.number, "ratchet.model_uri": version.uri})
    if version.stage == PRODUCTION and PRODUCTION in stages:
        return Promoted(run.id, version, verdicts)
    for stage in stages:
        if not gates.opens(verdicts[stage]):
            refusal = _refusal(session.task.name, version, stage, verdicts[stage])
            raise GateRefused(refusal, evaluated.report, gates_as_json(verdicts))
        if (version.stage, stage) in ((STAGING, STAGING), (PRODUCTION, STAGING)):
            continue
        entry = Entry(version.name, version.number, version.stage, stage, process.user())
        with stops.uninterrupted(), ledger.appended(session.settings, entry):
            registry.move(session.client, version, stage, remember=stage == PRODUCTION)
        version = registry.numbered(session.client, version.name, version.number)
    return Promoted(run.id, version, verdicts)


def _same_champion(session: Session, evaluated: Evaluated, version: Version) -> None:
    """Refuse if another version took Production after evaluate compared with its champion."""
    now = registry.in_stage(session.client, version.name, PRODUCTION)
    seen = (evaluated.report["champion"] or {}).get("version")
    if now and now.number not in (seen, version.number):
        raise GateRefused(
            f"{version.name} version {version.number}: version {now.number} came to Production after this one was"
            " judged; run it again, to be judged against that one",
            evaluated.report,
        )


def _refusal(name: str, version: Version, stage: str, verdicts: list[Verdict]) -> str:
    closed = [verdict for verdict in verdicts if verdict.verdict != gates.PASS]
    reasons = "; ".join(f"{verdict.sentence} ({verdict.verdict})" for verdict in closed)
    where = "was registered" if version.stage == NONE else f"stays in {version.stage}"
    return f"{name} version {version.number} {where}; {stage} refused: {reasons}"


def _register(session: Session, evaluated: Evaluated) -> Version:
    task = session.task
    figures = ", ".join(f"{name} {value:.4f}" for name, value in list(evaluated.report["metrics"].items())[:4])
    made = session.client.get_run(evaluated.trained.run_id).data.tags
    question = task.problem.question or task.name
    about = {
        "description": f"{question} On {evaluated.report['rows']:,} test rows: {figures}.",
        "tags": {
            "ratchet.task": task.name,
            **{name: made[name] for name in train.ORIGIN},
            "ratchet.train_run": evaluated.trained.run_id,
            "ratchet.evaluate_run": evaluated.run_id,
        },
    }
    uri, run_id = evaluated.trained.model_uri, evaluated.trained.run_id
    return session.patience.call(
        lambda: registry.register(session.client, task.name, uri, run_id, about), session.spool.server
    )


def as_json(promoted: Promoted) -> dict[str, Any]:
    """Return the result as plain values."""
    return {
        "run_id": promoted.run_id,
        "model_uri": promoted.version.uri,
        "version": promoted.version.number,
        "stage": promoted.version.stage,
        "gates": gates_as_json(promoted.verdicts),
    }


def gates_as_json(verdicts: Mapping[str, list[Verdict]]) -> list[dict[str, Any]]:
    """Return the verdicts as plain values, in order of the stages."""
    return gates.as_json(verdicts)
