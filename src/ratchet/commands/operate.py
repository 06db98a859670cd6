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
        elif left.number == back.number:
            console.say(f"{left.name}: version {back.number}, which had been withdrawn, is in Production again")
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
@click.option("--no-keys", is_flag=True, help="Callers of other machines need no key: a proxy before it checks them.")
def serve(stage: str, env_manager: str, bare: bool, no_keys: bool, as_json: bool, **options: Any) -> None:
    """Serve the version behind a stage: a gateway, and `mlflow models serve` behind it, until it is stopped."""
    from ratchet.adapters import servers
    from ratchet.adapters.modelserver import Address

    host, port = options.pop("host"), options.pop("port")
    with opened(as_json=as_json, **options) as session:
        if bare:
            _bare(session, stage, Address(host, port or servers.free_port()), env_manager, as_json)
        else:
            _gateway(session, options["config"], stage, (host, port, no_keys), env_manager, as_json)


def _gateway(
    session: "Session", config: str, stage: str, at: tuple[str, int, bool], env_manager: str, as_json: bool
) -> None:  # fmt: skip
    from ratchet import console
    from ratchet.operate import front
    from ratchet.operate.gateway import How
    from ratchet.serving.server import Listening

    host, port, is_open = at

    def up(url: str, supervisor: Any) -> None:
        champion = supervisor.routes.champion
        if as_json:
            uri = f"models:/{session.task.name}/{champion.version}" if champion else None
            console.as_json({"task": session.task.name, "url": url, "model_uri": uri})
        else:
            which = f"version {champion.version}" if champion else "no version yet"
            if supervisor.routes.withdrawn:
                which = "the rule" if session.task.serving.fallback else "no version, since the last one was withdrawn,"
            console.say(
                f"{session.task.name}: {which} answers at {url}/invocations, the page is {url}/; Ctrl-C stops it"
            )

    front.serve(
        session,
        front.Front(config, Listening(host, port), How(env_manager, stage.capitalize(), waits=False), is_open),
        up,
    )


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
@click.argument("name")
@click.option(
    "--scopes", default="predict,outcomes", show_default=True, help="What it may do: predict, outcomes, admin."
)
def key(name: str, scopes: str) -> None:
    """Make an API key for the gateway: it is shown once, here; the file RATCHET_API_KEYS_FILE gets its hash."""
    from ratchet import console
    from ratchet.errors import ConfigError
    from ratchet.serving import apikeys
    from ratchet.settings import Settings

    file = Settings.from_env().api_keys
    if file is None:
        raise ConfigError("RATCHET_API_KEYS_FILE: unset; name the file that holds the hashes of the keys")
    made = apikeys.added(file, name, tuple(scopes.split(",")))
    console.say(made)


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
@click.option("--target", metavar="COLUMN", help="The column to predict; unset: the columns are listed.")
@click.option("--name", metavar="NAME", help="Name of the task; unset: made from the data's name.")
@click.option("--encoding", metavar="NAME", help="Encoding of a delimited file, such as cp949; unset: utf-8.")
@click.option("--sep", metavar="TEXT", help="Separator of a delimited file; unset: seen.")
@click.option("--quote", metavar="TEXT", help='Quote character of a delimited file, "" for none; unset: seen.')
@click.option("--table", metavar="NAME", help="A table of a database, to be read whole.")
@click.option("--query", metavar="SQL", help="The rows by SQL: a database's own, or DuckDB's on the table `data`.")
def init(source: str, target: str | None, name: str | None, **reading: str | None) -> None:
    """Write a commented task to stdout, from a look at the data: a file, a folder, an address or a database."""
    from ratchet import console
    from ratchet.operate import init as operation
    from ratchet.settings import Settings

    console.text(operation.draft(source, target, Settings.from_env(), name, operation.Reading(**reading)))
