"""A drafted task as commented YAML: every word is read back as it is, every comment stays on its line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ratchet.config import SEARCH_METRIC, Task
from ratchet.core.suggested_split import SplitSuggestion
from ratchet.core.suggestions import FEW_ROWS, Look
from ratchet.operate.init_source import InitSource

GATED = {"binary": ("roc_auc", 0.01), "multiclass": ("accuracy", 0.02), "regression": ("r2", 0.02)}
YES = {"1", "1.0", "true", "t", "yes", "y", "positive", "ja", "j", "oui", "si", "sí", "sim", "예", "네", "はい", "是"}
CODES = 12  # whole numbers with so few values may be names
PUT_BACK = "take it out of the list to learn from it"


@dataclass(frozen=True)
class Draft:
    """What a first task says.

    digest: of the one file, or empty. drop: columns that are no features, each with why. text: the text that is the one
    feature, or None for a table. missing_words: of the data, beside the usual ones. remarks: comments at the end.
    """

    task: Task
    source: InitSource
    digest: str
    has_several_files: bool
    look: Look
    values: Sequence[tuple[Any, int]]
    id_name: str | None
    drop: Mapping[str, str]
    split: SplitSuggestion
    text: str | None
    missing_words: Sequence[str]
    remarks: Sequence[str]


def write_task(draft: Draft) -> str:
    """Return the YAML of a draft."""
    parts = (_head, _source, _data, _split, _features, _rest)
    return "\n".join(line for part in parts for line in part(draft)) + "\n"


def _word(value: Any) -> str:
    """Return a scalar as YAML writes it on one line, also within a list, so that it is read back as it is."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_ .-]*", value):
        plain = yaml.safe_load(value)
        return value if plain == value else f'"{value}"'
    return yaml.safe_dump(
        value, allow_unicode=True, default_style='"' if isinstance(value, str) else None, width=10_000
    ).splitlines()[0]


def _words(values: Sequence[Any]) -> str:
    return f"[{', '.join(map(_word, values))}]"


def _comment(text: str) -> str:
    """Return a comment that cannot leave its line."""
    return "# " + "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _head(draft: Draft) -> Iterator[str]:
    yield "# yaml-language-server: $schema=task.schema.json"
    yield "# Written by `ratchet init` from a look at the data. Read it, above all problem, collected and gates."
    yield f"name: {_word(draft.task.name)}"
    yield "problem:"
    yield '  question: ""                 # what is asked, in words'
    yield f"  kind: {draft.look.kind}"
    yield "  # hypothesis: {text: ..., metric: ..., minimum: ...}     # what the model is expected to bring"
    yield '  # rule: "COLUMN >= 2"        # the simple rule to beat; without one: the majority or the mean'


def _source(draft: Draft) -> Iterator[str]:
    read = draft.task.data.sources["data"].read.model_dump(exclude_unset=True)
    named = [
        f"{key}: {_words(value) if isinstance(value, tuple | list) else _word(value)}" for key, value in read.items()
    ]
    digest = draft.digest or draft.source.sha256
    parts = [f"uris: [{_word(draft.source.uri)}]"]
    parts += [f"sha256: [{_word(digest)}]"] if digest else []
    parts += [f"read: {{{', '.join(named)}}}"] if named else []
    yield "data:"
    for name in draft.source.environment:
        yield f"  {_comment(f'{name} is the password; set it in the environment before each command')}"
    yield f"  sources: {{data: {{{', '.join(parts)}}}}}"
    if draft.has_several_files:
        yield f"  {_comment('several files: their digests are not pinned, so what they hold may change')}"
    if draft.missing_words:
        shown = ", ".join(draft.missing_words)
        yield f"  {_comment(f'{shown} stands among numbers, so read.na takes it for missing')}"
    if draft.source.query:
        yield f"  query: {_word(draft.source.query)}"


def _data(draft: Draft) -> Iterator[str]:
    yield "  # collected: {by: ..., period: ..., licence: ...}        # where the data come from"
    yield f"  target: {_word(draft.look.target)}"
    if draft.look.kind == "binary":
        both = _comment(f"of {_words([value for value, _ in draft.values])}; the probability is this one's")
        yield f"  positive: {_word(_positive(draft.values))}{' ' * 8}{both}"
    if draft.id_name:
        yield f"  id: {_word(draft.id_name)}{' ' * 8}# a value of its own in each row"
    if draft.drop:
        yield "  drop:"
        for name, why in draft.drop.items():
            yield f"    - {_word(name)}{' ' * 8}{_comment(f'{why}; {PUT_BACK}')}"
    used = (draft.id_name, draft.split.split.get("column"), draft.look.target, *draft.drop)
    dates = [name for name, e in draft.look.columns.items() if e["kind"] == "date" and name not in used]
    if dates:
        yield f"  {_comment(f'dates, which are no features: {_words(dates)}; make numbers of them in data.query')}"


def _positive(values: Sequence[tuple[Any, int]]) -> Any:
    """Return the value that says yes; where none does, the rarer one."""
    for value, _ in values:
        if str(value).strip().lower() in YES:
            return value
    return min(values, key=lambda pair: pair[1])[0]


def _split(draft: Draft) -> Iterator[str]:
    parts = (f"{k}: {_words(v) if isinstance(v, list) else _word(v)}" for k, v in draft.split.split.items())
    if draft.split.reason:
        yield _comment(f"{draft.split.reason}; without regard to it: {{by: hash}}")
    yield f"split: {{{', '.join(parts)}}}"


def _features(draft: Draft) -> Iterator[str]:
    look = draft.look
    aside = {draft.id_name, draft.split.split.get("column"), *draft.drop}
    others = [name for name in look.others() if name not in aside and look.columns[name]["kind"] != "date"]
    yield "features:"
    if draft.text:
        yield f"  kind: text\n  text: {_word(draft.text)}"
        left_out = [name for name in others if name != draft.text]
        if left_out:
            yield f"  {_comment(f'left out: {_words(left_out)}; a task reads one text, or a table (kind: tabular)')}"
        return
    yield "  kind: tabular"
    columns = [look.columns[name] for name in others]
    codes = [
        entry["name"] for entry in columns
        if look.rows >= FEW_ROWS and entry["kind"] == "number" and 3 <= entry["distinct"] <= CODES and _whole(entry)
    ]  # fmt: skip
    if codes:
        yield f"  # whole numbers with few values; are they names?\n  # categorical: {_words(codes)}"


def _whole(entry: Mapping[str, Any]) -> bool:
    return all(isinstance(entry[k], int | float) and float(entry[k]).is_integer() for k in ("minimum", "maximum"))


def _rest(draft: Draft) -> Iterator[str]:
    kind = draft.look.kind
    yield f"search:\n  trials: 40\n  timeout_s: 600\n  metric: {SEARCH_METRIC[kind]}"
    if kind == "binary":
        yield "decision: {cost: {false_positive: 1, false_negative: 1}}   # what wrong decisions cost"
    yield "gates:\n  staging: [{beats: dummy}]"
    metric, drop = GATED[kind]
    yield f"  production: [{{beats: dummy}}, {{metric: {metric}, max_drop: {drop}}}]"
    yield from map(_comment, draft.remarks)
