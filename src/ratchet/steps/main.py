"""The main job: all steps under one run."""

from dataclasses import dataclass
from typing import Any

from ratchet.steps import evaluate, judge, preprocess, promote, train
from ratchet.steps.evaluate import Evaluated
from ratchet.steps.promote import Promoted
from ratchet.steps.session import Session


@dataclass(frozen=True)
class Done:
    """What the main job brought."""

    run_id: str
    evaluated: Evaluated
    promoted: Promoted


def main(session: Session) -> Done:
    """Preprocess, train, evaluate and promote to Production.

    Raises GateRefused if a gate does not open; what was trained stays on record.
    """
    with session.opened("main") as run:
        judge.check(session, preprocess.preprocess(session, run))
        train.train(session, run)
        evaluated = evaluate.evaluate(session, run)
        run.log_metrics({f"test_{name}": value for name, value in evaluated.report["metrics"].items()})
        promoted = promote.promote(session, promote.Asked(), run)
        run.set_tags({"ratchet.version": promoted.version.number, "ratchet.stage": promoted.version.stage})
        return Done(run.id, evaluated, promoted)


def as_json(done: Done, task: str) -> dict[str, Any]:
    """Return the result as plain values."""
    return {
        "task": task,
        **promote.as_json(done.promoted),
        "run_id": done.run_id,
        "metrics": dict(done.evaluated.report["metrics"]),
    }
