"""Take the champion out of Production without a successor."""

from dataclasses import dataclass

from ratchet.adapters import captured, registry, rollouts
from ratchet.adapters.registry import Version
from ratchet.core import history
from ratchet.core.ledger import Entry
from ratchet.errors import RatchetError
from ratchet.stages import ARCHIVED, WITHDRAW
from ratchet.steps import moves, withdrawals
from ratchet.steps.session import Session


@dataclass(frozen=True)
class Withdrawn:
    """A version that was withdrawn, and the entry of the ledger that says so."""

    version: Version
    entry: Entry


def withdraw(session: Session, reason: str) -> Withdrawn:
    """Archive the version in Production; nothing takes its place until a version is promoted or rolled back to.

    Args:
        session: The session of the task.
        reason: Why, in words; it stands on the ledger and is not told to callers of the gateway.

    Returns:
        The version, as it is in the registry now, and the entry by which it left.

    Raises:
        RatchetError: The reason is blank, nothing is in Production, or a rollout is under way.
    """
    name = session.task.name
    if not reason.strip():
        raise RatchetError("withdraw: give a reason with --reason; it is what remains of the decision")
    with session.opened(WITHDRAW) as run, moves.begun(session, run) as board:
        for entry in (entry for entry in board.completed if entry.change.action == WITHDRAW):
            # The same command was killed half-way, and is now complete.
            return Withdrawn(registry.numbered(session.client, name, entry.change.version), entry)
        version = moves.by_number(session).get(moves.champion(board.entries) or 0)
        if version is None:
            emptied = history.vacancy(board.entries)
            since = f"; version {emptied.change.version} was {withdrawals.sentence(emptied)}" if emptied else ""
            raise RatchetError(f"{name}: nothing is in Production, so there is nothing to withdraw{since}")
        _require_no_rollout(session)
        change = moves.change_of(version, WITHDRAW, ARCHIVED, board.entries, reason)
        entry = moves.made(session, run, version, change)
        return Withdrawn(registry.numbered(session.client, name, version.number), entry)


def _require_no_rollout(session: Session) -> None:
    """Raise RatchetError while a rollout is under way: whether its challenger stays is for a person to say."""
    engine = captured.engine(session.settings)
    try:
        found = rollouts.open_of(engine, session.task.name)
    finally:
        engine.dispose()
    if found:
        raise RatchetError(
            f"{session.task.name}: rollout {found.id} of version {found.challenger} is under way; end it first,"
            " `ratchet rollout abort -c FILE --comment …`, then withdraw; nothing was changed"
        )
