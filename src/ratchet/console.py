"""What a person sees: progress on stderr while it works, tables on stdout at the end."""

import json
import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

LONGEST_FAULT = 1_000
WIDTH = 140  # of a table that goes to a file
QUIET_S = 5  # without a terminal, a line at most this often


class Quiet:
    """Shows nothing: for --json."""

    def step(self, name: str, state: str) -> None:
        """Show nothing."""

    def trial(self, done: int, total: int, best: str, left_s: float) -> None:
        """Show nothing."""

    def rows(self, done: int) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


class Live:
    """Shows steps, trials and rows as they come: a bar in a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.began: dict[str, float] = {}
        self.bar: Progress | None = None
        self.spoke = 0.0

    def step(self, name: str, state: str) -> None:
        """Show that a step begins, ends or is used again."""
        self._end_bar()
        if state == "running":
            self.began[name] = time.monotonic()
            self.console.print(f"[bold]{name}[/] …")
        elif state == "reused":
            self.console.print(f"[bold]{name}[/] reused: its inputs have not changed")
        else:
            self.console.print(f"[bold]{name}[/] done in {duration(time.monotonic() - self.began.get(name, 0))}")

    def trial(self, done: int, total: int, best: str, left_s: float) -> None:
        """Show how far the search is."""
        if not done:
            return
        left = f"about {duration(left_s)} left" if done < total and left_s else ""
        self._advance("trial", done, total, f"best {best}" if best else "", left)

    def rows(self, done: int) -> None:
        """Show how many rows are scored."""
        self._advance("rows", done, None, "", "")

    def note(self, text: str) -> None:
        """Show a remark."""
        self.console.print(f"  [yellow]·[/] {escape(text)}")

    def _advance(self, word: str, done: int, total: int | None, *remarks: str) -> None:
        remark = ", ".join(part for part in remarks if part)
        if self.console.is_terminal:
            if self.bar is None:
                columns = (
                    SpinnerColumn(),
                    TextColumn(f"  {word}"),
                    BarColumn(30),
                    MofNCompleteColumn(),
                    TextColumn("{task.description}"),
                )
                self.bar = Progress(*columns, console=self.console, transient=True)
                self.bar.start()
                self.bar.add_task("", total=total)
            self.bar.update(self.bar.task_ids[0], completed=done, description=remark)
        elif done == total or time.monotonic() - self.spoke > QUIET_S:
            self.spoke = time.monotonic()
            of = f" of {total}" if total else ""
            self.console.print(f"  {word} {done:,}{of}{', ' if remark else ''}{remark}")

    def _end_bar(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._end_bar()


def duration(seconds: float) -> str:
    """Return a time as people say it: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def figure(value: Any) -> str:
    """Return a metric as a table shows it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4f}"


def why(steps: list[dict[str, Any]]) -> None:
    """Show by step whether it is reused and, if not, each input that changed."""
    for step in steps:
        if step["state"] == "reused":
            say(f"{step['step']}: reused, nothing changed")
        elif not step["changed"]:
            say(f"{step['step']}: runs, since no finished run of it is known")
        else:
            say(f"{step['step']}: runs, since")
            for name, how in step["changed"].items():
                say(f"  {name} {how}" if how in ("changed", "is new", "is gone") else f"  {name}: {how}")


def say(text: str = "") -> None:
    """Print a line of the result."""
    Console(highlight=False, soft_wrap=True).print(escape(text))


def fault(text: str) -> None:
    """Print an error, each line of it cut where nobody reads on."""
    lines = (line if len(line) <= LONGEST_FAULT else f"{line[:LONGEST_FAULT]} …" for line in text.splitlines() or [""])
    sys.stderr.write("".join(f"ratchet: {line}\n" for line in lines))


def text(content: str) -> None:
    """Print a file's content as it is, for `>`."""
    sys.stdout.write(content)


def finding(part: str, text: str, mend: str) -> None:
    """Show what was found of one part: well, or what to do."""
    told = f"{text}; {mend}" if text and mend else text or mend
    say(f"{'NOT WELL' if mend else 'well':9} {part:12} {told}")


def as_json(content: Any) -> None:
    """Print one JSON object and nothing else; NaN becomes null."""
    sys.stdout.write(json.dumps(_plain(content), ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()  # a command that goes on, such as serve, has said it


def _plain(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    return [_plain(value) for value in content] if isinstance(content, list | tuple) else content


def table(title: str, heads: list[str], rows: list[list[Any]]) -> None:
    """Print a table."""
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for place, head in enumerate(heads):
        shown.add_column(head, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(str(cell)) for cell in row))
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=WIDTH)
    out.print(shown)


def report(evaluation: Mapping[str, Any]) -> None:
    """Print the metrics on test beside what the model has to beat."""
    others = dict(evaluation["baselines"])
    if evaluation["champion"]:
        others[f"champion (v{evaluation['champion']['version']})"] = evaluation["champion"]["metrics"]
    heads = ["metric", "model", "95 % interval", *others]
    rows = []
    for name, value in evaluation["metrics"].items():
        low, high = evaluation["intervals"][name]
        rows.append(
            [
                name,
                figure(value),
                f"{figure(low)} to {figure(high)}",
                *(figure(o.get(name)) for o in others.values()),
            ]
        )
    table(f"{evaluation['task']}: {evaluation['rows']:,} test rows", heads, rows)
    if stated := evaluation["hypothesis"]:
        text = stated["text"] or f"{stated['metric']} {stated['minimum']}"
        seen = f"{stated['metric']} {figure(stated['value'])}, bound {stated['minimum']:g}"
        say(f"hypothesis {stated['verdict']}: {text} ({seen})")


def gates(found: list[dict[str, Any]]) -> None:
    """Print what each gate said; bounds are one-sided 95 % each."""
    heads = ["stage", "gate", "verdict", "figure", "95 % bounds", "threshold", "rows", "which is to say"]
    rows = [
        [
            *(gate[name] for name in ("stage", "kind", "verdict")),
            figure(gate["figure"]),
            "–" if gate["low"] is None else f"{figure(gate['low'])} to {figure(gate['high'])}",
            figure(gate["threshold"]),
            f"{gate['rows']:,}" if gate["rows"] else "–",
            gate["sentence"],
        ]
        for gate in found
    ]
    if rows:
        table("gates", heads, rows)


def prepared(found: Mapping[str, Any]) -> None:
    """Print what preprocess made of the rows: sides, features, and what was dropped and why."""
    sides = ", ".join(f"{side} {count:,}" for side, count in found["sides"].items())
    say(f"{found['task']}: {found['kind']}, {sides} rows; run {found['run_id']}")
    rows = [[name, kind] for name, kind in found["features"].items()]
    rows += [[name, f"= {formula}"] for name, formula in found["formulas"].items()]
    rows += [[name, f"dropped: {reason}"] for name, reason in found["dropped"].items()]
    table("columns", ["column", "becomes"], rows)


def plan(found: Mapping[str, Any]) -> None:
    """Print what the main job would do."""
    say(f"{found['task']}: {found['rows']:,} rows, {found['columns']} columns")
    table("", ["step", "state"],
          [[step["step"], step["state"]] for step in found["steps"]])  # fmt: skip
    time_s, memory = duration(found["about_s"]), found["about_mb"]
    say(f"{found['trials']} trials; about {time_s} and {memory:,} MB of memory (rough: from the size of the data)")


def status(found: Mapping[str, Any]) -> None:
    """Print versions and last runs."""
    if not found["versions"]:
        say(f"{found['task']}: no version is registered yet; ratchet run makes one")
    names = list(dict.fromkeys(name for v in found["versions"] for name in v["metrics"]))[:4]
    rows = [
        [
            v["version"],
            v["stage"],
            ", ".join(v["aliases"]),
            _when(v["updated_ms"]),
            *(figure(v["metrics"].get(n)) for n in names),
        ]
        for v in found["versions"]
    ]
    if rows:
        table(f"{found['task']}: versions", ["version", "stage", "alias", "moved (UTC)", *names], rows)
    runs = [[run["step"], run["status"], _when(run["start_ms"]), run["run_id"]] for run in found["runs"]]
    if runs:
        table("last runs", ["step", "status", "began (UTC)", "run"], runs)


def ledger(entries: list[dict[str, Any]]) -> None:
    """Print the entries of the ledger; an intent that came to its end is told by that."""
    ended = {entry["intent"] for entry in entries}
    entries = [entry for entry in entries if entry["sequence"] not in ended]
    if not entries:
        say("the ledger is empty: nothing was moved yet")
        return
    heads = ["entry", "at (UTC)", "task", "version", "what", "in place of", "by", "why"]
    rows = [
        [e["sequence"], e["at"][:19].replace("T", " "), e["task"], e["version"], _what(e), e["replaced"] or "",
         _whom(e), e["why"]]
        for e in entries
    ]  # fmt: skip
    table("ledger", heads, rows)
    if any(entry["intent"] for entry in entries):
        say("an entry that ends a move stands for its intent too, the number before; --json has them all")


def at(moment: str, found: list[dict[str, Any]]) -> None:
    """Print who was in which stage at a moment, and who had brought them there."""
    if not found:
        say(f"{moment}: nothing was in Staging or Production")
        return
    rows = [[f["task"], f["stage"], f["version"], f["at"][:19].replace("T", " "), _whom(f), f["why"]] for f in found]
    table(f"at {moment}", ["task", "stage", "version", "since (UTC)", "by", "why"], rows)


def _what(entry: Mapping[str, Any]) -> str:
    phase = "" if entry["phase"] == "done" else f" ({entry['phase']})"
    return f"{entry['action']} {entry['from_stage']} → {entry['to_stage']}{phase}"


def _whom(entry: Mapping[str, Any]) -> str:
    return str(entry["account"] or entry["person"] or entry["role"])


def _when(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(milliseconds / 1000))
