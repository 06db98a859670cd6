"""The registry against the ledger: what was changed past it is named, and adopted or reverted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from ratchet.adapters import registry
from ratchet.adapters.runs import Run
from ratchet.core.history import GONE, Difference
from ratchet.core.ledger import Change, Entry
from ratchet.errors import RatchetError
from ratchet.stages import ADOPT, ALIASES, REVERT
from ratchet.steps import chronicle, moves
from ratchet.steps.session import Session

How = Literal["look", "adopt", "revert"]


def reconcile(session: Session, how: How, why: str = "") -> list[Difference]:
    """Return what the registry shows otherwise than the ledger, after having it adopted or reverted.

    adopt: the ledger takes it over, with the reason; revert: the registry goes back to what the ledger says. Raises
    RatchetError where that cannot be done, such as bringing back a version that was deleted; nothing is changed then.
    """
    if how == "adopt" and not why.strip():
        raise RatchetError("reconcile --adopt: give a reason with --comment; it stands on the ledger for what was done")
    with session.opened(chronicle.RECONCILE) as run, moves.locked(session, run) as board:
        found = moves.drift(session, board.entries)
        if found and how == "adopt":
            _adopt(session, run, found, why)
        elif found and how == "revert":
            _revert(session, run, board.entries, found, why)
        return found


def _adopt(session: Session, run: Run, found: list[Difference], why: str) -> None:
    known, needed = moves.by_number(session), session.task.approvals.model_dump()
    for difference in found:
        if needed.get(difference.found.lower()) and difference.recorded != difference.found:
            raise RatchetError(
                f"{session.task.name}: {difference.text}; {difference.found} asks for approvals, which --adopt does not"
                " replace: give --revert, then `ratchet promote`"
            )
    for stage in ALIASES:
        if len(there := [number for number, version in known.items() if version.stage == stage]) > 1:
            numbers = " and ".join(map(str, sorted(there)))
            raise RatchetError(f"{session.task.name}: versions {numbers} are both in {stage}: give --revert, or archive"
                               " one in the MLflow UI")  # fmt: skip
    for difference in sorted(found, key=lambda d: d.found not in ALIASES):
        entries = chronicle.entries(session)
        if difference.version not in {d.version for d in moves.drift(session, entries)}:
            continue  # archived with the one before it, on the ledger too
        version = known.get(difference.version)
        if version is None:
            change = Change(session.task.name, difference.version, ADOPT, difference.recorded, GONE, why)
            chronicle.append(session, run, change)
            continue
        registry.move(session.client, version, version.stage)  # where the stage stays, the alias follows it
        change = moves.change_of(version, ADOPT, version.stage, entries, why)
        moves.recorded(session, run, replace(change, from_stage=difference.recorded))


def _revert(session: Session, run: Run, entries: Sequence[Entry], found: list[Difference], why: str) -> None:
    if lost := [difference for difference in found if not difference.is_revertible]:
        raise RatchetError(f"{session.task.name}: {lost[0].text}, which cannot be undone: give --adopt, with a reason")
    known = moves.by_number(session)
    for difference in sorted(found, key=lambda d: d.recorded not in ALIASES):
        version = known[difference.version]
        change = moves.change_of(version, REVERT, difference.recorded, entries, why or difference.text)
        moves.made(session, run, version, replace(change, replaced=None))
