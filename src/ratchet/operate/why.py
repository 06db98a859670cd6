"""Which steps would run again, and which input of each has changed."""

from typing import Any

from ratchet.adapters import registry
from ratchet.stages import PRODUCTION
from ratchet.steps import evaluate, preprocess, train
from ratchet.steps.inputs import digest_of
from ratchet.steps.session import Session


def why(session: Session) -> list[dict[str, Any]]:
    """Return by step: its name, whether it is reused or runs, and what changed (input -> how; None: never ran)."""
    champion = registry.in_stage(session.client, session.task.name, PRODUCTION)
    steps = {
        "preprocess": preprocess.inputs(session),
        "train": train.inputs(session),
        "evaluate": evaluate.inputs(session, champion),
    }
    found = []
    for name, inputs in steps.items():
        reused = session.finished(name, digest_of(inputs)) is not None
        changed = {} if reused else session.why(name, inputs)
        found.append({"step": name, "state": "reused" if reused else "runs", "changed": changed})
    return found
