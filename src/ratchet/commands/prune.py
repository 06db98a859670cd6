"""The command that removes what nobody needs any more."""

import click

from ratchet.commands.task import ui
from ratchet.commands.task_choice import choose_task_file


@click.command()
@click.argument("task_files", nargs=-1, metavar="[FILE]")
@click.option("-c", "--config", metavar="FILE", help="The YAML file of a task, also without -c; unset: all tasks.")
@click.option("--days", type=click.FloatRange(0), default=7.0, show_default=True, help="What is younger stays.")
@click.option("--yes", is_flag=True, help="Remove it; without this nothing is changed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else.")
def prune(config: str | None, task_files: tuple[str, ...], days: float, yes: bool, as_json: bool) -> None:
    """Show, and with --yes remove, what nobody needs: old splits, models of no version, deleted runs, leftovers."""
    from ratchet import console
    from ratchet.adapters import tracking
    from ratchet.operate import prune as operation
    from ratchet.settings import Settings
    from ratchet.taskfile import load

    settings = Settings.from_env()
    is_named = bool(config or task_files)
    task = load(choose_task_file(config, task_files, "ratchet prune")[0]).name if is_named else None
    with tracking.reachable(settings):
        found = operation.find(settings, tracking.client(settings), task, days)
        if yes:
            operation.remove(found)
    told = operation.as_json(found, yes)
    if as_json:
        console.as_json(told)
        return
    console.say(f"records:  {ui(settings.tracking_uri)}")
    console.pruned(told)
