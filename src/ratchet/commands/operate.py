"""The commands for what people do with the result, and for the first task."""

from typing import TYPE_CHECKING, Any

import click

from ratchet.commands.task import COMMENT, opened, task_options
from ratchet.settings import SERVE_HOST, SERVE_PORT

if TYPE_CHECKING:
    from ratchet.adapters.modelserver import Address
    from ratchet.steps.session import Session


@click.command()
@task_options
@click.option("--to", type=click.IntRange(1), metavar="VERSION", help="A champion of before; unset: the last one.")
@COMMENT
def rollback(to: int | None, comment: str, as_json: bool, **options: Any) -> None:
    """Bring a former champion back to Production."""
    from ratchet import console
    from ratchet.operate import rollback as operation

    with opened(as_json=as_json, **options) as session:
        left, back = operation.rollback(session, to, comment)
        if as_json:
            console.as_json({"task": session.task.name, "from": left.number, "to": back.number})
        else:
            console.say(f"{left.name}: version {back.number} is in Production again, version {left.number} is archived")


@click.command()
@task_options
@click.option("--stage", default="Production", show_default=True, help="The stage whose version is served.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=SERVE_PORT, show_default=True, help="0 for any free one."
)
@click.option("--host", default=SERVE_HOST, show_default=True, help="0.0.0.0 to be reached from other machines.")
@click.option(
    "--env-manager", type=click.Choice(["local", "uv", "virtualenv", "conda"]), default="local", show_default=True,
    help="The environment: this one, or one built from the model's own requirements.",
)  # fmt: skip
@click.option("--bare", is_flag=True, help="Only `mlflow models serve`, without the gateway before it.")
def serve(stage: str, port: int, host: str, env_manager: str, bare: bool, as_json: bool, **options: Any) -> None:
    """Serve the version behind a stage with `mlflow models serve`, until it is stopped."""
    from ratchet.adapters import servers
    from ratchet.adapters.modelserver import Address

    with opened(as_json=as_json, **options) as session:
        _bare(session, stage, Address(host, port or servers.free_port()), env_manager, as_json)


def _bare(session: "Session", stage: str, address: "Address", env_manager: str, as_json: bool) -> None:
    from ratchet import console
    from ratchet.adapters import modelserver as operation
    from ratchet.adapters import registry
    from ratchet.steps import chronicle

    version = registry.behind(session.client, session.task.name, stage)
    with (
        session.fetched(chronicle.model_of(session, version)) as folder,
        operation.serving(folder, address, env_manager, session.settings) as server,
    ):
        if as_json:
            console.as_json({"task": session.task.name, "url": server.url, "model_uri": version.uri})
        else:
            console.say(f"{version.uri} ({version.stage}) answers at {server.url}/invocations; Ctrl-C stops it")
        try:
            server.wait()
        except KeyboardInterrupt:
            session.progress.note("stopping")


@click.command()
@task_options
def status(as_json: bool, **options: Any) -> None:
    """Versions, stages, aliases, metrics and the last runs of a task."""
    from ratchet import console
    from ratchet.operate import status as operation

    with opened(as_json=as_json, **options) as session:
        found = operation.status(session)
        console.as_json(found) if as_json else console.status(found)


@click.command()
@click.argument("source", metavar="DATA")
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option("--name", metavar="NAME", help="Name of the task; unset: made from the data's name.")
@click.option("--encoding", metavar="NAME", help="Encoding of a delimited file, such as cp949; unset: utf-8.")
@click.option("--sep", metavar="TEXT", help="Separator of a delimited file; unset: seen.")
def init(source: str, target: str, **options: str | None) -> None:
    """Write a commented task to stdout, from a look at the data."""
    from ratchet import console
    from ratchet.operate import init as operation
    from ratchet.settings import Settings

    console.text(operation.draft(source, target, Settings.from_env(), **options))
