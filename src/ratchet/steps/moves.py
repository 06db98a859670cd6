"""How a version comes from stage to stage: intent on the ledger, the registry, done on the ledger.

A kill anywhere leaves an intent that the next command completes or declares void; what was moved past the ledger is
refused until somebody has it adopted or reverted.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from ratchet.adapters import database, models, registry, stops
from ratchet.adapters.registry import Version
from ratchet.adapters.runs import Run
from ratchet.core import history
from ratchet.core.history import Difference, Seen
from ratchet.core.ledger import DONE, INTENDED, VOID, Change, Entry
from ratchet.errors import GateRefused, RatchetError
from ratchet.stages import ALIASES, ARCHIVED, MOVES, PRODUCTION, ROLLBACK
from ratchet.steps import chronicle, train
from ratchet.steps.session import Session

DATA, CODE = "ratchet.data", "ratchet.commit"  # tags of a version
# Tags too: its newest entry, its newest gate report, and what its gates found or were loosened by.
SHOWN, REPORT, TOLD = "ratchet.ledger", "ratchet.gate_report", "ratchet.told"
ENTRY = "Ledger entry "  # what the last part of a version's description begins with


@dataclass(frozen=True)
class Board:
    """What a move begins with: the task's ledger, and the moves on it that had been begun and are now completed."""

    entries: Sequence[Entry]
    completed: Sequence[Entry] = ()


@contextmanager
def begun(session: Session, run: Run) -> Iterator[Board]:
    """Hold the lock of the task's model, after what a kill left half-done is mended.

    Raises RatchetError if the registry was changed past the ledger.
    """
    with locked(session, run) as board:
        if found := drift(session, board.entries):
            raise RatchetError(
                f"{session.task.name}: changed past the ledger: {'; '.join(d.text for d in found)}; look at it with"
                " `ratchet reconcile -c FILE`, then give it --revert or --adopt"
            )
        yield board


@contextmanager
def locked(session: Session, run: Run) -> Iterator[Board]:
    """Hold the lock of the task's model, after what a kill left half-done is mended."""
    # The webhook is told once the lock is let go: nobody waits for who listens, and least of all a move.
    with chronicle.told(session), database.lock(session.settings, f"promote-{session.task.name}"):
        everything = chronicle.all_entries(session.settings)
        chronicle.require_whole(session.settings, everything)
        entries = history.of_task(everything, session.task.name)
        ends = [_mended(session, run, half) for half in history.unfinished(entries)]
        yield Board([*entries, *ends], [end for end in ends if end.phase == DONE])


def drift(session: Session, entries: Sequence[Entry]) -> list[Difference]:
    """Return what the registry shows otherwise than the ledger."""
    found = registry.versions(session.client, session.task.name)
    seen = {v.number: Seen(v.stage, v.aliases, v.tags.get(models.DIGEST, "")) for v in found}
    return history.differences(entries, seen)


def change_of(version: Version, action: str, to: str, entries: Sequence[Entry], why: str = "") -> Change:
    """Return the change that brings a version to a stage, with who is there now as the one that it replaces."""
    there = [n for n, stage in history.stages(entries).items() if stage == to and n != version.number]
    replaced = there[0] if there and to in ALIASES else None
    tags = version.tags
    return Change(
        version.name, version.number, action, version.stage, to,
        why.encode(errors="replace").decode(),  # what a terminal sent that is no UTF-8
        replaced,
        author=history.author_of(entries, version.number) or tags.get(train.BY, ""),
        manifest=tags.get(models.DIGEST, ""), code=tags.get(CODE, ""), data=tags.get(DATA, ""),
    )  # fmt: skip


def require_allowed(version: Version, action: str, to: str, entries: Sequence[Entry]) -> None:
    """Raise GateRefused if no such move is allowed."""
    was_champion = version.number in history.champions(entries)
    if MOVES.get((version.stage, to)) == action and (version.stage != ARCHIVED or was_champion == (action == ROLLBACK)):
        return
    if version.stage == ARCHIVED and was_champion:
        how = f"it was in Production before, and comes back by `ratchet rollback --to {version.number}` alone"
    elif action == ROLLBACK:
        how = "it never was in Production, so it comes there through the gates alone: `ratchet promote`"
    else:
        origins = [start for (start, end), by in MOVES.items() if end == to and by == action]
        how = f"a version comes to {to} from {' or '.join(origins)}"
    raise GateRefused(f"{version.name} version {version.number} stays in {version.stage}: {how}")


def require_champion(version: Version, seen: int | None, entries: Sequence[Entry]) -> None:
    """Raise GateRefused if another version took Production since a version was compared with its champion."""
    if (now := champion(entries)) not in (None, seen, version.number):
        raise GateRefused(
            f"{version.name} version {version.number}: version {now} came to Production after this one was judged; run"
            " it again, to be judged against that one"
        )


def made(session: Session, run: Run, version: Version, change: Change) -> Entry:
    """Make a move: its intent, the registry, done. Call it within `begun`.

    Where the registry refuses it, the intent is declared void and the error goes on.
    """
    with stops.uninterrupted():
        intent = chronicle.append(session, run, change, INTENDED)
        try:
            registry.move(session.client, version, change.to_stage)
        except Exception:
            with suppress(Exception):  # what cannot be mended now is mended by the next command
                _mended(session, run, intent)
            raise
        done = chronicle.append(session, run, change, DONE, intent.sequence)
    _shown(session, done)
    return done


def recorded(session: Session, run: Run, change: Change) -> Entry:
    """Put on the ledger, and on the version's page, what has happened already."""
    entry = chronicle.append(session, run, change)
    _shown(session, entry)
    return entry


def _mended(session: Session, run: Run, intent: Entry) -> Entry:
    """Complete a move whose stage is there already, else declare it void; return the entry that says so."""
    change = intent.change
    known = {v.number: v for v in registry.versions(session.client, change.task)}
    version = known.get(change.version)
    came = version is not None and version.stage == change.to_stage
    if version:  # the aliases follow the stages, also where the intent is void
        registry.move(session.client, version, version.stage)
    if not came and change.replaced in known:
        registry.move(session.client, known[change.replaced], known[change.replaced].stage)
    word = "completed" if came else "declared void"
    told = f"entry {intent.sequence}, which {intent.who.name} had begun and not ended, is {word}"
    session.progress.note(f"version {change.version} to {change.to_stage}: {told}")
    why = replace(change, why=change.why or told)
    end = chronicle.append(session, run, why, DONE if came else VOID, intent.sequence)
    if came:
        _shown(session, end)
    return end


def _shown(session: Session, entry: Entry) -> None:
    """Say on the pages of the versions what the ledger says, with the way to the gate report."""
    change, said = entry.change, sentence(entry)
    texts = {change.version: said}
    if change.replaced:
        texts[change.replaced] = f"{said}, which took version {change.version} there in its place"
    for number, words in texts.items():
        with suppress(RatchetError):  # one that was deleted meanwhile has no page
            version = registry.numbered(session.client, change.task, number)
            report = version.tags.get(REPORT, "")
            about, told = version.description.partition(ENTRY)[0].strip(), version.tags.get(TOLD, "")
            text = f"{about}\n\n{words}."
            text += f" At its gates: {told}." if told else ""
            text += f" [Its newest gate report]({report})." if report else ""
            registry.tagged(session.client, version, {SHOWN: words}, text.strip())


def sentence(entry: Entry) -> str:
    """Return an entry as people read it."""
    change = entry.change
    way = "" if change.from_stage == change.to_stage else f" {change.from_stage} → {change.to_stage}"
    what = f"{change.action}{way}"
    instead = f" in place of version {change.replaced}" if change.replaced else ""
    why = f": {change.why}" if change.why else ""
    when = entry.at[:16].replace("T", " ")
    return f"{ENTRY}{entry.sequence}, {when} UTC: {what}{instead} by {entry.who.name}{why}"


def champion(entries: Sequence[Entry]) -> int | None:
    """Return the version in Production by the ledger."""
    return next((number for number, stage in history.stages(entries).items() if stage == PRODUCTION), None)


def by_number(session: Session) -> Mapping[int, Version]:
    """Return the registry's versions by their number."""
    return {version.number: version for version in registry.versions(session.client, session.task.name)}
