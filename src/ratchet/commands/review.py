"""The commands for those who review a version: build it again, compare it with another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ratchet.commands.task import opened, task_options
from ratchet.errors import Differs

SHOWN, MOST = 44, 30  # characters of a cell, lines of one kind


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


@click.command()
@task_options
@click.option("--version", "number", required=True, type=click.IntRange(1), metavar="N", help="The version to build.")
@click.option(
    "--environment", type=click.Choice(["locked", "here"]), default="locked", show_default=True,
    help="Built from the recorded lock, once; or this one, if its lock is the same.",
)  # fmt: skip
@click.option(
    "--repository", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A clone that holds the recorded commit; unset: the one that Ratchet lies in.",
)  # fmt: skip
@click.option(
    "--tolerance", type=click.FloatRange(0), default=0.0, show_default=True,
    help="The largest difference that is let pass on another platform.",
)  # fmt: skip
def reproduce(as_json: bool, config: str, **options: Any) -> None:
    """Build a version again from its commit, lock, data and recipe, and compare the predictions bit for bit."""
    from ratchet import console
    from ratchet.operate import reproduce as operation

    with opened(config=config, as_json=as_json) as session:
        found = operation.reproduce(session, operation.Asked(**options))
        if not as_json:
            _show_parts(found)
        if not found["passes"]:
            fault = f"{found['task']} version {found['version']}: what was built again {operation.verdict(found)}"
            raise Differs(fault, found)
        if as_json:
            console.as_json(found)


def _show_parts(found: Mapping[str, Any]) -> None:
    from ratchet import console

    rows = [
        [part["part"], _short(part["recorded"]), "" if part["same"] else _short(part["here"]),
         "yes" if part["same"] else "NO"]
        for part in found["parts"]
    ]  # fmt: skip
    console.table(f"{found['task']} version {found['version']}", ["", "recorded", "here", "same"], rows)
    if found["from_changed_code"]:
        changed = ", ".join(found["changed_code"]) or "none of the files that make a model"
        console.say(f"it was trained from a working tree with changes ({changed}); its commit does not have them")
    same = found["files"] - len(found["changed_files"])
    changed = f"; not {', '.join(found['changed_files'])}" if found["changed_files"] else ""
    console.say(f"files of the model: {same} of {found['files']} the same byte for byte{changed}")
    if found["identical"]:
        console.say(f"{found['rows']} predictions: the same bit for bit")
    elif found["comparable"]:
        share = f"{found['decided_otherwise']:.1%}"
        console.say(f"{found['rows']} predictions: up to {found['largest']:.3g} apart, {share} decided otherwise")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


@click.command()
@task_options
@click.argument("first", type=click.IntRange(1), metavar="VERSION")
@click.argument("second", type=click.IntRange(1), metavar="VERSION")
def diff(first: int, second: int, as_json: bool, **options: Any) -> None:
    """Say what differs between two versions: config, model, data, code, packages, metrics, predictions."""
    from ratchet import console
    from ratchet.operate import diff as operation

    with opened(as_json=as_json, **options) as session:
        found = operation.diff(session, first, second)
        console.as_json(found) if as_json else _show_differences(found)


def _show_differences(found: Mapping[str, Any]) -> None:
    from ratchet import console

    heads = ["", *(f"version {number}" for number in found["versions"])]
    for section in ("config", "model", "packages"):
        _show_section(section, heads, found[section])
    _show_data(heads, found["data"])
    _show_code(found["code"])
    metrics = found["metrics"]
    rows = [
        [name, *map(console.figure, values), console.figure(values[1] - values[0]) if None not in values else "–"]
        for name, values in metrics["values"].items()
    ]
    console.table("metrics on test" + ("" if metrics["same_rows"] else ", of other rows each"),
                  [*heads, "difference"], rows)  # fmt: skip
    _show_predictions(found["predictions"])


def _show_code(code: Mapping[str, Any]) -> None:
    from ratchet import console

    first, second = code["commits"]
    _title("code", code, "the same commit" if first == second else f"{first} -> {second}")
    if "files" in code:
        console.say(f"  of what makes a model: {', '.join(code['files']) or 'nothing changed'}")
    for line in code.get("stat", [])[-MOST:]:
        console.say(f"  {line.strip()}")


def _show_predictions(told: Mapping[str, Any]) -> None:
    from ratchet import console

    if "unknown" in told:
        _title("predictions", told, "")
        return
    apart = f"up to {told['largest']:.3g} apart, {told['decided']:.1%} decided otherwise"
    said = "the same bit for bit" if told["is_identical"] else apart
    console.say(f"predictions: {said}, on {told['rows']} test rows of version {told['of_version']}")
    if told["other_may_have_learned_from_them"]:
        console.say("  the splits differ: the other version may have learned from some of these rows")


def _show_section(name: str, heads: list[str], section: Mapping[str, Any]) -> None:
    from ratchet import console

    if changed := section.get("changed"):
        console.table(name, heads, [[key, *(_short(_cell(value)) for value in pair)] for key, pair in changed.items()])
    else:
        _title(name, section, "the same")


def _show_data(heads: list[str], data: Mapping[str, Any]) -> None:
    from ratchet import console

    _title("data", data, "the same" if data["same"] else "changed")
    rows = [[f"source {name}", *map(_cell, pair)] for name, pair in data.get("sources", {}).items()]
    rows += [[f"rows of {side}", *map(_cell, pair)] for side, pair in data.get("rows", {}).items()]
    rows += [[f"column {name}", "there", "gone"] for name in data.get("gone", [])]
    rows += [[f"column {name}", "not there", "new"] for name in data.get("new", [])]
    figures = [(f"{name}, {key}", pair) for name, own in data.get("columns", {}).items() for key, pair in own.items()]
    rows += [[name, *(_short(_cell(value)) for value in pair)] for name, pair in figures[:MOST]]
    if rows:
        more = f", {len(figures) - MOST} more figures of columns in --json" if len(figures) > MOST else ""
        console.table(f"data{more}", heads, rows)


def _title(name: str, section: Mapping[str, Any], text: str) -> None:
    from ratchet import console

    console.say(f"{name}: {section.get('unknown') or text}")


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value)
