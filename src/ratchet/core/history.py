"""What the ledger tells: which version was where and when, what is begun and not done, who approved what."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratchet.core.ledger import DONE, INTENDED, Entry, Who
from ratchet.stages import (
    ADOPT,
    ALIASES,
    APPROVE,
    ARCHIVED,
    NONE,
    PRODUCTION,
    PROMOTE,
    REFUSE,
    REVERT,
    ROLLBACK,
    WITHDRAW,
)

GONE = "deleted"  # where a version is that somebody removed from the registry
MOVING = (PROMOTE, ROLLBACK, REVERT, ADOPT, WITHDRAW)


def of_task(entries: Sequence[Entry], task: str) -> list[Entry]:
    """Return the entries of a task."""
    return [entry for entry in entries if entry.change.task == task]


def stages(entries: Sequence[Entry]) -> dict[int, str]:
    """Return the stage of each version of one task after these entries; those that never moved are not in it."""
    found: dict[int, str] = {}
    for entry in entries:
        change = entry.change
        if entry.phase != DONE or change.action not in MOVING:
            continue
        if change.to_stage in ALIASES:
            found |= {number: ARCHIVED for number, stage in found.items() if stage == change.to_stage}
        found[change.version] = change.to_stage
    return found


def until(entries: Sequence[Entry], moment: str) -> list[Entry]:
    """Return those written up to a moment, itself included; the moment is written as `Entry.at` is."""
    return [entry for entry in entries if entry.at <= moment]


def bringer(entries: Sequence[Entry], version: int, stage: str) -> Entry | None:
    """Return the newest entry that brought a version to a stage."""
    moves = (e for e in reversed(entries) if e.phase == DONE and e.change.action in MOVING)
    return next((e for e in moves if (e.change.version, e.change.to_stage) == (version, stage)), None)


def unfinished(entries: Sequence[Entry]) -> list[Entry]:
    """Return the intents that are neither done nor void."""
    ended = {entry.intent for entry in entries if entry.intent is not None}
    return [entry for entry in entries if entry.phase == INTENDED and entry.sequence not in ended]


def champions(entries: Sequence[Entry]) -> set[int]:
    """Return the versions that were in Production at some time."""
    return {e.change.version for e in entries if e.phase == DONE and e.change.to_stage == PRODUCTION
            and e.change.action in MOVING}  # fmt: skip


def former(entries: Sequence[Entry], champion: int) -> int | None:
    """Return the version that a champion took the place of when it was promoted, which is where a rollback leads."""
    moves = (e for e in reversed(entries) if e.phase == DONE and e.change.action in (PROMOTE, ADOPT))
    brought = (e for e in moves if (e.change.version, e.change.to_stage) == (champion, PRODUCTION))
    return next((entry.change.replaced for entry in brought), None)


def vacancy(entries: Sequence[Entry], count_begun: bool = False) -> Entry | None:
    """Return the entry by which Production became empty, if nothing has come there since.

    Args:
        entries: The ledger of one task, oldest first.
        count_begun: Whether a withdrawal that was begun and not ended counts as well, for a caller that sees nothing in
            Production in the registry.

    Returns:
        A `withdraw`, or the `adopt` of an edit that took the champion out; None while a version is in Production, and
        where none ever was.
    """
    begun = [entry for entry in unfinished(entries) if count_begun and entry.change.action == WITHDRAW]
    champion, emptied = None, None
    for entry in entries:
        change = entry.change
        if change.action not in MOVING or (entry.phase != DONE and entry not in begun):
            continue
        if change.to_stage == PRODUCTION:
            champion, emptied = change.version, None
        elif change.version == champion:
            champion, emptied = None, entry
    return emptied


def withdrawal(entries: Sequence[Entry], version: int) -> Entry | None:
    """Return the entry by which a version was withdrawn, if it has not come to Production again since."""
    moves = (e for e in reversed(entries) if e.phase == DONE and e.change.action in MOVING)
    own = (e for e in moves if e.change.version == version)
    newest = next((e for e in own if e.change.action == WITHDRAW or e.change.to_stage == PRODUCTION), None)
    return newest if newest and newest.change.action == WITHDRAW else None


def is_same_person(one: Who, other: Who) -> bool:
    """Whether two are one: the same account or, where one of them has none, the same user of the same machine."""
    if one.account and other.account:
        return one.account == other.account
    return (one.person, one.host) == (other.person, other.host)


def author_of(entries: Sequence[Entry], version: int) -> str:
    """Return who trained a version, as JSON, as it was said when it first came on the ledger; empty if it never did."""
    return next((e.change.author for e in entries if e.change.version == version and e.change.author), "")


@dataclass(frozen=True)
class Approvals:
    """What reviewers said of a version: who approved, who refuses, who approved what has changed since."""

    by: tuple[str, ...]
    refused_by: tuple[str, ...]
    expired: tuple[str, ...]


def approvals(entries: Sequence[Entry], version: int, stage: str, evidence: str) -> Approvals:
    """Return the last word of each reviewer on a version's move to a stage.

    An approval counts if it is of this evidence, and not by who trained the version; a refusal holds whatever has
    changed, until who refused it approves.
    """
    words = [e for e in entries if e.change.action in (APPROVE, REFUSE)]
    last: list[Entry] = []
    for word in words:
        if (word.change.version, word.change.to_stage) == (version, stage):
            last = [former for former in last if not is_same_person(former.who, word.who)] + [word]
    author = _person(author_of(entries, version))
    given = [e for e in last if e.change.action == APPROVE and author and not is_same_person(author, e.who)]
    return Approvals(
        tuple(e.who.name for e in given if e.change.evidence == evidence),
        tuple(e.who.name for e in last if e.change.action == REFUSE),
        tuple(e.who.name for e in given if e.change.evidence != evidence),
    )


def is_own(entries: Sequence[Entry], version: int, said: str, who: Who) -> bool:
    """Whether somebody trained a version, or nobody knows who did. said: by its tag, before it is on the ledger."""
    author = _person(author_of(entries, version) or said)
    return author is None or is_same_person(author, who)


def _person(author: str) -> Who | None:
    try:
        return Who("", **json.loads(author))
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True)
class Seen:
    """A version as the registry shows it."""

    stage: str
    aliases: tuple[str, ...]
    manifest: str


@dataclass(frozen=True)
class Difference:
    """A version of which the registry shows something else than the ledger."""

    version: int
    recorded: str
    found: str
    text: str
    is_revertible: bool = True


def differences(entries: Sequence[Entry], registry: Mapping[int, Seen]) -> list[Difference]:
    """Return what was changed past the ledger: stages, aliases, versions that were deleted or registered anew."""
    recorded, found = stages(entries), []
    for number in sorted({*recorded, *registry}):
        known, seen = recorded.get(number, NONE), registry.get(number)
        if lost := _lost(number, known, seen, manifest_of(entries, number)):
            found.append(Difference(number, known, seen.stage if seen else GONE, lost, is_revertible=False))
        elif seen and (text := _moved(number, known, seen)):
            found.append(Difference(number, known, seen.stage, text))
    return found


def _lost(number: int, known: str, seen: Seen | None, manifest: str) -> str:
    """What cannot be undone."""
    if seen is None:
        return "" if known == GONE else f"version {number} was deleted; it was in {known}"
    if known == GONE:
        return f"version {number} is there again; it was deleted"
    anew = manifest and seen.manifest != manifest
    return f"version {number} was registered anew: its model is not the one that was judged" if anew else ""


def _moved(number: int, known: str, seen: Seen) -> str:
    if seen.stage != known:
        return f"version {number} is in {seen.stage}; the ledger has it in {known}"
    due = {ALIASES[stage] for stage in ALIASES if stage == seen.stage}
    wrong = (set(seen.aliases) & set(ALIASES.values())) ^ due
    return f"version {number} in {seen.stage} bears {', '.join(seen.aliases) or 'no alias'}" if wrong else ""


def manifest_of(entries: Sequence[Entry], version: int) -> str:
    """Return the digest of the manifest with which a version was moved last; empty if it never was."""
    moves = (e.change for e in reversed(entries) if e.phase == DONE and e.change.action in MOVING)
    return next((change.manifest for change in moves if change.version == version), "")
