"""The steps of rollouts on the ledger, and their curves on their runs.

Steps are made by whoever looks, also by a role that may not append to the ledger; they are owed until somebody who may
has written them down, each once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ratchet.adapters import captured, registry, rollouts
from ratchet.adapters.rollouts import Rollout, Step
from ratchet.adapters.runs import Run
from ratchet.core import rollout as terms_of
from ratchet.core import rolloutcurve
from ratchet.core.ledger import Change, Entry
from ratchet.core.losses import SAID
from ratchet.stages import ROLLOUT, ROLLOUT_ACTIONS, STAGING
from ratchet.steps import chronicle, moves
from ratchet.steps.inputs import key_of
from ratchet.steps.session import Session

if TYPE_CHECKING:
    import sqlalchemy

PLOTTED = ("step", "abort", "done")


def settle(session: Session) -> int:
    """Put on the ledger what is not there yet, with the curve of each rollout; return how many entries were written.

    Raises RatchetError where we may not append.
    """
    engine = captured.engine(session.settings)
    try:
        owed = rollouts.owed(engine, session.task.name)
        if not owed:
            return 0
        run = _run(session, owed[-1][0])
        with moves.locked(session, run) as board:
            return settled(session, engine, board.entries, run)
    finally:
        engine.dispose()


def mend(session: Session) -> None:
    """End what a promotion that was killed in the middle of its move left, or declare it void.

    Raises RatchetError where we may not append.
    """
    engine = captured.engine(session.settings)
    try:
        found = rollouts.newest(engine, session.task.name)
    finally:
        engine.dispose()
    if found:
        with moves.locked(session, _run(session, found)):
            pass


def settled(session: Session, engine: "sqlalchemy.Engine", entries: Sequence[Entry], run: Run) -> int:
    """Put on the ledger what is owed, under the lock of the model that the caller holds; return how many entries."""
    there = {entry.change.gates: entry.sequence for entry in entries if entry.change.action.startswith(ROLLOUT)}
    owed = rollouts.owed(engine, session.task.name)
    for found, step in owed:
        change = _change(session, found, step, entries)
        number = there.get(change.gates)  # a kill came between the entry and the note that it is there
        number = (
            number or chronicle.append(session, _run(session, found) if found.run != run.id else run, change).sequence
        )
        rollouts.entered(engine, step.sequence, number)
    for found in {found.id: found for found, step in owed if step.action in PLOTTED}.values():
        plot(session, engine, found)
    return len(owed)


def _change(session: Session, found: Rollout, step: Step, entries: Sequence[Entry]) -> Change:
    """Return the entry of a step. evidence: the terms; gates: names the step, so that it is there once."""
    when = step.at[:19].replace("T", " ")
    known = {version.number: version for version in registry.versions(session.client, found.task)}
    version = known.get(found.challenger) or registry.numbered(session.client, found.task, found.challenger)
    said = f"rollout {found.id} at {step.percent:g} %, {when} UTC by {step.by}: {step.why}"
    plain = moves.change_of(version, ROLLOUT_ACTIONS[step.action], STAGING, entries, said)
    return Change(
        plain.task, plain.version, plain.action, STAGING, STAGING, plain.why, author=plain.author,
        evidence=terms_of.digest(found.terms), gates=key_of((), found.salt, step.sequence, step.action),
        manifest=plain.manifest, code=plain.code, data=plain.data,
    )  # fmt: skip


def _run(session: Session, found: Rollout) -> Run:
    """Return the run of a rollout, which goes on after the command that began it."""
    return Run(session.spool, found.run, session.client.get_run(found.run).info.experiment_id)


def plot(session: Session, engine: "sqlalchemy.Engine", found: Rollout) -> None:
    """Log the curve of what was known over time on the rollout's run."""
    terms = terms_of.thaw(found.terms)
    looks = [vars(each) for each in rollouts.looks(engine, found.id)]
    figure = rolloutcurve.sequence(looks, SAID[terms.measure.name], terms.rollout.margin)
    _run(session, found).log_figures({"rollout": figure})
