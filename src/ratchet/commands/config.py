"""The commands about a task's file."""

import click

from ratchet.errors import ConfigError


@click.group()
def config() -> None:
    """Check a task, or print what a task may say."""


@config.command()
@click.argument("file")
def check(file: str) -> None:
    """List all faults of a task's file: first of what it says, then of what it asks of its search."""
    from ratchet import console
    from ratchet.core import asked
    from ratchet.taskfile import load

    task = load(file)
    try:
        asked.check(task, task.problem.kind)
    except ConfigError as error:
        raise ConfigError("\n".join(f"{file}: {line}" for line in str(error).splitlines())) from None
    console.say(f"{file}: task {task.name!r} is right")


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
