"""Step 4: register the judged model, hold it against the gates, and move it through the stages."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ratchet.adapters import database, registry, tracking
from ratchet.adapters.registry import NONE, PRODUCTION, STAGING, Version
from ratchet.adapters.tracking import Run
from ratchet.core import gates
from ratchet.core.gates import Verdict
from ratchet.errors import GateRefused
from ratchet.steps import evaluate
from ratchet.steps.evaluate import Evaluated
from ratchet.steps.session import PACKAGE, Session, key_of

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
    with tracking.opened(session.client, session.task.name, "promote", parent) as run:
        evaluated = evaluate.evaluate(session, parent or run)
        session.progress.step("promote", "running")
        with database.lock(session.settings, f"promote-{session.task.name}"):
            promoted = _advance(session, run, evaluated, to)
        session.progress.step("promote", "done")
        return promoted


def _advance(session: Session, run: Run, evaluated: Evaluated, to: Target) -> Promoted:
    version = _register(session, evaluated)
    judged = {
        STAGING: gates.judge(session.task.gates.staging, evaluated.evidence, evaluated.report["kind"]),
        PRODUCTION: gates.judge(session.task.gates.production, evaluated.evidence, evaluated.report["kind"]),
    }
    stages = [STAGING] if to == "staging" else [STAGING, PRODUCTION]
    verdicts = {stage: judged[stage] for stage in stages}
    said = {f"{stage}: {v.sentence}": v.verdict for stage in stages for v in verdicts[stage]}
    run.log_json(said, "gates.json")
    run.set_tags({"ratchet.version": version.number, "ratchet.model_uri": version.uri})
    if version.stage == PRODUCTION and PRODUCTION in stages:
        return Promoted(run.id, version, verdicts)
    for stage in stages:
        if not gates.opens(verdicts[stage]):
            raise GateRefused(_refusal(session.task.name, version, stage, verdicts[stage]))
        if (version.stage, stage) in ((STAGING, STAGING), (PRODUCTION, STAGING)):
            continue
        former = registry.move(session.client, version, stage)
        if former and stage == PRODUCTION:  # where a rollback leads back to
            session.client.set_model_version_tag(version.name, str(version.number), registry.FORMER, str(former.number))
        version = registry.numbered(session.client, version.name, version.number)
    return Promoted(run.id, version, verdicts)


def _refusal(name: str, version: Version, stage: str, verdicts: list[Verdict]) -> str:
    closed = [verdict for verdict in verdicts if verdict.verdict != gates.PASS]
    reasons = "; ".join(f"{verdict.sentence} ({verdict.verdict})" for verdict in closed)
    where = "was registered" if version.stage == NONE else f"stays in {version.stage}"
    return f"{name} version {version.number} {where}; {stage} refused: {reasons}"


def _register(session: Session, evaluated: Evaluated) -> Version:
    task = session.task
    figures = ", ".join(f"{name} {value:.4f}" for name, value in list(evaluated.report["metrics"].items())[:4])
    about = {
        "description": f"{task.problem.question or task.name} On {evaluated.report['rows']:,} test rows: {figures}.",
        "tags": {
            "ratchet.task": task.name,
            "ratchet.commit": tracking.git_commit() or "unknown",
            "ratchet.data": key_of((), [table.digest for table in session.tables], task.data.query),
            "ratchet.config": key_of((), task.model_dump(mode="json")),
            "ratchet.lock": lock_digest(),
            "ratchet.split": evaluated.report["split_digest"],
            "ratchet.train_run": evaluated.trained.run_id,
            "ratchet.evaluate_run": evaluated.run_id,
        },
    }
    uri, run_id = evaluated.trained.model_uri, evaluated.trained.run_id
    return registry.register(session.client, task.name, uri, run_id, about)


def lock_digest() -> str:
    """Return the digest of requirements.lock beside the source; unknown where Ratchet is installed without it."""
    lock = PACKAGE.parents[1] / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "unknown"


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
    return [
        {"stage": stage, "verdict": v.verdict, "sentence": v.sentence, "figure": v.figure}
        for stage, judged in verdicts.items()
        for v in judged
    ]
