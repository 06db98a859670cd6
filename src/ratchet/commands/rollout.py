"""The commands that let a version in on live traffic."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ratchet.commands.task import COMMENT, opened, task_options

if TYPE_CHECKING:
    from ratchet.adapters.rollouts import Rollout


@click.group()
def rollout() -> None:
    """Let the version in Staging in on live traffic, share by share, judged against the champion."""


@rollout.command()
@task_options
@click.option("--version", "number", type=click.IntRange(1), metavar="N", help="The version; unset: that in Staging.")
@COMMENT
def start(number: int | None, comment: str, as_json: bool, **options: Any) -> None:
    """Begin: the terms of the file are frozen on the ledger, and the first share is let in."""
    from ratchet import console
    from ratchet.operate import rollout as operation
    from ratchet.operate import settling

    with opened(as_json=as_json, **options) as session:
        found = operation.start(session, number, comment)
        settling.settle(session)
    if as_json:
        console.as_json(_told(found))
    else:
        console.say(f"{found.task}: rollout {found.id} of version {found.challenger} beside version {found.champion}:"
                    f" {found.percent:g} %")  # fmt: skip


@rollout.command()
@task_options
def status(config: str, as_json: bool) -> None:
    """Where it is, its figures, and what it waits for."""
    from ratchet import console
    from ratchet.errors import RatchetError
    from ratchet.operate import underway as operation
    from ratchet.settings import Settings
    from ratchet.taskfile import load

    name = load(config).name
    found = operation.shown(Settings.from_env(), name)
    if found is None:
        raise RatchetError(f"{name}: there was no rollout yet; `ratchet rollout start -c FILE` begins one")
    console.as_json({"task": name, **found}) if as_json else console.rollout(name, found)


@rollout.command()
@task_options
@COMMENT
def pause(config: str, as_json: bool, comment: str) -> None:
    """Keep the share as it is: no step is made until `resume`; an abort is made all the same."""
    _by_hand("pause", config, as_json, comment)


@rollout.command()
@task_options
@COMMENT
def resume(config: str, as_json: bool, comment: str) -> None:
    """Go on with a rollout that was paused."""
    _by_hand("resume", config, as_json, comment)


@rollout.command()
@task_options
@COMMENT
def abort(config: str, as_json: bool, comment: str) -> None:
    """Take all traffic from the challenger at once; it stays in Staging."""
    _by_hand("abort", config, as_json, comment)


def _by_hand(action: str, config: str, as_json: bool, comment: str) -> None:
    """First the traffic, which needs the database alone; then the ledger, as far as that can be done now."""
    from ratchet.errors import RatchetError
    from ratchet.operate import underway as operation
    from ratchet.settings import Settings
    from ratchet.taskfile import load

    act = partial(getattr(operation, action), Settings.from_env(), load(config).name, comment)
    try:
        found, is_half_moved = act(), False
    except operation.HalfMovedError:
        is_half_moved = True
    from ratchet import console
    from ratchet.operate import settling

    if is_half_moved:
        with opened(config=config, as_json=as_json) as session:
            settling.mend(session)
        found = act()
    later = ""
    try:
        with opened(config=config, as_json=as_json) as session:
            settling.settle(session)
    except RatchetError as error:
        later = f"the ledger has it later, from whoever may append next: {error}"
    if as_json:
        console.as_json(_told(found) | {"ledger": later or "written"})
        return
    console.say(f"{found.task}: rollout {found.id} is {found.state} at {found.percent:g} %")
    if later:
        console.say(later)


@rollout.command()
@task_options
def watch(config: str, as_json: bool) -> None:
    """Look at the rollout until it ends: step up, abort or promote. `ratchet serve` does so too, as far as it may."""
    from ratchet import console
    from ratchet.operate import controller as operation
    from ratchet.settings import Settings

    last = operation.watch(config, Settings.from_env(), (lambda text: None) if as_json else console.say)
    if as_json:
        console.as_json(_told(last))


@rollout.command()
@task_options
@COMMENT
def promote(comment: str, as_json: bool, **options: Any) -> None:
    """Bring the challenger of a rollout that has passed all shares to Production, through the gates."""
    from ratchet import console
    from ratchet.operate import promotion as operation
    from ratchet.steps import promote as step

    with opened(as_json=as_json, **options) as session:
        done = operation.promoted(session, comment)
        if as_json:
            console.as_json({"task": session.task.name, **step.as_json(done)})
        else:
            console.say(f"{done.version.name} version {done.version.number} is in {done.version.stage}")


@rollout.command()
@task_options
def settle(as_json: bool, **options: Any) -> None:
    """Put on the ledger what was done by who may not append to it, and log the curve."""
    from ratchet import console
    from ratchet.operate import settling

    with opened(as_json=as_json, **options) as session:
        count = settling.settle(session)
        if as_json:
            console.as_json({"task": session.task.name, "entries": count})
        else:
            console.say(f"{session.task.name}: {count} entries written")


def _told(found: "Rollout") -> dict[str, Any]:
    names = ("task", "id", "state", "percent", "champion", "challenger", "verdict")
    return {name: getattr(found, name) for name in names} | {"reasons": list(found.reasons)}
