"""A first task from a look at the data: commented YAML that runs as it is and asks to be read."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import ValidationError

from ratchet.adapters import files, profile, sources
from ratchet.adapters.sources import Table
from ratchet.config import SEARCH_METRIC, Data, HashSplit, Problem, Read, Source, Task
from ratchet.core import amounts, checks
from ratchet.errors import ConfigError, DataError
from ratchet.settings import Settings

LONG_TEXT = 30  # characters, on average: a text to read rather than a name
GATED = {"binary": ("roc_auc", 0.01), "multiclass": ("accuracy", 0.02), "regression": ("r2", 0.02)}
YES = {"1", "1.0", "true", "t", "yes", "y", "positive", "ja", "j", "oui", "si", "sí", "sim", "예", "네", "はい", "是"}
SEEN_ROWS = 10_000
FEW_ROWS = 50  # fewer say nothing about which numbers are names
CODES = 12  # whole numbers with so few values may be names


def draft(
    uri: str,
    target: str,
    settings: Settings,
    name: str | None = None,
    encoding: str | None = None,
    sep: str | None = None,
) -> str:
    """Return the YAML of a task for the data, with comments on what was seen.

    Raises DataError if the data cannot be read or hold no such column, ConfigError if the name is no task's name.
    """
    name = name or _name(uri)
    try:
        named = {key: value for key, value in (("encoding", encoding), ("sep", sep)) if value}
        source = Source(uris=(uri,), read=Read.model_validate(named))
        data = Data(sources={"data": source}, target=target)
        target = data.target
        task = Task(name=name, data=data, problem=Problem())
    except ValidationError as error:
        fault = error.errors()[0]
        what = fault["msg"][0].lower() + fault["msg"][1:]
        raise ConfigError(f"--{fault['loc'][0]}: {what}, not {fault['input']!r}") from None
    table = sources.locate("data", data.sources["data"], settings)
    with tempfile.TemporaryDirectory() as place:
        rows = Path(place) / "rows.parquet"
        with files.workspace(Path(place), [table]) as db:
            kinds = files.gather(db, data, HashSplit(), rows)
            _, values = files.keep_targets(db, target, rows)
            described = profile.columns(db, rows, kinds)
            total = profile.count(db, rows)
            texts = [column for column, kind in kinds.items() if kind == "text" and column != target]
            odd = amounts.numbers_as_text(files.read_side(rows.parent, rows.stem, texts, SEEN_ROWS), texts)
            for entry in described:
                entry["rows"] = total
                entry["length"] = profile.length(db, rows, entry)
    kind, classes = checks.kind_of_target(task, values)
    lines = [
        *_head(name, kind),
        *_source(uri, table, named),
        *_data(target, kind, values, described),
        *_rest(kind, classes, target, described),
        *(f"# {' '.join(finding.split())}" for finding in odd),
    ]
    return "\n".join(lines) + "\n"


def _name(uri: str) -> str:
    last = PurePosixPath(uri.split("?", maxsplit=1)[0].rsplit("://", maxsplit=1)[-1]).name
    plain = re.sub(r"[^A-Za-z0-9]+", "-", last.split(".")[0]).strip("-").lower()
    return plain[:60] or "task"


def _word(value: Any) -> str:
    """Return a scalar as YAML writes it on one line, also within a list, so that it is read back as it is."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_ .-]*", value):
        plain = yaml.safe_load(value)
        return value if plain == value else f'"{value}"'
    return yaml.safe_dump(
        value, allow_unicode=True, default_style='"' if isinstance(value, str) else None, width=10_000
    ).splitlines()[0]


def _words(values: list[Any]) -> str:
    return f"[{', '.join(map(_word, values))}]"


def _head(name: str, kind: str) -> Iterator[str]:
    yield "# yaml-language-server: $schema=task.schema.json"
    yield "# Written by `ratchet init` from a look at the data. Read it, above all problem, collected and gates."
    yield f"name: {_word(name)}"
    yield "problem:"
    yield '  question: ""                 # what is asked, in words'
    yield f"  kind: {kind}"
    yield "  # hypothesis: {text: ..., metric: ..., minimum: ...}     # what the model is expected to bring"
    yield '  # rule: "COLUMN >= 2"        # the simple rule to beat; without one: the majority or the mean'


def _source(uri: str, table: Table, named: dict[str, str]) -> Iterator[str]:
    parts = [f"uris: [{_word(uri)}]"]
    parts += [f"sha256: [{_word(table.digest)}]"] if table.files else []
    parts += [f"read: {{{', '.join(f'{key}: {_word(value)}' for key, value in named.items())}}}"] if named else []
    yield f"data:\n  sources: {{data: {{{', '.join(parts)}}}}}"


def _data(target: str, kind: str, values: list[tuple[Any, int]], described: list[dict[str, Any]]) -> Iterator[str]:
    yield "  # collected: {by: ..., period: ..., licence: ...}        # where the data come from"
    yield f"  target: {_word(target)}"
    if kind == "binary":
        both = _words([value for value, _ in values])
        yield f"  positive: {_word(_positive(values))}{' ' * 8}# of {both}; the probability is this one's"
    ids = [e["name"] for e in described if _is_id(e, target)]
    if ids:
        yield f"  id: {_word(ids[0])}{' ' * 8}# a value of its own in each row"
    dates = [e["name"] for e in described if e["kind"] == "date"]
    if dates:
        yield f"  # dates, which are no features: {_words(dates)}; see split: {{by: time, column: {_word(dates[0])}}}"


def _positive(values: list[tuple[Any, int]]) -> Any:
    """Return the value that says yes; where none does, the rarer one."""
    for value, _ in values:
        if str(value).strip().lower() in YES:
            return value
    return min(values, key=lambda pair: pair[1])[0]


def _is_id(entry: dict[str, Any], target: str) -> bool:
    if entry["name"] == target or entry["kind"] == "date" or entry["missing"]:
        return False
    named = re.search(r"(^|_|\b)(id|no|nr|key)s?$", entry["name"], re.IGNORECASE) or entry["name"].lower().endswith(
        "id"
    )
    return bool(named) and entry["distinct"] >= 0.95 * entry["rows"] and entry["length"] < LONG_TEXT


def _rest(kind: str, classes: list[Any], target: str, described: list[dict[str, Any]]) -> Iterator[str]:
    texts = [e["name"] for e in described if e["name"] != target and e["kind"] == "text" and e["length"] >= LONG_TEXT]
    others = [e for e in described if e["name"] != target and e["name"] not in texts and not _is_id(e, target)]
    yield "split: {by: hash, train: 0.7, valid: 0.15, test: 0.15}"
    yield "features:"
    if texts and len(others) <= 1:
        yield f"  kind: text\n  text: {_word(texts[0])}"
        if others:
            yield f"  # not used: {_words([e['name'] for e in others])}; a task reads texts or a table"
    else:
        many = bool(described) and described[0]["rows"] >= FEW_ROWS
        codes = [
            e["name"] for e in others if many and e["kind"] == "number" and 3 <= e["distinct"] <= CODES and _whole(e)
        ]
        yield "  kind: tabular"
        if codes:
            yield f"  # whole numbers with few values; are they names?\n  # categorical: {_words(codes)}"
    yield f"search:\n  trials: 40\n  timeout_s: 600\n  metric: {SEARCH_METRIC[kind]}"
    if kind == "binary":
        yield "decision: {cost: {false_positive: 1, false_negative: 1}}   # what wrong decisions cost"
    yield "gates:\n  staging: [{beats: dummy}]"
    metric, drop = GATED[kind]
    yield f"  production: [{{beats: dummy}}, {{metric: {metric}, max_drop: {drop}}}]"
    if not (others or texts):
        raise DataError(f"{target}: the data hold no other column to learn from")


def _whole(entry: dict[str, Any]) -> bool:
    return all(isinstance(entry[k], int | float) and float(entry[k]).is_integer() for k in ("minimum", "maximum"))
