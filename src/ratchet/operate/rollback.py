"""Go back one notch: the former champion returns to Production."""

from ratchet.adapters import database, ledger, process, registry, stops
from ratchet.adapters.ledger import Entry
from ratchet.adapters.registry import CHAMPION, FORMER, PRODUCTION, Version
from ratchet.errors import RatchetError
from ratchet.steps.session import Session


def rollback(session: Session) -> tuple[Version, Version]:
    """Move the champion's predecessor back to Production; return (the version left, the version back).

    Raises RatchetError if there is no champion, or none before it.
    """
    name = session.task.name
    with database.lock(session.settings, f"promote-{name}"):
        bearer = next((v for v in registry.versions(session.client, name) if CHAMPION in v.aliases), None)
        registry.settle(session.client, name)
        champion = registry.in_stage(session.client, name, PRODUCTION)
        if champion is None:
            raise RatchetError(f"{name}: nothing is in Production, so there is nothing to roll back")
        came_back = bearer and bearer.number != champion.number and bearer.tags.get(FORMER) == str(champion.number)
        if bearer and came_back and champion.tags.get(FORMER) != str(bearer.number):
            return bearer, champion  # a rollback that was killed half-way is now complete
        number = champion.tags.get(FORMER)
        known = {version.number: version for version in registry.versions(session.client, name)}
        if number is None:
            raise RatchetError(f"{name}: version {champion.number} had no champion before it; nothing was changed")
        if int(number) not in known:
            raise RatchetError(f"{name}: version {number}, the champion before, was deleted; nothing was changed")
        former = known[int(number)]
        entry = Entry(name, former.number, former.stage, PRODUCTION, process.user())
        with stops.uninterrupted(), ledger.appended(session.settings, entry):
            registry.move(session.client, former, PRODUCTION)
        return champion, former
