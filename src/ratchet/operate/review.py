"""A reviewer's word on a version: approved or refused, with a comment, on the ledger."""

from dataclasses import dataclass

from ratchet.adapters import registry, schema
from ratchet.core import history
from ratchet.core.ledger import Entry
from ratchet.errors import RatchetError
from ratchet.stages import APPROVE, PRODUCTION, REFUSE
from ratchet.steps import chronicle, moves, promote, train
from ratchet.steps.session import Session


@dataclass(frozen=True)
class Reviewed:
    """A reviewer's word, and where it leaves the version: the approvals that count, and how many are needed."""

    entry: Entry
    approvals: int
    needed: int


def review(session: Session, number: int, action: str, stage: str, why: str) -> Reviewed:
    """Append a reviewer's word to the ledger: approve or refuse that the version comes to the stage.

    It is about what was judged last, and expires when any of that changes. Raises RatchetError if nothing was judged,
    or somebody approves a version of their own.
    """
    if not why.strip():
        raise RatchetError(f"{action}: give a reason with --comment; it is what remains of the decision")
    with session.opened(action) as run, moves.begun(session, run) as board:
        version = registry.numbered(session.client, session.task.name, number)
        if version.stage == stage == PRODUCTION and action == REFUSE:
            raise RatchetError(
                f"{version.name} version {number}: is in Production, where a refusal changes nothing; take it out:"
                " `ratchet withdraw -c FILE --reason …`, or go back to the version before: `ratchet rollback -c FILE`"
            )
        if version.stage == stage:
            raise RatchetError(f"{version.name} version {number}: is in {stage} already; nothing was written")
        needed: int = getattr(session.task.approvals, stage.lower())
        if action == APPROVE and not needed:
            raise RatchetError(f"{version.name}: this file asks for no approvals (approvals: {{{stage.lower()}: 1}})")
        evidence = version.tags.get(promote.evidence_tag(stage), "")
        if not evidence:
            raise RatchetError(
                f"{version.name} version {number}: was not judged for {stage} yet; `ratchet promote -c FILE` does it"
            )
        me = chronicle.who(session.settings, schema.state(session.settings).role)
        if action == APPROVE and history.is_own(board.entries, number, version.tags.get(train.BY, ""), me):
            raise RatchetError(
                f"{version.name} version {number}: was trained by {me.name}, or nobody knows by whom; another person"
                " approves it"
            )
        if not me.account and session.settings.tracking_uri.startswith("http"):
            raise RatchetError(
                f"{action}: sign in (MLFLOW_TRACKING_USERNAME and _PASSWORD): people are told apart by that"
            )
        change = moves.change_of(version, action, stage, board.entries, why)
        entry = chronicle.append(session, run, promote.with_evidence(change, version, evidence))
        said = history.approvals([*board.entries, entry], number, stage, evidence)
        return Reviewed(entry, 0 if said.refused_by else len(said.by), needed)
