"""Go back: a former champion returns to Production."""

from ratchet.adapters import registry
from ratchet.adapters.registry import Version
from ratchet.core import history
from ratchet.errors import RatchetError
from ratchet.stages import PRODUCTION, ROLLBACK
from ratchet.steps import chronicle, moves
from ratchet.steps.session import Session


def rollback(session: Session, to: int | None = None, why: str = "") -> tuple[Version, Version]:
    """Move a former champion back to Production; return (the version left, the version back).

    to: which one; None: the one that the champion took the place of. Raises RatchetError if there is none.
    """
    name = session.task.name
    with session.opened("rollback") as run, moves.begun(session, run) as board:
        known, entries = moves.by_number(session), board.entries
        for change in (entry.change for entry in board.completed if entry.change.action == ROLLBACK):
            # The same command was killed half-way, and is now complete: it goes no further.
            if change.replaced and to in (None, change.version):
                return known[change.replaced], known[change.version]
        left = known.get(moves.champion(entries) or 0)
        if left is None:
            raise RatchetError(f"{name}: nothing is in Production, so there is nothing to roll back")
        number = to or history.former(entries, left.number)
        if number is None:
            raise RatchetError(f"{name}: version {left.number} had no champion before it; nothing was changed")
        if number == left.number:
            raise RatchetError(f"{name}: version {number} is in Production already; nothing was changed")
        if number not in known:
            raise RatchetError(f"{name}: there is no version {number}; nothing was changed")
        moves.require_allowed(known[number], ROLLBACK, PRODUCTION, entries)
        with session.fetched(chronicle.model_of(session, known[number])):
            pass  # it can still be loaded, and is the model that was in Production then
        change = moves.change_of(known[number], ROLLBACK, PRODUCTION, entries, why)
        moves.made(session, run, known[number], change)
        return left, registry.numbered(session.client, name, number)
