"""A fault: one command, and what its user sees; and the small sound table and task that it spoils."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.web import Answer

ROWS = 120
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Case:
    """A fault: `data` is written to data.csv, `task` replaces parts of a sound task, `command` is run.

    told: a pattern of what the command says; code: how it ends. around: shell words that are run before it, in a mount
    namespace of its own if they mount something. answer: what the server says that stands for SERVER in the task, and
    for PORT in the command. slow: it waits for long, so it belongs to `make faults`.
    """

    name: str
    told: str
    data: bytes | Callable[[], bytes] | None = None
    task: Mapping[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ("preprocess",)
    code: int = 1
    yaml: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    around: str = ""
    answer: Answer | None = None
    slow: bool = False

    def __str__(self) -> str:
        return self.name


def columns(rows: int = ROWS, **more: list[Any]) -> Columns:
    """A small sound table."""
    return {
        "id": [f"r{i}" for i in range(rows)],
        "age": [20 + i % 50 for i in range(rows)],
        "income": [1000 + 13 * i % 700 for i in range(rows)],
        "city": [["Seoul", "Busan", "Daegu"][i % 3] for i in range(rows)],
        "y": [int(i * 7 % 10 < 4) for i in range(rows)],
    } | more


def csv(given: Columns | None = None, sep: str = ",", encoding: str = "utf-8") -> bytes:
    """Return the table as a delimited file; None is an empty cell."""
    given = given or columns()
    rows = zip(*given.values(), strict=True)
    lines = [sep.join(given), *(sep.join("" if cell is None else str(cell) for cell in row) for row in rows)]
    return ("\n".join(lines) + "\n").encode(encoding)


def table(**more: list[Any]) -> bytes:
    return csv(columns(**more))


def data(**more: Any) -> dict[str, Any]:
    sound = {"sources": {"rows": {"uris": ["data.csv"]}}, "target": "y", "positive": 1, "id": "id"}
    return {"data": sound | more}


def query(sql: str) -> dict[str, Any]:
    return data(query=sql)
