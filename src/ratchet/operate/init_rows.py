"""One reading of the rows for a first task: described whole, and a sample of them to look at."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ratchet.adapters import files, profile
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import parquet, quoted, run
from ratchet.config import HashSplit, Task
from ratchet.core import amounts, checks, suggested_codes
from ratchet.core.suggestions import Look
from ratchet.settings import Settings
from ratchet.steps import preprocess

SEEN_ROWS = 10_000


@dataclass(frozen=True)
class Rows:
    """What one reading of the rows gave: what was seen, the target's values, and words for missing by column."""

    look: Look
    values: list[tuple[Any, int]]
    classes: list[Any]
    missing_words: dict[str, list[str]]
    number_remarks: list[str]


def read_rows(found: Table, task: Task, settings: Settings) -> Rows:
    """Read and describe the rows of a task.

    Raises:
        DataError: If they cannot be read, or the target is not what a task can predict.
    """
    data = task.data
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.home) as place:
        path = Path(place) / "rows.parquet"
        with files.workspace(Path(place), [found]) as db:
            kinds = files.gather(db, data, HashSplit(), path)
            _, values = files.keep_targets(db, data.target, path)
            kind, classes = checks.kind_of_target(task, values)
            described = profile.columns(db, path, kinds)
            total = profile.count(db, path)
            for entry in described:
                entry |= {"rows": total, "length": profile.length(db, path, entry)}
            texts = [name for name, of_column in kinds.items() if of_column == "text" and name != data.target]
            words = {text: _missing_words(db, path, text) for text in texts}
        sample = files.read_side(path.parent, path.stem, list(kinds), SEEN_ROWS)
    answer = preprocess.encoded_target(sample[data.target], classes)
    look = Look(data.target, kind, total, {entry["name"]: entry for entry in described}, sample, answer)
    odd = amounts.numbers_as_text(sample, texts)
    return Rows(look, values, classes, {text: found for text, found in words.items() if found}, odd)


def _missing_words(db: duckdb.DuckDBPyConnection, path: Path, name: str) -> list[str]:
    column, table = quoted(name), parquet(path)
    number = f"try_cast(trim({column}) AS DOUBLE)"
    numbers = run(db, f"SELECT count({number}) FROM {table}", "data").fetchall()[0][0]
    if not numbers:
        return []
    most = suggested_codes.MAX_WORDS + 1
    sql = f"SELECT {column}, count(*) FROM {table} WHERE {column} NOT NULL AND {number} IS NULL GROUP BY 1 LIMIT {most}"
    return suggested_codes.words_for_missing(dict(run(db, sql, "data").fetchall()), numbers)
