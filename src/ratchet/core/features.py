"""Which columns are features, of which kind, and the encoder that learns its levels and weights from train."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ratchet.config import ColumnSplit, Features, Task, TimeSplit
from ratchet.errors import DataError, did_you_mean
from ratchet.scoring.cells import TRUTH, Levels, merged, numbers, text
from ratchet.scoring.encode import Column, TableEncoder, TextEncoder
from ratchet.scoring.expressions import Expression, ExpressionError

FREE_TEXT_SHARE = 0.5  # a text column with this share of distinct values names rows, it does not group them


@dataclass(frozen=True)
class Plan:
    """The features of a task: name -> number | category | text, formulas of derived ones, and what was left out."""

    kinds: Mapping[str, str]
    formulas: Mapping[str, str]
    dropped: Mapping[str, str]


def plan(task: Task, profile: Sequence[Mapping[str, Any]]) -> Plan:
    """Decide what becomes of each column, from its profile (name, kind, missing, distinct).

    Raises DataError if a column that the task names is not there or no feature is left.
    """
    described = {entry["name"]: entry for entry in profile}
    features = task.features
    for key, names in (("categorical", features.categorical), ("numeric", features.numeric)):
        _require(f"features.{key}", names, described)
    for name, formula in features.derive.items():
        if name in described:
            raise DataError(f"features.derive.{name}: a column of that name is in the data; choose another")
        _readable(f"features.derive.{name}", formula, described)
        if told := Expression.parse(formula).names & {task.data.target, task.data.truth}:
            raise DataError(f"features.derive.{name}: reads {min(map(str, told))!r}, which is not known beforehand")
    if task.problem.rule:
        _readable("problem.rule", task.problem.rule, described)
    dropped = _not_features(task)
    if features.kind == "text":
        return _text_plan(features, described, dropped)
    kinds: dict[str, str] = {}
    for name, entry in described.items():
        if name in dropped:
            continue
        kind, reason = _role(name, entry, features)
        if reason:
            dropped[name] = reason
        else:
            kinds[name] = kind
    if not kinds and not features.derive:
        raise DataError("features: no column is left to learn from; see data.drop and what was dropped and why")
    return Plan(kinds, dict(features.derive), dropped)


def _require(place: str, names: Sequence[str], known: Mapping[str, Any]) -> None:
    for name in names:
        if name not in known:
            raise DataError(f"{place}: no column {name!r}{did_you_mean(name, known)}")


def _readable(place: str, formula: str, described: Mapping[str, Any]) -> None:
    names = sorted(Expression.parse(formula).names)
    _require(place, names, described)
    if dates := [name for name in names if described[name]["kind"] == "date"]:
        raise DataError(f"{place}: {dates[0]!r} holds dates; make a number of it in data.query")


def _not_features(task: Task) -> dict[str, str]:
    data = task.data
    dropped = dict.fromkeys(data.drop, "named in data.drop")
    dropped[data.target] = "the target"
    if data.id:
        dropped[data.id] = "the id"
    if data.truth:
        dropped[data.truth] = "the true probability"
    if isinstance(task.split, TimeSplit | ColumnSplit):
        dropped[task.split.column] = "names the side of the split"
    return dropped


def _role(name: str, entry: Mapping[str, Any], features: Features) -> tuple[str, str]:
    """Return the kind of a column and, if it is no feature, why."""
    present = (1 - entry["missing"]) * entry.get("rows", 0)
    if entry["missing"] >= 1:
        return "", "no value in any row"
    if entry["distinct"] <= 1 and not entry["missing"]:
        return "", "the same value in each row"
    if entry["kind"] == "nested":
        if name in (*features.categorical, *features.numeric):
            raise DataError(f"features: {name!r} holds lists or records; take what counts out of them in data.query")
        return "", "holds lists or records; take what counts out of them in data.query"
    if entry.get("is_index") and name not in (*features.categorical, *features.numeric):
        return "", f"{entry['is_index']}; name it in features.numeric if it should count"
    if entry["kind"] == "date":
        if name in features.categorical:
            raise DataError(f"features.categorical: {name!r} holds dates; make text or a number of it in data.query")
        return "", "a date; make a number of it in data.query if it should count"
    if name in features.categorical:
        return "category", ""
    if entry["kind"] == "number":
        return "number", ""
    if name in features.numeric:
        raise DataError(f"features.numeric: {name!r} holds text, such as {entry.get('levels', ['?'])[0]!r}")
    if entry["distinct"] > max(features.max_levels, FREE_TEXT_SHARE * present):
        return (
            "",
            f"about {entry['distinct']:,} distinct texts: names rows; name it in features.categorical to keep it",
        )
    return "category", ""


def _text_plan(features: Features, described: Mapping[str, Any], dropped: dict[str, str]) -> Plan:
    left = [name for name, entry in described.items() if name not in dropped and entry["kind"] == "text"]
    if features.text:
        _require("features.text", [features.text], described)
        name = features.text
        if name in dropped or described[name]["kind"] != "text":
            reason = dropped.get(name) or f"holds {described[name]['kind']}s"
            raise DataError(f"features.text: {name!r} cannot be the text: {reason}")
    elif len(left) == 1:
        name = left[0]
    else:
        raise DataError(f"features.text: {len(left)} text columns ({', '.join(left[:5])}); name one")
    dropped |= {other: "not the text" for other in described if other not in dropped and other != name}
    return Plan({name: "text"}, {}, dropped)


def formula_columns(formulas: Mapping[str, str]) -> list[str]:
    """Return the raw columns that the formulas read, in the formulas' order."""
    return [name for formula in formulas.values() for name in sorted(Expression.parse(formula).names)]


def fit(
    rows: pd.DataFrame, plan: Plan, features: Features, missing: Collection[str] = ()
) -> TableEncoder | TextEncoder:
    """Return the encoder for the plan, with levels and weights seen in the rows of train; it looks at no target.

    Args:
        rows: the rows of train, shape (n, columns).
        plan: the features.
        features: the task's section.
        missing: texts that mean missing, as the sources of the task are read.
    """
    words = tuple(sorted(missing))
    if features.kind == "text":
        return _fit_text(rows, next(iter(plan.kinds)), features, words)
    columns = [_fit_column(name, kind, rows[name], features.max_levels, words) for name, kind in plan.kinds.items()]
    derived = [Column(name, "number", formula=formula) for name, formula in plan.formulas.items()]
    read = dict.fromkeys((*plan.kinds, *formula_columns(plan.formulas)))
    inputs = {name: "number" if rows[name].dtype.kind in "iufb" else "text" for name in read}
    alone = [name for name in formula_columns(plan.formulas) if name not in plan.kinds and inputs[name] == "text"]
    spellings = {name: levels for name in alone if (levels := _truth_words(rows[name], words))}
    encoder = TableEncoder((*columns, *derived), inputs, words, spellings)
    for column in derived:
        _try(column, encoder, rows)
    return encoder


def _truth_words(values: pd.Series, missing: Collection[str]) -> tuple[str, ...]:
    """Return how true and false are written in a column, if it holds nothing else."""
    if values.nunique() > 2 * len(TRUTH) ** 3:  # as many spellings as nobody has
        return ()
    levels = tuple(merged(_counts(values), missing))
    return levels if Levels(levels).is_boolean else ()


def _try(column: Column, encoder: TableEncoder, rows: pd.DataFrame) -> None:
    try:
        values = encoder.evaluate(column, rows)
    except ExpressionError as error:
        raise DataError(f"features.derive.{column.name}: {error}") from None
    if values.dtype == object:
        raise DataError(f"features.derive.{column.name}: gives text; it has to give a number")


def _fit_column(name: str, kind: str, values: pd.Series, max_levels: int, missing: Collection[str]) -> Column:
    is_number = values.dtype.kind in "iufb"
    cells = numbers(values) if is_number else np.empty(0)
    present = cells[~np.isnan(cells)]
    if kind == "number":
        low, high = (float(present.min()), float(present.max())) if len(present) else (None, None)
        return Column(name, kind, low=low, high=high)
    if is_number:
        # Most frequent first; ties by level, so that the order of rows does not count.
        ordered = sorted(pd.Series(present).value_counts().items(), key=lambda pair: (-pair[1], pair[0]))
        levels: tuple[Any, ...] = tuple(float(level) for level, _ in ordered)
    else:
        levels = tuple(merged(_counts(values), missing))
    return Column(name, kind, levels[:max_levels], has_more=len(levels) > max_levels)


def _counts(values: pd.Series) -> dict[str, int]:
    found: dict[str, int] = {}
    for level, count in values.value_counts().items():
        word = level if isinstance(level, str) else text(level) or ""
        found[word] = found.get(word, 0) + int(count)
    return found


def _fit_text(rows: pd.DataFrame, name: str, features: Features, missing: tuple[str, ...]) -> TextEncoder:
    encoder = TextEncoder(name, features.characters, features.words, features.hash_bits, missing=missing)
    counts = encoder.counts(rows)
    seen_in = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log((1 + counts.shape[0]) / (1 + seen_in)) + 1
    # Half precision: three digits of a frequency are enough, and a model of 2^22 features weighs 25 MB, not 34.
    return replace(encoder, idf=idf.astype(np.float16))
