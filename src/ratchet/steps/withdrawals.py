"""What the ledger says of withdrawn versions, so that none of them comes back without being asked for by its number."""

from collections.abc import Sequence

from ratchet.adapters import models, records
from ratchet.adapters.registry import Version
from ratchet.core import history
from ratchet.core.ledger import Entry
from ratchet.errors import GateRefused
from ratchet.stages import NONE, PRODUCTION, WITHDRAW
from ratchet.steps import moves
from ratchet.steps.session import Session

FITTED = f"artifacts/{models.SCORER}/"  # the files of a model that hold what was learned


def sentence(entry: Entry) -> str:
    """Return when, by whom and why a version was withdrawn, to follow "it was"."""
    return f"{_how(entry)} at {_when(entry)} by {entry.who.name} because: {entry.change.why}"


def vacancy_sentence(entries: Sequence[Entry]) -> str:
    """Return since when, by whom and why nothing is in Production; empty where something is, or never was."""
    entry = history.vacancy(entries)
    if entry is None:
        return ""
    how = f"version {entry.change.version} was {_how(entry)} by {entry.who.name} because: {entry.change.why}"
    return f"nothing in Production since {_when(entry)}: {how}"


def _how(entry: Entry) -> str:
    return "withdrawn" if entry.change.action == WITHDRAW else "taken out past the ledger, which was adopted"


def _when(entry: Entry) -> str:
    return f"{entry.at[:16].replace('T', ' ')} UTC"


def require_not_withdrawn(session: Session, version: Version, entries: Sequence[Entry], is_named: bool) -> None:
    """Refuse a version that was withdrawn, and one that is the same model under another number.

    Args:
        session: The session of the task.
        version: The version that is about to move towards Production.
        entries: The ledger of the task.
        is_named: Whether the caller gave the number of the version and a reason.

    Raises:
        GateRefused: It was withdrawn; or its fitted model is file by file that of a withdrawn version, and it was not
            named.
    """
    name, number = version.name, version.number
    if version.stage == PRODUCTION:
        return
    where = "was registered" if version.stage == NONE else f"stays in {version.stage}"
    if entry := history.withdrawal(entries, number):
        raise GateRefused(
            f"{name} version {number} {where}; it was {sentence(entry)}; it comes back by `ratchet"
            f" rollback -c FILE --to {number} --comment …` alone; another model takes other data or another file"
        )
    if is_named:
        return
    for entry in (e for e in (history.withdrawal(entries, n) for n in _withdrawn(entries) - {number}) if e):
        if _is_same_model(session, version, entry):
            raise GateRefused(
                f"{name} version {number} {where}; it is the same model as version"
                f" {entry.change.version}, which was {sentence(entry)}; name it to have it all the same: `ratchet"
                f" promote -c FILE --version {number} --comment …`"
            )


def _withdrawn(entries: Sequence[Entry]) -> set[int]:
    return {entry.change.version for entry in entries if entry.change.action == WITHDRAW}


def _is_same_model(session: Session, version: Version, entry: Entry) -> bool:
    """Whether two versions learned the same, to the last bit; what names their runs differs in any case."""
    other = moves.by_number(session).get(entry.change.version)
    if other is None:
        return False
    one, two = (_fitted(session, each) for each in (version, other))
    return bool(one) and one == two


def _fitted(session: Session, version: Version) -> dict[str, str]:
    """Return the digests of the files that hold what a version learned, by their path."""
    manifest = records.read_json_if_there(session.client, version.run_id, models.MANIFEST) or {}
    return {path: digest for path, digest in manifest.items() if path.startswith(FITTED)}
