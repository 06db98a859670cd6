"""A reviewer's word on a version: approved or refused, with a comment, on the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.adapters import registry
from ratchet.adapters.registry import Version
from ratchet.core import history
from ratchet.core.ledger import Entry, Who
from ratchet.errors import RatchetError
from ratchet.stages import APPROVE, PRODUCTION, REFUSE
from ratchet.steps import chronicle, moves, promote, yardstick
from ratchet.steps.session import Session


@dataclass(frozen=True)
class Reviewed:
    """A reviewer's word, and where it leaves the version.

    approvals: those that count; needed: how many it takes; unverified: why this one does not count, empty if it does;
    yardstick: by what an approved version was judged, beside the champion, as plain values; empty of a refusal.
    """

    entry: Entry
    approvals: int
    needed: int
    unverified: str
    yardstick: Mapping[str, Any]


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
        evidence = version.tags.get(promote.evidence_tag(stage), "")
        if not evidence:
            raise RatchetError(
                f"{version.name} version {number}: was not judged for {stage} yet; `ratchet promote -c FILE` does it"
            )
        change = moves.change_of(version, action, stage, board.entries, why)
        report: Mapping[str, Any] = {}
        needed, trust = getattr(session.task.approvals, stage.lower()), session.task.approvals.trust
        if action == APPROVE:  # a refusal holds whatever was judged
            report = yardstick.on_record(session, version, stage, evidence)
            needed, trust = report["needed"][stage], report["trust"][stage]
            _require_needed(session, version, stage, needed)
            _require_other(version, change.author, chronicle.who(session.settings), trust)
        entry = chronicle.append(session, run, promote.with_evidence(change, version, evidence))
        said = history.approvals([*board.entries, entry], number, stage, evidence, trust)
        unverified = promote.UNVERIFIED if action == APPROVE and entry.who.name in said.unverified else ""
        return Reviewed(entry, 0 if said.refused_by else len(said.by), needed, unverified, report)


def _require_needed(session: Session, version: Version, stage: str, needed: int) -> None:
    """Raise RatchetError if nobody asks for an approval. needed: by the file that the version was judged by."""
    if needed:
        return
    if getattr(session.task.approvals, stage.lower()):
        raise RatchetError(
            f"{version.name} version {version.number}: was judged by a file that asks for no approvals; `ratchet"
            f" promote -c FILE --version {version.number}` judges it by this one"
        )
    raise RatchetError(f"{version.name}: this file asks for no approvals (approvals: {{{stage.lower()}: 1}})")


def _require_other(version: Version, author: str, me: Who, trust: str) -> None:
    """Raise RatchetError if somebody surely trained the version themselves, or nobody knows who did."""
    trained_by = history.person_of(author)
    fault = (
        f"{version.name} version {version.number}: was trained by {me.name}, or nobody knows by whom; another person"
    )
    if trained_by is None:
        raise RatchetError(f"{fault} approves it")
    is_told_apart = trust == "local" or (me.is_verified and trained_by.is_verified)
    if is_told_apart and history.is_same_person(trained_by, me):
        raise RatchetError(f"{fault} approves it")


def remarks(reviewed: Reviewed) -> Sequence[str]:
    """Return what a reviewer has to see beside their own word: what is accepted, and what asks for less than before."""
    report, stage = reviewed.yardstick, reviewed.entry.change.to_stage
    if not report:
        return []
    return [*report["accepted"], *(f"loosened {text}" for text in report["loosened"][stage]),
            *([report["unknown"]] if report["unknown"] else [])]  # fmt: skip
