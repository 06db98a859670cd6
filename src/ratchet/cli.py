"""argv -> call. With console.py the only file that prints, and the only one that exits.

Heavy imports stay inside the commands, so that `ratchet --help` answers at once.
"""

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratchet import __version__
from ratchet.adapters import process, stops
from ratchet.errors import ConfigError, GateRefused, told

if TYPE_CHECKING:
    from ratchet.config import Task
    from ratchet.steps.session import Session

INTERRUPTED = 130
SERVE_PORT = 5001


def _blank_is_unset(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """MLproject hands down parameters that were not given as empty strings."""
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a whole number") from None


def _task_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command about a task takes."""
    options = [
        click.option("-c", "--config", required=True, metavar="FILE", help="The YAML file of the task."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout and nothing else."),
        click.option("--force", is_flag=True, help="Do the work again, also where a finished run could be used."),
        click.option("--trials", callback=_blank_is_unset, metavar="N", help="Overrides search.trials."),
        click.option("--jobs", callback=_blank_is_unset, metavar="N", help="Overrides search.jobs."),
        click.option("--seed", callback=_blank_is_unset, metavar="N", help="Overrides search.seed."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


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


@contextmanager
def _session(config: str, as_json: bool, force: bool, **options: Any) -> "Iterator[Session]":
    from ratchet.adapters import tracking
    from ratchet.config import Settings
    from ratchet.console import Live, Quiet
    from ratchet.steps.session import Session

    process.require_memory()
    task, settings = _task(config, options), Settings.from_env()
    progress = Quiet() if as_json else Live()
    progress.note(f"watch: {_ui(settings.tracking_uri)}")
    try:
        with tracking.reachable(settings):
            yield Session(task, settings, tracking.client(settings), progress, force)
    finally:
        if isinstance(progress, Live):
            progress.close()


def _ui(tracking_uri: str) -> str:
    from ratchet.config import masked

    shown = masked(tracking_uri)
    return shown if shown.startswith("http") else f"mlflow ui --backend-store-uri {shown}"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ratchet")
def cli() -> None:
    """From a data set and one YAML file to a tuned, judged, promoted and served model."""


@cli.command()
@_task_options
@click.option("--ask", is_flag=True, help="At the end serve the model, send it one real request, and stop it.")
@click.option("--plan", is_flag=True, help="Only say what would run, on how many rows, how long, with how much memory.")
@click.option("--why", is_flag=True, help="Only say which steps would run again, and which input of each changed.")
def run(ask: bool, plan: bool, why: bool, as_json: bool, **options: Any) -> None:
    """The main job: preprocess, train, evaluate, promote to Production."""
    from ratchet import console
    from ratchet.operate import plan as planning
    from ratchet.operate import why as explaining
    from ratchet.steps import main

    with _session(as_json=as_json, **options) as session:
        if plan:
            found = planning.plan(session)
            console.as_json(found) if as_json else console.plan(found)
            return
        if why:
            steps = explaining.why(session)
            console.as_json({"task": session.task.name, "steps": steps}) if as_json else console.why(steps)
            return
        try:
            done = main.main(session)
        except GateRefused as refusal:
            if refusal.report and not as_json:
                console.report(refusal.report)
                console.gates(refusal.gates)
            raise
        if as_json:
            console.as_json(main.as_json(done, session.task.name))
            return
        console.report(done.evaluated.report)
        console.gates(main.as_json(done, session.task.name)["gates"])
        version = done.promoted.version
        console.say(f"{version.name} version {version.number} is in {version.stage}: {version.uri}")
        _show_how_to_ask(session, version, options["config"], ask)


def _show_how_to_ask(session: "Session", version: Any, config: str, ask: bool) -> None:
    import json

    from ratchet import console
    from ratchet.adapters import registry
    from ratchet.config import SERVE_HOST
    from ratchet.operate import serve

    folder = registry.download(version.uri)
    body = serve.sample_rows(folder)
    body["dataframe_records"] = body["dataframe_records"][:1]
    shown = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    if ask:
        session.progress.step("serve", "running")
        with serve.serving(folder, serve.free_port(), "local", session.settings) as server:
            answer = serve.ask(server.url, body)
        session.progress.step("serve", "done")
    url = f"http://{SERVE_HOST}:{SERVE_PORT}/invocations"
    console.say(f"serve it:  ratchet serve -c {config} --port {SERVE_PORT}")
    console.say(f"ask it:    curl -s {url} -H 'Content-Type: application/json' -d '{shown}'")
    if ask:
        console.say(f"answer:    {json.dumps(answer, ensure_ascii=False)}")
    console.say(f"compare:   {_ui(session.settings.tracking_uri)}")


@cli.command()
@_task_options
def preprocess(as_json: bool, **options: Any) -> None:
    """Read, check, split and describe the rows."""
    from ratchet import console
    from ratchet.steps import preprocess as step

    with _session(as_json=as_json, **options) as session:
        prepared = step.preprocess(session)
        found = {"task": session.task.name, "run_id": prepared.run_id, **prepared.about}
        console.as_json(found) if as_json else console.prepared(found)


@cli.command()
@_task_options
def train(as_json: bool, **options: Any) -> None:
    """Tune, fit, calibrate and log one model."""
    from ratchet import console
    from ratchet.steps import train as step

    with _session(as_json=as_json, **options) as session:
        trained = step.train(session)
        found = {"task": session.task.name, **vars(trained)}
        console.as_json(found) if as_json else console.say(f"{trained.model_uri} (run {trained.run_id})")


@cli.command()
@_task_options
def evaluate(as_json: bool, **options: Any) -> None:
    """Judge the model on test, once, beside the rule, the dummy and the champion."""
    from ratchet import console
    from ratchet.steps import evaluate as step

    with _session(as_json=as_json, **options) as session:
        evaluated = step.evaluate(session)
        console.as_json(step.as_json(evaluated)) if as_json else console.report(evaluated.report)


@cli.command()
@_task_options
@click.option("--to", type=click.Choice(["staging", "production"]), default="production", show_default=True,
    help="How far: Staging only, or through it to Production.",
)  # fmt: skip
def promote(to: Any, as_json: bool, **options: Any) -> None:
    """Register the judged model, hold it against the gates, and move it through the stages."""
    from ratchet import console
    from ratchet.steps import promote as step

    with _session(as_json=as_json, **options) as session:
        promoted = step.promote(session, to)
        if as_json:
            console.as_json({"task": session.task.name, **step.as_json(promoted)})
            return
        console.gates(step.gates_as_json(promoted.verdicts))
        version = promoted.version
        if to == "staging" and version.stage == "Production":
            session.progress.note("it is further than Staging already; nothing was moved")
        console.say(f"{version.name} version {version.number} is in {version.stage}: {version.uri}")


@cli.command()
@_task_options
def rollback(as_json: bool, **options: Any) -> None:
    """Bring the former champion back to Production."""
    from ratchet import console
    from ratchet.operate import rollback as operation

    with _session(as_json=as_json, **options) as session:
        left, back = operation.rollback(session)
        if as_json:
            console.as_json({"task": session.task.name, "from": left.number, "to": back.number})
        else:
            console.say(f"{left.name}: version {back.number} is in Production again, version {left.number} is archived")


@cli.command()
@_task_options
@click.option("--stage", default="Production", show_default=True, help="The stage whose version is served.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=SERVE_PORT, show_default=True, help="0 for any free one."
)
@click.option(
    "--env-manager", type=click.Choice(["local", "uv", "virtualenv", "conda"]), default="local", show_default=True,
    help="The environment: this one, or one built from the model's own requirements.",
)  # fmt: skip
def serve(stage: str, port: int, env_manager: str, as_json: bool, **options: Any) -> None:
    """Serve the version behind a stage with `mlflow models serve`, until it is stopped."""
    from ratchet import console
    from ratchet.adapters import registry
    from ratchet.operate import serve as operation

    with _session(as_json=as_json, **options) as session:
        version = registry.behind(session.client, session.task.name, stage)
        folder = registry.download(version.uri)
        with operation.serving(folder, port or operation.free_port(), env_manager, session.settings) as server:
            if as_json:
                console.as_json({"task": session.task.name, "url": server.url, "model_uri": version.uri})
                sys.stdout.flush()
            else:
                console.say(f"{version.uri} ({version.stage}) answers at {server.url}/invocations; Ctrl-C stops it")
            try:
                server.wait()
            except KeyboardInterrupt:
                session.progress.note("stopping")


@cli.command()
@_task_options
@click.option("--input", "source", required=True, metavar="FILE", help="CSV or Parquet, also packed, or a URI.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A .csv or .parquet file.")
@click.option("--stage", default="Production", show_default=True, help="The stage whose version answers.")
def score(source: str, output: Path, stage: str, as_json: bool, **options: Any) -> None:
    """Answer each row of a file: the rows with their answers go to another file."""
    from ratchet import console
    from ratchet.steps import score as step

    with _session(as_json=as_json, **options) as session:
        scored = step.score(session, source, output, stage)
        found = {"task": session.task.name, **vars(scored)}
        console.as_json(found) if as_json else console.say(
            f"{scored.rows:,} rows scored by {scored.model_uri}: {scored.output}"
        )


@cli.command()
@_task_options
def status(as_json: bool, **options: Any) -> None:
    """Versions, stages, aliases, metrics and the last runs of a task."""
    from ratchet import console
    from ratchet.operate import status as operation

    with _session(as_json=as_json, **options) as session:
        found = operation.status(session)
        console.as_json(found) if as_json else console.status(found)


@cli.command()
@click.argument("source", metavar="DATA")
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option("--name", metavar="NAME", help="Name of the task; unset: made from the data's name.")
@click.option("--encoding", metavar="NAME", help="Encoding of a delimited file, such as cp949; unset: utf-8.")
@click.option("--sep", metavar="TEXT", help="Separator of a delimited file; unset: seen.")
def init(source: str, target: str, **options: str | None) -> None:
    """Write a commented task to stdout, from a look at the data."""
    from ratchet.config import Settings
    from ratchet.operate import init as operation

    sys.stdout.write(operation.draft(source, target, Settings.from_env(), **options))


@cli.group()
def config() -> None:
    """Check a task, or print what a task may say."""


@config.command()
@click.argument("file")
def check(file: str) -> None:
    """List all faults of a task's file."""
    from ratchet import console
    from ratchet.core import asked
    from ratchet.errors import ConfigError
    from ratchet.taskfile import load

    task = load(file)
    try:
        asked.check(task, task.problem.kind)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    console.say(f"{file}: task {task.name!r} is right")


@config.command()
def schema() -> None:
    """Print the JSON Schema of a task, for editors."""
    import json

    from ratchet.operate import reference

    sys.stdout.write(json.dumps(reference.json_schema(), indent=1, ensure_ascii=False) + "\n")


@config.command(name="reference")
def reference_() -> None:
    """Print the reference of all keys, as Markdown."""
    from ratchet.operate import reference

    sys.stdout.write(reference.markdown())


def main() -> None:
    """Run a command: 0 done, 1 refused or failed with one line why, 2 bad usage, 130 interrupted."""
    stops.hear()
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show Hangul shows its code instead
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        if "--json" in sys.argv:
            from ratchet import console

            console.as_json({"error": error.format_message()})
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("stopped; the same command goes on from here", INTERRUPTED)
    except GateRefused as error:
        report = error.report or {}
        _fail(str(error), 1, {"gates": error.gates, "metrics": report.get("metrics", {})})
    except Exception as error:
        said = told(error)
        if said is None:
            raise  # a bug keeps its traceback
        _fail(said, 1)


def _fail(text: str, code: int, more: Mapping[str, Any] | None = None) -> None:
    from ratchet import console

    if "--json" in sys.argv:
        console.as_json({"error": text, **(more or {})})
    console.fault(text)
    sys.exit(code)
