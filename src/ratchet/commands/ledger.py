"""The commands about who moved what: the ledger, reviews, and the registry held against it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ratchet.commands.task import COMMENT, opened, task_options


def _review(action: str, number: int, stage: str, comment: str, as_json: bool, **options: Any) -> None:
    from ratchet import console
    from ratchet.operate import review
    from ratchet.steps import moves

    with opened(as_json=as_json, **options) as session:
        done = review.review(session, number, action, stage.capitalize(), comment)
        remarks = review.remarks(done)
        if as_json:
            console.as_json({**done.entry.flat(), "approvals": done.approvals, "needed": done.needed,
                             "unverified": done.unverified, "remarks": remarks})  # fmt: skip
            return
        for remark in remarks:
            console.say(remark)
        console.say(moves.sentence(done.entry))
        if done.unverified:
            console.say(f"unverified, so it does not count: {done.unverified}")
        if done.needed:
            console.say(f"approvals that count now: {done.approvals} of {done.needed}")


STAGE = click.option(
    "--to", "stage", type=click.Choice(["staging", "production"]), default="production", show_default=True,
    help="Which stage it is to enter.",
)  # fmt: skip


@click.command()
@task_options
@click.argument("version", type=click.IntRange(1))
@STAGE
@COMMENT
def approve(version: int, **options: Any) -> None:
    """Say, as a reviewer, that a version may enter a stage."""
    _review("approve", version, **options)


@click.command()
@task_options
@click.argument("version", type=click.IntRange(1))
@STAGE
@COMMENT
def refuse(version: int, **options: Any) -> None:
    """Say, as a reviewer, that a version may not enter a stage."""
    _review("refuse", version, **options)


@click.command()
@task_options
@click.option(
    "--reason", "--comment", default="", metavar="TEXT", help="Why; it stands on the ledger, callers are not told it."
)
def withdraw(reason: str, as_json: bool, **options: Any) -> None:
    """Take the version in Production out of it, without a successor: callers get a 503, or the rule's answer."""
    from ratchet import console
    from ratchet.operate import withdraw as operation
    from ratchet.steps import moves

    with opened(as_json=as_json, **options) as session:
        done = operation.withdraw(session, reason)
        if as_json:
            console.as_json(done.entry.flat())
            return
        console.say(moves.sentence(done.entry))
        console.say(f"{done.version.name}: nothing is in Production; version {done.version.number} is archived")


@click.command()
@task_options
@click.option("--adopt", is_flag=True, help="Put what was changed on the ledger, with a --comment.")
@click.option("--revert", is_flag=True, help="Put the registry back to what the ledger says.")
@COMMENT
def reconcile(adopt: bool, revert: bool, comment: str, as_json: bool, **options: Any) -> None:
    """Find what was changed in the registry past the ledger: stages, aliases, versions deleted or registered anew."""
    from ratchet import console
    from ratchet.errors import Differs
    from ratchet.operate import reconcile as operation

    if adopt and revert:
        raise click.UsageError("--adopt or --revert, not both")
    how: operation.How = "adopt" if adopt else "revert" if revert else "look"
    with opened(as_json=as_json, **options) as session:
        found = operation.reconcile(session, how, comment)
        done = {"adopt": "adopted", "revert": "reverted"}.get(how, "") if found else ""
        told = {"task": session.task.name, "done": done, "differences": [vars(d) for d in found]}
        if as_json and (done or not found):
            console.as_json(told)
        for difference in found if not as_json else ():
            console.say(f"{difference.text}{f': {done}' if done else ''}")
        if not found and not as_json:
            console.say(f"{session.task.name}: the registry is as the ledger says")
        if found and not done:
            raise Differs(f"{session.task.name}: changed past the ledger; --revert or --adopt mends it", told)


@click.group(invoke_without_command=True)
@click.option("-c", "--config", metavar="FILE", help="The YAML file of a task; unset: all tasks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else.")
@click.option("--at", "moment", metavar="TIME", help="Who was in Staging and Production then, as 2026-05-03T14:00Z.")
@click.pass_context
def ledger(context: click.Context, config: str | None, as_json: bool, moment: str | None) -> None:
    """Show the append-only record of every move: who brought what where, when and why."""
    if context.invoked_subcommand:
        return
    from ratchet import console
    from ratchet.operate import ledger as operation

    entries = _entries(config)
    if moment:
        moment = operation.written(moment)
        found = operation.at(entries, moment)
        console.as_json({"at": moment, "versions": found}) if as_json else console.at(moment, found)
    elif as_json:
        console.as_json({"entries": [entry.flat() for entry in entries]})
    else:
        console.ledger([entry.flat() for entry in entries])


def _entries(config: str | None) -> list[Any]:
    from ratchet.core import history
    from ratchet.settings import Settings
    from ratchet.steps import chronicle
    from ratchet.taskfile import load

    name = load(config).name if config else None
    found = chronicle.all_entries(Settings.from_env())
    return found if name is None else history.of_task(found, name)


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else.")
def verify(as_json: bool) -> None:
    """Check that no entry was changed, removed, reordered, forged or cut off; names the first that was."""
    from ratchet import console
    from ratchet.errors import Differs
    from ratchet.operate import ledger as operation
    from ratchet.settings import Settings

    found = operation.verified(Settings.from_env())
    if found.fault:
        told = asdict(found)
        raise Differs(f"ledger: entry {found.fault.sequence}: {found.fault.text}", told)
    said = f"{found.entries} entries, {found.signed} of them signed: whole"
    if found.signed and not found.trusted:
        said += "; the signatures were not checked, since no key is trusted here (RATCHET_LEDGER_TRUST)"
    if not found.signed:
        said += "; unsigned: whoever can write to the database can write all of it anew (RATCHET_LEDGER_KEY)"
    console.as_json(vars(found)) if as_json else console.say(said)


@ledger.command()
def export() -> None:
    """Write all entries to stdout, each a line of JSON."""
    from ratchet import console

    console.text("".join(json.dumps(entry.flat(), ensure_ascii=False) + "\n" for entry in _entries(None)))


@ledger.command()
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> None:
    """Make a key that signs entries: the private half goes to a new FILE, the public one to stdout."""
    from ratchet import console
    from ratchet.adapters import keys

    public = keys.make(file)
    console.say(f"export RATCHET_LEDGER_KEY={file.resolve()}")
    console.say(f"whoever verifies: export RATCHET_LEDGER_TRUST={public}")
