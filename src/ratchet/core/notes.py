"""What the MLflow UI shows of a task, a run or a version: short names and Markdown, from plain values."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SEPARATOR = " · "
MOST_CHANGES = 3  # that a run's name tells; more would push the score out of sight
MOST_VALUE = 24  # characters of a value within a name


def run_name(*parts: str) -> str:
    """Return a run's name: its parts with a separator between them, empty parts left out."""
    return SEPARATOR.join(part for part in parts if part)


def changed(former: Mapping[str, str] | None, now: Mapping[str, str], all_values: Mapping[str, str]) -> str:
    """Return what differs from the run before, short enough for a run's name.

    Args:
        former: The parameters of the run before, by their place in the YAML file; None if there is none.
        now: Those of this run. Values that are the default are in neither.
        all_values: All values of this run's task by their place, defaults too.

    Returns:
        Such as `trials 20, seed 8`; empty if nothing differs, or if there is no run before.
    """
    if former is None:
        return ""
    places = [place for place in sorted({*former, *now}) if former.get(place) != now.get(place)]
    told = list(dict.fromkeys(_change(place, all_values.get(place)) for place in places))
    more = len(told) - MOST_CHANGES
    return ", ".join(told[:MOST_CHANGES]) + (f" +{more}" if more > 0 else "")


def _change(place: str, value: str | None) -> str:
    """Return one change in words; value: None where the task no longer has the key."""
    if place.startswith("data."):
        return "other data" if place == "data.digest" else f"{place} changed"
    name = place.rpartition(".")[2] if place.startswith("search.") else place
    if value is None:
        return f"no {name}"
    plain = value.strip('"')
    return f"{name} {plain}" if len(plain) <= MOST_VALUE and plain[:1] not in ("{", "[") else f"{name} changed"


def report(found: Mapping[str, Any]) -> str:
    """Return the figures on test as a Markdown table: the model with its interval, beside what it has to beat.

    Args:
        found: What evaluate found: `metrics`, `intervals`, `baselines`, `champion`, `hypothesis`, `rows`.
    """
    others: dict[str, Mapping[str, float]] = dict(found["baselines"])
    if found["champion"]:
        others[f"champion (version {found['champion']['version']})"] = found["champion"]["metrics"]
    rows = []
    for name, value in found["metrics"].items():
        low, high = found["intervals"][name]
        beside = [_figure(other.get(name)) for other in others.values()]
        rows.append([name, f"**{_figure(value)}**", f"{_figure(low)} to {_figure(high)}", *beside])
    lines = [f"On {found['rows']:,} test rows:", "", *table(["metric", "model", "95 % interval", *others], rows)]
    if stated := found["hypothesis"]:
        text = stated["text"] or f"{stated['metric']} {stated['minimum']:g}"
        lines += ["", f"Hypothesis **{stated['verdict']}**: {text} ({stated['metric']} {_figure(stated['value'])})."]
    return "\n".join(lines)


def gates(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the verdict of each gate as a Markdown table; empty if there is no gate.

    Args:
        found: The verdicts as `gates.as_json` gives them.
    """
    rows = [[gate["stage"], gate["kind"], f"**{gate['verdict']}**", gate["sentence"]] for gate in found]
    return "\n".join(table(["stage", "gate", "verdict", "which is to say"], rows)) if rows else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines]


def sections(*parts: tuple[str, str]) -> str:
    """Return Markdown of (heading, text), those without text left out; an empty heading is none."""
    return "\n\n".join(f"### {head}\n{text}" if head else text for head, text in parts if text)


def link(text: str, place: str) -> str:
    """Return a link within the MLflow UI. place: what follows the `#` of its address."""
    return f"[{text}](#/{place})"


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"
