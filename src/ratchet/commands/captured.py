"""The command that shows what the gateway has kept."""

from pathlib import Path

import click

from ratchet.commands.task import task_options


@click.command()
@task_options
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A .parquet file.")
@click.option("--since", metavar="TIME", help="Requests from then on, as 2026-05-03T14:00Z.")
@click.option("--until", metavar="TIME", help="Requests before then.")
@click.option("--outcomes-only", "only_known", is_flag=True, help="Only predictions of which something came true.")
def captured(
    config: str, as_json: bool, output: Path, since: str | None, until: str | None, only_known: bool
) -> None:  # fmt: skip
    """Write what was asked, answered and came true to a Parquet file: a row a prediction."""
    from ratchet import console
    from ratchet.operate import captured as operation
    from ratchet.settings import Settings
    from ratchet.taskfile import load

    name = load(config).name
    found = operation.export(Settings.from_env(), name, output, since, until, only_known)
    if as_json:
        console.as_json({"task": name, **vars(found), "output": str(found.output)})
        return
    lost = f"; {found.lost:,} were lost" if found.lost else ""
    console.say(f"{found.rows:,} predictions, {found.known:,} with an outcome: {found.output}{lost}")
