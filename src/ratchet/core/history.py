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


def promotion(entries: Sequence[Entry], version: int) -> Entry | None:
    """Return the newest entry by which a version came to Production through its gates; None if it never did."""
    return next((e for e in reversed(entries) if e.phase == DONE and e.change.action == PROMOTE
                 and (e.change.version, e.change.to_stage) == (version, PRODUCTION)), None)  # fmt: skip


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


def is_other_person(one: Who, other: Who, trust: str = "verified") -> bool:
    """Whether two are surely two people.

    Args:
        one: Somebody.
        other: Somebody else, perhaps.
        trust: verified: only by their accounts, or by roles of their own in the database, is anybody told apart;
            local: where these say nothing, also by user and host, as the machine has them.
    """
    known = _compared(one, other)
    return not any(known) if known else trust == "local" and (one.person, one.host) != (other.person, other.host)


def is_same_person(one: Who, other: Who) -> bool:
    """Whether two are one, so that a later word takes the place of an earlier one.

    The word of somebody who is verified is taken back only by somebody who is.
    """
    if known := _compared(one, other):
        return any(known)
    return not (one.is_verified or other.is_verified) and (one.person, one.host) == (other.person, other.host)


def _compared(one: Who, other: Who) -> list[bool]:
    """Whether what servers and database know of both is the same, each; empty where they know nothing of both."""
    known = [one.account == other.account] if one.account and other.account else []
    return known + ([one.role == other.role] if one.has_own_role and other.has_own_role else [])


def author_of(entries: Sequence[Entry], version: int) -> str:
    """Return who trained a version, as JSON, as it was said when it first came on the ledger; empty if it never did."""
    return next((e.change.author for e in entries if e.change.version == version and e.change.author), "")


@dataclass(frozen=True)
class Approvals:
    """What reviewers said of a version: who approved, who refuses, who approved what has changed since.

    unverified: who approved it as it is, and does not count, since nothing shows that they are another person than who
    trained it, or than another one who approved it.
    """

    by: tuple[str, ...]
    refused_by: tuple[str, ...]
    expired: tuple[str, ...]
    unverified: tuple[str, ...] = ()


def approvals(entries: Sequence[Entry], version: int, stage: str, evidence: str, trust: str = "verified") -> Approvals:
    """Return the last word of each reviewer on a version's move to a stage.

    An approval counts if it is of this evidence, and surely of another person than who trained the version and than
    each other one who approved it; a refusal holds whatever has changed, until who refused it approves.

    Args:
        entries: The task's ledger.
        version: That is to move.
        stage: That it is to enter.
        evidence: The digest of all that the decision rests on.
        trust: By what people are told apart, as of `is_other_person`.
    """
    last: list[Entry] = []
    for word in entries:
        if word.change.action in (APPROVE, REFUSE) and (word.change.version, word.change.to_stage) == (version, stage):
            last = [former for former in last if not is_same_person(former.who, word.who)] + [word]
    author = person_of(author_of(entries, version))
    given = [entry for entry in last if entry.change.action == APPROVE]
    counted: list[Entry] = []
    for entry in given:
        others = [author, *(each.who for each in counted)]
        is_another = all(other and is_other_person(other, entry.who, trust) for other in others)
        if entry.change.evidence == evidence and is_another:
            counted.append(entry)
    return Approvals(
        tuple(e.who.name for e in counted),
        tuple(e.who.name for e in last if e.change.action == REFUSE),
        tuple(e.who.name for e in given if e.change.evidence != evidence),
        tuple(e.who.name for e in given if e.change.evidence == evidence and e not in counted),
    )


def person_of(author: str) -> Who | None:
    """Return who trained a version, from the JSON of its tag or of its entries; None where nobody knows."""
    try:
        return Who(**{"role": "", **json.loads(author)})
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
