"""Go back: a former champion returns to Production."""

from collections.abc import Sequence

from ratchet.adapters import registry
from ratchet.adapters.registry import Version
from ratchet.core import history
from ratchet.core.ledger import Entry
from ratchet.errors import RatchetError
from ratchet.stages import PRODUCTION, ROLLBACK
from ratchet.steps import chronicle, moves, withdrawals
from ratchet.steps.session import Session


def rollback(session: Session, to: int | None = None, why: str = "") -> tuple[Version, Version]:
    """Move a former champion back to Production; return (the version left, the version back).

    Where the champion was withdrawn, it is the version left. A version that was withdrawn itself comes back only if it
    is named and a reason is given.

    Args:
        session: The session of the task.
        to: The version that comes back; None: the one that the champion took the place of.
        why: The reason, for the ledger.

    Raises:
        RatchetError: There is no such version, or it was withdrawn and is not asked for by number and reason.
    """
    name = session.task.name
    with session.opened("rollback") as run, moves.begun(session, run) as board:
        known, entries = moves.by_number(session), board.entries
        for done in (entry for entry in board.completed if entry.change.action == ROLLBACK):
            # The same command was killed half-way, and is now complete: it goes no further.
            before = [entry for entry in entries if entry.sequence < done.sequence]
            left = known.get(done.change.replaced or _emptied_by(before))
            if left and to in (None, done.change.version):
                return left, known[done.change.version]
        left = known.get(moves.champion(entries) or _emptied_by(entries))
        if left is None:
            raise RatchetError(f"{name}: nothing is in Production, so there is nothing to roll back")
        number = to or history.former(entries, left.number)
        if number is None:
            raise RatchetError(f"{name}: version {left.number} had no champion before it; nothing was changed")
        if number == moves.champion(entries):
            raise RatchetError(f"{name}: version {number} is in Production already; nothing was changed")
        if number not in known:
            raise RatchetError(f"{name}: there is no version {number}; nothing was changed")
        if not (to and why.strip()) and (entry := history.withdrawal(entries, number)):
            raise RatchetError(
                f"{name}: version {number} was {withdrawals.sentence(entry)}; to bring it back all the same, name it"
                f" and say why: `ratchet rollback -c FILE --to {number} --comment …`; nothing was changed"
            )
        moves.require_allowed(known[number], ROLLBACK, PRODUCTION, entries)
        with session.fetched(chronicle.model_of(session, known[number])):
            pass  # it can still be loaded, and is the model that was in Production then
        change = moves.change_of(known[number], ROLLBACK, PRODUCTION, entries, why)
        moves.made(session, run, known[number], change)
        return left, registry.numbered(session.client, name, number)


def _emptied_by(entries: Sequence[Entry]) -> int:
    """Return the version that left Production empty; 0 if none did."""
    emptied = history.vacancy(entries)
    return emptied.change.version if emptied else 0
