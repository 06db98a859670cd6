"""A reviewer's word on a version: approved or refused, with a comment, on the ledger."""

import json

from ratchet.adapters import registry, schema
from ratchet.core import history
from ratchet.core.ledger import Entry, Who
from ratchet.errors import RatchetError
from ratchet.stages import APPROVE
from ratchet.steps import chronicle, moves, promote, train
from ratchet.steps.session import Session


def review(session: Session, number: int, action: str, stage: str, why: str) -> Entry:
    """Append a reviewer's word to the ledger: approve or refuse that the version comes to the stage.

    It is about what was judged last, and expires when any of that changes. Raises RatchetError if nothing was judged,
    or somebody approves a version of their own.
    """
    if not why.strip():
        raise RatchetError(f"{action}: give a reason with --comment; it is what remains of the decision")
    with session.opened(action) as run, moves.begun(session, run) as board:
        version = registry.numbered(session.client, session.task.name, number)
        evidence = version.tags.get(promote.evidence_tag(stage), "")
        if not evidence:
            raise RatchetError(
                f"{version.name} version {number}: was not judged for {stage} yet; `ratchet promote -c FILE` does it"
            )
        me = chronicle.who(schema.state(session.settings).role)
        if action == APPROVE and is_own(json.loads(version.tags.get(train.BY, "{}")), me):
            raise RatchetError(f"{version.name} version {number}: was trained by {me.name}; another person approves it")
        change = moves.change_of(version, action, stage, board.entries, why)
        return chronicle.append(session, run, promote.with_evidence(change, version, evidence))


def is_own(author: dict[str, str], me: Who) -> bool:
    """Whether who trained a version and who approves it are one."""
    return bool(author) and history.is_same_person(Who("", **author), me)
