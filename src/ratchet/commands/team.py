"""Commands for what a team shares: the stack and its health, the tables of its database, backups."""

import contextlib
import signal
from pathlib import Path

import click


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path(".ratchet/stack"), show_default=True,
    help="Where its databases, its bucket and its secrets are kept.",
)  # fmt: skip
def stack(folder: Path) -> None:
    """Run the team stack on this machine without Docker, until it is stopped."""
    from ratchet import console
    from ratchet.operate import stack as operation

    with operation.running(folder.resolve()) as running:
        exports = folder / "environment"
        for file, values in ((exports, running.environment()), (folder / "operator", running.operators())):
            file.touch(mode=0o600)
            file.write_text("".join(f"export {name}={value}\n" for name, value in values.items()))
        console.say(f"tracking server: {running.tracking_uri} (the account `admin`; its password is in {exports})")
        console.say(f"work on it:      source {exports}")
        console.say(f"back it up:      source {folder / 'operator'}; ratchet backup FOLDER")
        console.say("Ctrl-C stops all of it; what is on record stays")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


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
    console.say("start the tracking server; its accounts and passwords are those of the backup")
