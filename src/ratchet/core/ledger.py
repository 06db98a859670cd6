"""The entries of the ledger. Each holds the hash of the one before, so that a change of any of them shows."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

INTENDED, DONE, VOID = "intended", "done", "void"
FORGED = "forged: its key {} is not trusted (RATCHET_LEDGER_TRUST), or did not sign it"
# Roles of the database that several people share, or that stand for no role at all: they tell nobody apart.
SHARED_ROLES = frozenset(
    {"", "embedded", "postgres", "ratchet_scientist", "ratchet_promoter", "ratchet_gateway", "ratchet_owner"}
)
FIRST = "0" * 64  # what stands for the hash of the one before the first


@dataclass(frozen=True)
class Change:
    """What happens to a version. action: one of those in stages.py; evidence, gates, manifest, data: digests.

    replaced: the version that it takes the stage from, which is archived in the same move; author: who trained it, as
    JSON; code: a git commit.
    """

    task: str
    version: int
    action: str
    from_stage: str
    to_stage: str
    why: str = ""
    replaced: int | None = None
    author: str = ""
    evidence: str = ""
    gates: str = ""
    manifest: str = ""
    code: str = ""
    data: str = ""


@dataclass(frozen=True)
class Who:
    """Who does it: the database's session user, the account on the tracking server, the system's user, the host.

    account: only where the server has confirmed it. The database and the server are asked; user and host are the
    machine's own word, which nobody checks.
    """

    role: str
    account: str
    person: str
    host: str

    @property
    def has_own_role(self) -> bool:
        """Whether the database knows them by a role that is theirs alone."""
        return self.role not in SHARED_ROLES

    @property
    def is_verified(self) -> bool:
        """Whether a server or the database says who they are."""
        return bool(self.account) or self.has_own_role

    @property
    def name(self) -> str:
        """What people call them."""
        return self.account or (self.role if self.has_own_role else self.person or self.role)


@dataclass(frozen=True)
class Entry:
    """One entry. phase: a move is `intended`, then `done` or `void`, which name the entry of its intent.

    at: UTC, as 2026-05-03T14:00:00.000000Z; hash, previous: sha256 in hex; key: the first 16 hex digits of the sha256
    of the public key; signature: Ed25519 of the hash, in hex (both empty where it is unsigned).
    """

    sequence: int
    at: str
    phase: str
    intent: int | None
    who: Who
    change: Change
    previous: str
    hash: str = ""
    key: str = ""
    signature: str = ""

    def flat(self) -> dict[str, Any]:
        """Return its values by column."""
        found = asdict(self)
        return {**found.pop("who"), **found.pop("change"), **found}

    @classmethod
    def from_flat(cls, row: dict[str, Any]) -> "Entry":
        """Return the entry of a row."""

        def values(part: Any) -> dict[str, Any]:
            return {name: row[name] for name in part.__dataclass_fields__ if name in row}

        return cls(**values(cls), who=Who(**values(Who)), change=Change(**values(Change)))


def canonical(entry: Entry) -> bytes:
    """Return what is hashed: JSON with sorted keys, without blanks, without hash, key and signature; UTF-8."""
    row = {name: value for name, value in entry.flat().items() if name not in ("hash", "key", "signature")}
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def hashed(entry: Entry) -> Entry:
    """Return the entry with its hash."""
    return replace(entry, hash=hashlib.sha256(b"ratchet ledger 1\n" + canonical(entry)).hexdigest())


@dataclass(frozen=True)
class Fault:
    """The first bad entry, and what is wrong with it."""

    sequence: int
    text: str


@dataclass(frozen=True)
class Head:
    """An entry of this ledger as it was written elsewhere, and where."""

    sequence: int
    hash: str
    place: str


def fault_of(
    entries: Sequence[Entry], heads: Sequence[Head], is_signed: Callable[[Entry], bool] | None, may_begin_unsigned: bool
) -> Fault | None:
    """Return the first fault: changed, removed, reordered, forged, or cut off at the end; None if there is none.

    entries: all of them, in the order of their numbers; heads: what was written elsewhere; is_signed: whether the
    signature is that of a trusted key (None: there is no key to check by); may_begin_unsigned: whether entries before
    the first signed one are let pass, as in a ledger of one's own before it got a key.
    Source: the hash chain is that of Haber and Stornetta, How to time-stamp a digital document, 1991.
    """
    previous = FIRST
    for place, entry in enumerate(entries, 1):
        if found := _fault(entry, place, previous, len(entries)):
            return Fault(place, found)
        may_begin_unsigned = may_begin_unsigned and not entry.signature
        if is_signed and not may_begin_unsigned and not is_signed(entry):
            return Fault(place, FORGED.format(entry.key) if entry.signature else "unsigned")
        previous = entry.hash
    return _cut(entries, heads)


def _fault(entry: Entry, place: int, previous: str, count: int) -> str:
    try:
        digest = hashed(entry).hash
    except (TypeError, ValueError):  # a value of a kind that is never written
        return "changed: it holds what is no text"
    if digest != entry.hash:
        others = (n for n in range(1, count + 2) if hashed(replace(entry, sequence=n)).hash == entry.hash)
        was = next(others, None)
        return f"reordered: it was written as entry {was}" if was else "changed: its hash is not that of what it says"
    if entry.sequence != place:
        return "removed: the next one that is there is " + str(entry.sequence)
    if entry.previous != previous:
        return "reordered, or the one before it was written anew: it does not follow from the one before"
    return ""


def _cut(entries: Sequence[Entry], heads: Sequence[Head]) -> Fault | None:
    for head in sorted(heads, key=lambda head: head.sequence):
        if head.sequence > len(entries):
            return Fault(len(entries) + 1, f"cut off: {head.place} has seen entry {head.sequence}")
        if entries[head.sequence - 1].hash != head.hash:
            return Fault(head.sequence, f"written anew: {head.place} has seen another entry {head.sequence}")
    return None
