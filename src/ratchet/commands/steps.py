"""The commands that make runs: the main job and its steps."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ratchet.commands.task import COMMENT, opened, task_options, ui, work_options
from ratchet.errors import GateRefused
from ratchet.settings import SERVE_HOST, SERVE_PORT

if TYPE_CHECKING:
    from ratchet.steps.session import Session


@click.command()
@work_options
@click.option("--ask", is_flag=True, help="At the end serve the model, send it one real request, and stop it.")
@click.option("--plan", is_flag=True, help="Only say what would run, on how many rows, how long, with how much memory.")
@click.option("--why", is_flag=True, help="Only say which steps would run again, and which input of each changed.")
def run(ask: bool, plan: bool, why: bool, as_json: bool, **options: Any) -> None:
    """The main job: preprocess, train, evaluate, promote to Production."""
    from ratchet import console
    from ratchet.operate import plan as planning
    from ratchet.operate import why as explaining
    from ratchet.steps import main

    with opened(as_json=as_json, **options) as session:
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
            if refusal.yardstick and not as_json:
                console.yardstick(refusal.yardstick)
            raise
        if as_json:
            console.as_json(main.as_json(done, session.task.name))
            return
        console.report(done.evaluated.report)
        found = main.as_json(done, session.task.name)
        console.gates(found["gates"])
        console.yardstick(found["yardstick"])
        version = done.promoted.version
        console.say(f"{version.name} version {version.number} is in {version.stage}: {version.uri}")
        _show_how_to_ask(session, version, options["config"], ask)


def _show_how_to_ask(session: "Session", version: Any, config: str, ask: bool) -> None:
    import json

    from ratchet import console
    from ratchet.adapters import modelserver as serve
    from ratchet.adapters import servers
    from ratchet.steps import chronicle

    with session.fetched(chronicle.model_of(session, version)) as folder:
        body = serve.sample_rows(folder)
        body["dataframe_records"] = body["dataframe_records"][:1]
        if ask:
            session.progress.step("serve", "running")
            address = serve.Address(SERVE_HOST, servers.free_port())
            with serve.serving(folder, address, "local", session.settings) as server:
                answer = serve.ask(server.url, body)
            session.progress.step("serve", "done")
    shown = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    url = f"http://{SERVE_HOST}:{SERVE_PORT}/invocations"
    console.say(f"serve it:  ratchet serve -c {config} --port {SERVE_PORT}")
    console.say(f"ask it:    curl -s {url} -H 'Content-Type: application/json' -d '{shown}'")
    if ask:
        console.say(f"answer:    {json.dumps(answer, ensure_ascii=False)}")
    console.say(f"compare:   {ui(session.settings.tracking_uri)}")


@click.command()
@work_options
def preprocess(as_json: bool, **options: Any) -> None:
    """Read, check, split and describe the rows."""
    from ratchet import console
    from ratchet.steps import preprocess as step

    with opened(as_json=as_json, **options) as session:
        prepared = step.preprocess(session)
        found = {"task": session.task.name, "run_id": prepared.run_id, **prepared.about}
        console.as_json(found) if as_json else console.prepared(found)


@click.command()
@work_options
def train(as_json: bool, **options: Any) -> None:
    """Tune, fit, calibrate and log one model."""
    from ratchet import console
    from ratchet.steps import train as step

    with opened(as_json=as_json, **options) as session:
        trained = step.train(session)
        found = {"task": session.task.name, **vars(trained)}
        console.as_json(found) if as_json else console.say(f"{trained.model_uri} (run {trained.run_id})")


@click.command()
@work_options
def evaluate(as_json: bool, **options: Any) -> None:
    """Judge the model on test, once, beside the rule, the dummy and the champion."""
    from ratchet import console
    from ratchet.steps import evaluate as step

    with opened(as_json=as_json, **options) as session:
        evaluated = step.evaluate(session)
        console.as_json(step.as_json(evaluated)) if as_json else console.report(evaluated.report)


@click.command()
@work_options
@click.option("--to", type=click.Choice(["staging", "production"]), default="production", show_default=True,
    help="How far: Staging only, or through it to Production.",
)  # fmt: skip
@click.option("--version", type=click.IntRange(1), metavar="N", help="Which version; unset: the model of this file.")
@COMMENT
@click.option("--dry-run", is_flag=True,
    help="Only say what each gate on the way would say, by how much, and how many more rows it would take to tell."
    " Exits 1 if one does not open.",
)  # fmt: skip
def promote(to: Any, version: int | None, comment: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Register the judged model, hold it against the gates, and move it through the stages."""
    from ratchet import console
    from ratchet.core import gates
    from ratchet.steps import promote as step

    asked = step.Asked(to, comment, version)
    with opened(as_json=as_json, **options) as session:
        if dry_run:
            verdicts, beside = step.explained(session, asked)
            found, terms = gates.as_json(verdicts), beside.as_json()
            is_open = all(gates.opens(judged) for judged in verdicts.values())
            told = {"task": session.task.name, "to": to, "opens": is_open, "gates": found, "yardstick": terms}
            if as_json and is_open:
                console.as_json(told)
            elif not as_json:
                console.gates(found)
                console.yardstick(terms)
            if not is_open:
                text = f"{session.task.name}: not every gate on the way to {to} would open"
                raise GateRefused(text, gates=found, yardstick=terms)
            return
        promoted = step.promote(session, asked)
        if as_json:
            console.as_json({"task": session.task.name, **step.as_json(promoted)})
            return
        console.gates(gates.as_json(promoted.verdicts))
        console.yardstick(promoted.yardstick.as_json())
        came = promoted.version
        already = "" if promoted.moved else " already; nothing was moved"
        console.say(f"{came.name} version {came.number} is in {came.stage}{already}: {came.uri}")


@click.command()
@task_options
@click.option("--input", "source", required=True, metavar="FILE", help="CSV or Parquet, also packed, or a URI.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="A .csv or .parquet file.")
@click.option("--stage", default="Production", show_default=True, help="The stage whose version answers.")
@click.option("--as-source", metavar="NAME", help="The file stands in place of this source, and data.query is run.")
@click.option("--plain", is_flag=True, help="Do not run data.query: the file has the columns that the model reads.")
@click.option("--read.encoding", "--encoding", "encoding", metavar="NAME", help="Encoding of this file.")
@click.option("--read.sep", "--sep", "sep", metavar="TEXT", help="Separator of this file.")
@click.option("--read.quote", "quote", metavar="TEXT", help='Quote character of this file; "" for none.')
@click.option("--read.na", "na", multiple=True, metavar="TEXT", help="A cell that means missing in this file; several.")
def score(
    source: str, output: Path, stage: str, as_source: str | None, plain: bool, as_json: bool, **options: Any
) -> None:
    """Answer each row of a file: the rows with their answers go to another file."""
    from ratchet import console
    from ratchet.steps import score as step

    read = {name: options.pop(name) for name in ("encoding", "sep", "quote", "na")}
    differs = {name: value for name, value in read.items() if value is not None and value != ()}
    with opened(as_json=as_json, **options) as session:
        reading = step.Reading(as_source, plain, differs)
        scored = step.score(session, source, output, stage, reading=reading)
        found = {"task": session.task.name, **vars(scored)}
        if as_json:
            console.as_json(found)
            return
        for counts, what in ((scored.unseen, "never seen in training"), (scored.out_of_range, "far out of its range")):
            for name, count in counts.items():
                console.say(f"{name}: {count:,} of {scored.rows:,} values {what}")
        console.say(f"{scored.rows:,} rows scored by {scored.model_uri}: {scored.output}")
