"""Commands for what a team shares: the stack and its health, the tables of its database, backups."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FOLDER = Path(".ratchet/stack")
folder_option = click.option(
    "--folder", type=click.Path(path_type=Path), metavar="FOLDER",
    help=f"Where its databases, its bucket and its secrets are kept; unset: {FOLDER}.",
)  # fmt: skip
parts_argument = click.argument("parts", nargs=-1, metavar="[postgres|bucket|tracking]…")


@click.group(invoke_without_command=True)
@folder_option
@click.pass_context
def stack(context: click.Context, folder: Path | None) -> None:
    """Run the team stack on this machine without Docker, until it is stopped; or control the one that runs."""
    if context.invoked_subcommand is None:
        _run_stack(folder or FOLDER)
    context.obj = folder


def _run_stack(folder: Path) -> None:
    from ratchet import console
    from ratchet.operate import control, people
    from ratchet.operate import stack as operation
    from ratchet.operate.kept import Kept

    with operation.running(folder.resolve(), tell=console.say) as running, contextlib.ExitStack() as watching:
        files = {person: folder / file.name for person, file in people.write_environments(running).items()}
        kept = {name: Kept(name, part, console.say) for name, part in running.parts.items()}
        asked = control.Control(running, kept)
        watching.enter_context(control.listening(asked))
        for part in kept.values():
            watching.callback(part.let_go)
            part.keep()
        console.say(
            f"tracking server: {running.tracking_uri} (the account `admin`; its password is in {files['admin']})"
        )
        console.say(f"train:           source {files['scientist']}")
        console.say(f"promote, review: source {files['promoter']}")
        console.say(f"serve:           source {files['gateway']}")
        console.say(f"all as admin:    source {files['admin']} (but for `ratchet serve`)")
        console.say(f"back it up:      source {files['operator']}; ratchet backup FOLDER")
        console.say("from another shell: ratchet stack status, stop, start [postgres|bucket|tracking]")
        console.say("Ctrl-C stops all of it; what is on record stays")
        with contextlib.suppress(KeyboardInterrupt):
            asked.is_over.wait()


def _ask_stack(context: click.Context, folder: Path | None, what: str, parts: tuple[str, ...], as_json: bool) -> None:
    from ratchet import console
    from ratchet.operate import control

    where = folder or context.obj or FOLDER
    states = control.ask(where.resolve(), what, parts)
    if as_json:
        console.as_json({"parts": states})
    elif what == control.STOP and not parts:
        console.say(f"the stack in {where} stops")
    else:
        for state in states:
            console.say(_shown(state))


def _shown(state: dict[str, Any]) -> str:
    """Return the state of a part in one line."""
    line = f"{state['part']:9} {state['state']}"
    if state["state"] == "running":
        line += f" at {state['address']}, process {state['process']}" + (
            "" if state["answers"] else ", gives no answer"
        )
    if state["restarts"]:
        line += f", restarts: {state['restarts']}"
    return f"{line}; log: {state['log']}"


def stack_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of what is asked of a running stack."""
    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else.")
    return as_json(folder_option(click.pass_context(command)))


@stack.command("status")
@stack_options
def stack_status(context: click.Context, folder: Path | None, as_json: bool) -> None:
    """Say what the parts of the running stack do."""
    _ask_stack(context, folder, "status", (), as_json)


@stack.command("start")
@parts_argument
@stack_options
def stack_start(context: click.Context, folder: Path | None, parts: tuple[str, ...], as_json: bool) -> None:
    """Start parts of the running stack again; without a name all that do not run."""
    _ask_stack(context, folder, "start", parts, as_json)


@stack.command("stop")
@parts_argument
@stack_options
def stack_stop(context: click.Context, folder: Path | None, parts: tuple[str, ...], as_json: bool) -> None:
    """Stop parts of the running stack; without a name all of it, which ends it."""
    _ask_stack(context, folder, "stop", parts, as_json)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else.")
def doctor(as_json: bool) -> None:
    """Look at all that the commands need: environment, models, disk, database, server, account, clock, files."""
    from ratchet import console
    from ratchet.errors import RatchetError
    from ratchet.operate import doctor as operation
    from ratchet.settings import Settings

    found = []
    for finding in operation.examine(Settings.from_env()):
        found.append(finding)
        if not as_json:
            console.finding(finding.part, finding.text, finding.mend)
    if as_json:
        console.as_json({"parts": [vars(finding) for finding in found]})
    if faults := [finding.part for finding in found if finding.mend]:
        raise RatchetError(f"not well: {', '.join(faults)}")


@click.command()
def migrate() -> None:
    """Make the tables of RATCHET_DATABASE_URL, or bring them up to date; for the role that owns them."""
    from ratchet import console
    from ratchet.adapters import database, schema
    from ratchet.settings import Settings, masked

    address = database.url(Settings.from_env())
    schema.migrate(address)
    console.say(f"{masked(address)} is up to date")


BUCKET = click.option(
    "--bucket", envvar="RATCHET_BUCKET", required=True, metavar="gs://NAME", help="Where the artifacts are."
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@BUCKET
def backup(folder: Path, bucket: str) -> None:
    """Write all of a stack into a new FOLDER: its databases (by PGHOST, PGPORT, PGPASSWORD) and its bucket.

    `make stack` writes what to export into .ratchet/stack/operator; `make backup` does it for the stack in Docker.
    """
    from ratchet import console
    from ratchet.operate import backup as operation

    operation.backup(folder, bucket, console.say)
    console.say(f"{folder} is whole")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@BUCKET
def restore(folder: Path, bucket: str) -> None:
    """Put a backup back onto an empty stack, whose tracking server is stopped."""
    from ratchet import console
    from ratchet.operate import backup as operation

    operation.restore(folder, bucket, console.say)
    console.say("start the tracking server (`ratchet stack start tracking`, by Compose `make restore` does it);"
                " accounts that are not named here have the passwords of the backup")  # fmt: skip
