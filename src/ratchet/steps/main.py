"""The main job: all steps under one run."""

from dataclasses import dataclass
from typing import Any

from ratchet.adapters.runs import MAIN
from ratchet.core import gates
from ratchet.errors import GateRefused
from ratchet.steps import describe, evaluate, judge, preprocess, promote, train
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
    with session.opened(MAIN) as run:
        prepared = preprocess.preprocess(session, run)
        judge.check(session, prepared)
        name = describe.begin_main(session, run, prepared)
        train.train(session, run)
        evaluated = evaluate.evaluate(session, run)
        try:
            promoted = promote.promote(session, promote.Asked(), run)
        except GateRefused as refusal:
            describe.end_main(session, run, name, evaluated, describe.of_refusal(refusal))
            raise
        outcome = describe.of_move(promoted.version, gates.as_json(promoted.verdicts))
        describe.end_main(session, run, name, evaluated, outcome)
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
