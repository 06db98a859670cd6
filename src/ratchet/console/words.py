"""How a result is said: a line, a table, one JSON object; a fault on stderr."""

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

LONGEST_FAULT = 1_000
WIDTH = 140  # of a table that goes to a file


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


def size(count: float) -> str:
    """Return a number of bytes as people say it: 512 bytes, 3.4 kB, 1.2 GB."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count, units = count / 1000, units[1:]
    return f"{count:.0f} bytes" if units[0] == "bytes" else f"{count:.1f} {units[0]}"


def say(text: str = "") -> None:
    """Print a line of the result."""
    Console(highlight=False, soft_wrap=True).print(escape(text))


def fault(text: str) -> None:
    """Print an error, each line of it cut where nobody reads on."""
    lines = (line if len(line) <= LONGEST_FAULT else f"{line[:LONGEST_FAULT]} …" for line in text.splitlines() or [""])
    sys.stderr.write("".join(f"ratchet: {line}\n" for line in lines))


def note(text: str) -> None:
    """Print a remark on stderr, beside a result that goes to stdout."""
    sys.stderr.write(f"ratchet: {text}\n")


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
