"""The commands for those who review a version: build it again, compare it with another."""

from pathlib import Path
from typing import Any

import click

from ratchet.commands.task import opened, task_options


@click.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A new folder for what is made.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else.")
def fit(recipe: Path, output: Path, as_json: bool) -> None:
    """Fit the configuration of a train run's recipe.json again: nothing is searched, logged or registered."""
    from ratchet import console
    from ratchet.console import Live, Quiet
    from ratchet.operate import refit
    from ratchet.settings import Settings

    progress = Quiet() if as_json else Live()
    found = refit.refit(recipe, output, Settings.from_env(), progress.note)
    made = {"family": found["trial"]["family"], "output": str(output), "digests": found["digests"]}
    console.as_json(made) if as_json else console.say(f"{made['family']} fitted again: {output}")
