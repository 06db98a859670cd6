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

    task, faults = load(file), []
    kind = task.problem.kind
    for ask in (asked.metric, asked.spaces) if kind else (asked.spaces,):
        try:
            ask(task, kind or "binary")  # its spaces hold what those of the others do
        except ConfigError as error:
            faults.append(f"{file}: {error}")
    if faults:
        raise ConfigError("\n".join(faults))
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
