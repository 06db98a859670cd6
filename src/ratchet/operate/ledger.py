"""What the ledger tells: its entries, who was where at a time, whether it is whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ratchet.adapters import keys, tracking
from ratchet.core import history
from ratchet.core.ledger import Entry, Fault
from ratchet.errors import ConfigError
from ratchet.settings import Settings
from ratchet.stages import ALIASES, PRODUCTION
from ratchet.steps import chronicle


@dataclass(frozen=True)
class Checked:
    """Whether the ledger is whole. signed: how many entries are, trusted: whether there is a key to check them by."""

    entries: int
    signed: int
    trusted: bool
    fault: Fault | None


def verified(settings: Settings) -> Checked:
    """Check all entries, of all tasks: they are one chain."""
    found = chronicle.all_entries(settings)
    signed = sum(bool(entry.signature) for entry in found)
    with tracking.reachable(settings):
        fault = chronicle.fault(tracking.client(settings), settings, found)
    return Checked(len(found), signed, bool(keys.trusted()), fault)


def at(entries: Sequence[Entry], moment: str) -> list[dict[str, Any]]:
    """Return who was in Staging and in Production at a moment (see `written`), by task, and the entry that says so.

    Where the champion had been taken out and nothing was in its place, version is None, and the entry says by whom.
    """
    then = history.until(entries, moment)
    found = []
    for task in sorted({entry.change.task for entry in then}):
        own = history.of_task(then, task)
        for version, stage in sorted(history.stages(own).items()):
            if stage in ALIASES and (entry := history.bringer(own, version, stage)):
                found.append({"task": task, "stage": stage, "version": version, **entry.flat()})
        if emptied := history.vacancy(own):
            found.append({**emptied.flat(), "task": task, "stage": PRODUCTION, "version": None})
    return found


def written(moment: str, option: str = "--at") -> str:
    """Return a moment as entries have it. moment: ISO 8601, in UTC unless it says otherwise; option: that names it.

    Raises ConfigError if it is none.
    """
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        raise ConfigError(f"{option} {moment!r}: no time; write it as 2026-05-03T14:00Z") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
