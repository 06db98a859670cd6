"""What every command about a task shares: its options, and the session that they open."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratchet.adapters import process
from ratchet.commands.task_choice import choose_task_file
from ratchet.errors import ConfigError

if TYPE_CHECKING:
    from ratchet.config import Task
    from ratchet.steps.session import Session


COMMENT = click.option("--comment", default="", metavar="TEXT", help="Why; it stands on the ledger.")


def file_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take the file of its task: by name, by `-c`, or unset where there is only one.

    The function gets its path as `config`. Beside other arguments this decorator stands above them, so that the file is
    the first.
    """

    @wraps(command)
    def with_file(*, config: str | None, task_files: tuple[str, ...], **options: Any) -> None:
        from ratchet import console

        path, was_looked_for = choose_task_file(config, task_files, click.get_current_context().command_path)
        if was_looked_for:
            console.note(f"the task is {path}")
        command(config=path, **options)

    return _with(
        with_file,
        click.argument("task_files", nargs=-1, metavar="[FILE]"),
        click.option(
            "-c", "--config", metavar="FILE",
            help="The YAML file of the task, also without -c; unset: the only one here or in configs/.",
        ),
    )  # fmt: skip


def task_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command about a task takes."""
    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else.")
    return file_options(_with(command, as_json))


def work_options(command: Callable[..., None]) -> Callable[..., None]:
    """Those of `task_options`, and the ones of what trains or asks for what was trained."""
    more = _with(
        command,
        click.option("--force", is_flag=True, help="Do the work again, also where a finished run could be used."),
        click.option("--trials", callback=_blank_is_unset, metavar="N", help="Overrides search.trials."),
        click.option("--jobs", callback=_blank_is_unset, metavar="N", help="Overrides search.jobs."),
        click.option("--seed", callback=_blank_is_unset, metavar="N", help="Overrides search.seed."),
    )
    return task_options(more)


def _with(command: Callable[..., None], *options: Callable[..., Callable[..., None]]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


def _blank_is_unset(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """MLproject hands down parameters that were not given as empty strings."""
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a whole number") from None


@contextmanager
def opened(config: str, as_json: bool, force: bool = False, **options: Any) -> "Iterator[Session]":
    """Open the session of a command: the task with its overrides, the tracking store, and who watches."""
    from ratchet.adapters import tracking
    from ratchet.console import Live, Quiet
    from ratchet.settings import Settings
    from ratchet.steps.session import Session

    process.require_memory()
    task, settings = _task(config, options), Settings.from_env().with_folder(Path(config).parent)
    progress = Quiet() if as_json else Live()
    progress.note(f"watch: {ui(settings.tracking_uri)}")
    try:
        with tracking.reachable(settings):
            client = tracking.client(settings)
            tracking.require_in_place(client, settings, task.name)
            session = Session(task, settings, client, progress, force)
            try:
                yield session
            finally:
                session.spool.close()
    finally:
        if isinstance(progress, Live):
            progress.close()


def _task(config: str, options: dict[str, Any]) -> "Task":
    from pydantic import ValidationError

    from ratchet.config import override
    from ratchet.taskfile import load

    task = load(config)
    values = {name: options.get(name) for name in ("trials", "jobs", "seed")}
    if all(value is None for value in values.values()):
        return task
    try:
        return task.model_copy(update={"search": override(task.search, **values)})
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigError(f"--{fault['loc'][0]}: {fault['msg'].lower()}") from None


def ui(tracking_uri: str) -> str:
    """Return where the runs can be looked at: the server's address, or the command that opens the UI."""
    from ratchet.settings import masked

    shown = masked(tracking_uri)
    return shown if shown.startswith("http") else f"mlflow ui --backend-store-uri {shown}"
