"""A first task from a look at the data: commented YAML that runs as it is and asks to be read.

What is looked for, and by which rules, stands in `core/suggestions.py` and the `core/suggested_*.py` beside it.
"""

import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import yaml
from pydantic import ValidationError

from ratchet.adapters import files, sources
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import in_short
from ratchet.config import Data, HashSplit, Problem, Read, Source, Task, is_database
from ratchet.core import suggested_codes, suggested_text, suggestions
from ratchet.core.suggested_split import SplitSuggestion, suggest_split
from ratchet.core.suggestions import Look
from ratchet.errors import ConfigError, DataError
from ratchet.operate.init_rows import Rows, read_rows
from ratchet.operate.init_source import InitSource, name_of, resolve_source, set_environment
from ratchet.operate.init_text import Draft, write_task
from ratchet.settings import Settings
from ratchet.steps import preprocess

TARGET_NAMES = ("target", "label", "class", "y", "outcome", "response", "churn", "default", "survived", "sentiment",
                "status", "result", "price", "count", "cnt", "정답", "라벨", "목표")  # fmt: skip
OPTIONS = ("name", "target", "encoding", "sep", "quote", "query")
OPEN_QUOTE = "a quote is not closed"  # as a delimited file's reader says it


@dataclass(frozen=True)
class Reading:
    """How the rows are read: as a delimited file is written, SQL that gives them, a table of a database."""

    encoding: str | None = None
    sep: str | None = None
    quote: str | None = None
    query: str | None = None
    table: str | None = None


def draft(
    uri: str, target: str | None, settings: Settings, name: str | None = None, reading: Reading = Reading()
) -> str:
    """Return the YAML of a task for the data, with comments on what was seen.

    Args:
        uri: Where the data are; see `resolve_source`.
        target: The column to predict; None ends in an error that lists the columns.
        settings: The environment.
        name: Name of the task; unset: made from the address.
        reading: How the rows are read.

    Raises:
        ConfigError: If an option is wrong or missing.
        DataError: If the data cannot be read, hold no such column or nothing to learn from.
    """
    source = resolve_source(uri, settings, reading.query, reading.table)
    named = {key: value for key in ("encoding", "sep", "quote") if (value := getattr(reading, key)) is not None}
    with set_environment(source.environment):
        try:
            return _draft(source, target, settings, name or name_of(reading.table or uri), named)
        except duckdb.Error as error:
            raise DataError(f"{source.uri}: cannot be read: {in_short(error)}") from None


def _draft(source: InitSource, target: str | None, settings: Settings, name: str, named: dict[str, Any]) -> str:
    task = _task(source, "?" if target is None else target, name, named)
    told: list[str] = []
    (found,) = sources.located(task.data, settings, told.append)
    if target is None:
        raise ConfigError(_missing_target(_columns(found, task.data, settings)))
    try:
        rows = read_rows(found, task, settings)
    except DataError as error:
        if OPEN_QUOTE not in str(error) or "quote" in named:
            raise
        with suppress(DataError):  # a text with an inch or half a quotation in it
            return _draft(source, target, settings, name, named | {"quote": ""})
        raise
    words = sorted({word for found_words in rows.missing_words.values() for word in found_words})
    is_text_file = found.is_delimited
    if words and is_text_file:
        named["na"] = [*Read().na, *words]
        task = _task(source, target, name, named)
        found = replace(found, read=task.data.sources["data"].read)
        rows = read_rows(found, task, settings)
    drafted = _suggest(source, found, task, rows, words if is_text_file else [])
    drafted = replace(drafted, remarks=[*drafted.remarks, *told])
    return _tried(drafted, found, settings)


def _task(source: InitSource, target: str, name: str, named: dict[str, Any]) -> Task:
    try:
        given = Source(uris=(source.uri,), sha256=(source.sha256,) if source.sha256 else (), read=Read(**named))
        data = Data(sources={"data": given}, query=source.query, target=target)
        return Task(name=name, data=data, problem=Problem())
    except ValidationError as error:
        fault = error.errors()[0]
        option = next((f"--{part}" for part in reversed(fault["loc"]) if part in OPTIONS), source.uri)
        what = fault["msg"].removeprefix("Value error, ")
        shown = f", not {fault['input']!r}" if isinstance(fault["input"], str) else ""
        raise ConfigError(f"{option}: {what[0].lower()}{what[1:]}{shown}") from None


def _columns(found: Table, data: Data, settings: Settings) -> list[str]:
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.home) as place, files.workspace(Path(place), [found], True) as db:
        return list(files.attach_all(db, data, HashSplit()))


def _missing_target(columns: list[str]) -> str:
    plain = {column.casefold(): column for column in reversed(columns)}
    named = [plain[word] for word in TARGET_NAMES if word in plain]
    within = [column for column in columns for word in TARGET_NAMES[:6] if len(word) > 1 and word in column.casefold()]
    guess = [*named, *within, columns[-1]][0]
    listed = ", ".join(columns)
    listed = listed if len(listed) <= 500 else f"{listed[:500]} …"
    shown = guess if guess.replace("_", "").isalnum() else f'"{guess}"'
    return f"--target: which column is to be predicted? Did you mean --target {shown}? The columns are {listed}"


def _suggest(source: InitSource, found: Table, task: Task, rows: Rows, words: list[str]) -> Draft:
    """Decide what the task says, from what was seen."""
    look = rows.look
    id_name = suggestions.find_id(look)
    ids = [id_name] if id_name else []
    drop = suggestions.find_indexes(look, ids)
    split = suggest_split(look, drop, id_name)
    aside = [*ids, *drop, *split.left_out, *_of_split(split)]
    texts = suggested_text.find_texts(look, aside)
    strengths = suggestions.find_strengths(look, [*aside, *texts])
    leaks = suggestions.find_leaks(look, [*aside, *texts])
    remarks = [*split.remarks]
    useful = {name: value for name, value in strengths.items() if name not in leaks}
    if leaks and not (useful or texts):
        remarks += [f"{name}: {why}; is it known beforehand?" for name, why in leaks.items()]
        leaks = {}
    text = suggested_text.choose_text(look, texts, useful)
    if not (strengths or texts or _features(look, aside)):
        raise DataError(f"{look.target}: the data hold no other column to learn from")
    useful = {name: value for name, value in useful.items() if value}
    if useful and not text:
        remarks.append(
            f"what tells {look.target} best alone: {suggestions.in_words(useful)}; is each known beforehand?"
        )
    remarks += suggested_codes.find_codes(look, [*aside, *leaks], bool(source.query))
    remarks += suggested_codes.find_level_words(look, aside)
    remarks += rows.number_remarks
    return Draft(
        task=task,
        source=source,
        digest=found.digest if len(found.files) == 1 and not is_database(source.uri) else "",
        has_several_files=len(found.files) > 1,
        look=look,
        values=rows.values,
        id_name=id_name,
        drop={**drop, **split.left_out, **leaks},
        split=split,
        text=text,
        missing_words=words,
        remarks=remarks,
    )


def _of_split(split: SplitSuggestion) -> list[str]:
    return [str(split.split["column"])] if "column" in split.split else []


def _features(look: Look, aside: list[str]) -> list[str]:
    return [name for name in look.others(aside) if look.columns[name]["kind"] != "date"]


def _tried(drafted: Draft, found: Table, settings: Settings) -> str:
    """Return the YAML, after its rows were split as preprocess does it.

    Where they cannot be split as suggested they are split by hash, and a comment says why; where preprocess refuses
    them altogether, a comment says so.
    """
    text = write_task(drafted)
    fault = _fault(text, found, settings)
    if fault and drafted.split.split["by"] != "hash":
        shares = {"train": 0.7, "valid": 0.15, "test": 0.15}
        plain = SplitSuggestion({"by": "hash"} | shares, left_out=drafted.split.left_out)
        why = f"split: {drafted.split.split} was tried: {fault}"
        return _tried(replace(drafted, split=plain, remarks=[*drafted.remarks, why]), found, settings)
    if fault:
        return write_task(
            replace(drafted, remarks=[*drafted.remarks, f"preprocess refuses the rows as they are: {fault}"])
        )
    return text


def _fault(text: str, found: Table, settings: Settings) -> str:
    """Return why preprocess refuses the rows of a task, or an empty text; a task without a feature is no task."""
    task = Task.model_validate(yaml.safe_load(text))
    try:
        with tempfile.TemporaryDirectory(dir=settings.home) as place:
            preprocess.prepare(task, [replace(found, read=task.data.sources["data"].read)], Path(place))
    except DataError as error:
        if str(error).startswith("features:"):
            raise
        return str(error)
    return ""
