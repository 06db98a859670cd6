"""The commands about a task's file."""

import shlex

import click

from ratchet.commands.task import file_options
from ratchet.errors import ConfigError


@click.group()
def config() -> None:
    """Check a task, or print what a task may say."""


@config.command()
@file_options
def check(config: str) -> None:
    """List all faults of a task's file: first of what it says, then of what it asks of its search.

    Only the file is read, not the data that it names: `ratchet preprocess` checks those.
    """
    from ratchet import console
    from ratchet.core import asked
    from ratchet.taskfile import load

    task = load(config)
    try:
        asked.check(task, task.problem.kind)
    except ConfigError as error:
        raise ConfigError("\n".join(f"{config}: {line}" for line in str(error).splitlines())) from None
    console.say(f"{config}: task {task.name!r} is right as far as the file goes; the data were not read,"
                f" `ratchet preprocess {shlex.quote(config)}` checks them")  # fmt: skip


@config.command()
def schema() -> None:
    """Print the JSON Schema of a task, for editors."""
    import json

    from ratchet import console
    from ratchet.operate import reference

    console.text(json.dumps(reference.json_schema(), indent=1, ensure_ascii=False) + "\n")


@config.command(name="reference")
def reference_() -> None:
    """Print the reference of all keys, as Markdown."""
    from ratchet import console
    from ratchet.operate import reference

    console.text(reference.markdown())
