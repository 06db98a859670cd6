"""What is wrong or odd about the data: errors stop preprocess, findings are shown and logged."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ratchet.config import GroupSplit, HashSplit, Kind, Split, Task, TimeSplit
from ratchet.core import rareclasses, suggestions
from ratchet.core.labels import ClassIndex
from ratchet.errors import DataError
from ratchet.scoring.cells import merged

MAX_CLASSES = 100
WHOLE_NUMBER_CLASSES = 20
MANY_MISSING = 0.5
MANY_CODES = 0.02
# An index without a name, as DuckDB, pandas, R's readers and pandas' Parquet call it.
NAMELESS = re.compile(r"column0+|Unnamed: 0(\.\d+)?|\.\.\.1|__index_level_0__")
INDEX_ROWS = 20  # fewer may count by chance
MOSTLY = 0.5
FEW_COMBINATIONS = 10  # rows of each, on average
SHARE_OFF = 0.1


def kind_of_target(task: Task, values: Sequence[tuple[Any, int]]) -> tuple[Kind, list[Any]]:
    """Return the kind of task and the classes (binary: negative, positive; regression: none).

    values: distinct targets with their counts, at most 1,001 of them.
    Raises DataError if the target is constant, or not what the task says.
    """
    name, distinct = task.data.target, [value for value, _ in values]
    if len(distinct) < 2:
        shown = f"only {distinct[0]!r}" if distinct else "no value at all"
        raise DataError(f"data.target: {name!r} holds {shown}; there is nothing to learn")
    if odd := [value for value in distinct if not isinstance(value, str | int | float)]:
        raise DataError(f"data.target: {name!r} holds dates such as {odd[0]}; predict a number or a class instead")
    numeric = all(isinstance(value, int | float) for value in distinct)
    kind = task.problem.kind or _seen_kind(task, distinct, numeric)
    if task.data.positive is not None and kind != "binary":
        raise DataError(f"data.positive: is for a binary target; {name!r} is {kind}")
    if kind == "regression":
        if task.data.rare_classes:
            raise DataError(f"data.rare_classes: is for classes, and {name!r} holds numbers to predict; leave it out")
        if not numeric:
            raise DataError(f"problem.kind: regression needs numbers, {name!r} holds {distinct[0]!r}")
        return kind, []
    if len(distinct) > MAX_CLASSES:
        hint = "is it problem.kind: regression?" if numeric else "does it name the rows?"
        merge = rareclasses.too_many(values, MAX_CLASSES) if not numeric else ""
        hint += f" Else {merge}" if merge else ""
        raise DataError(f"data.target: {name!r} has more than {MAX_CLASSES} classes; {hint}")
    if kind == "multiclass":
        return kind, sorted(distinct)
    return kind, _two_classes(task, distinct)


def _seen_kind(task: Task, distinct: Sequence[Any], numeric: bool) -> Kind:
    if len(distinct) == 2 or task.data.positive is not None:
        return "binary"
    whole = numeric and all(float(value).is_integer() for value in distinct)
    few = len(distinct) <= WHOLE_NUMBER_CLASSES
    return "multiclass" if not numeric or (whole and few) else "regression"


def _two_classes(task: Task, distinct: Sequence[Any]) -> list[Any]:
    name, positive = task.data.target, task.data.positive
    if len(distinct) != 2:
        raise DataError(f"data.target: {name!r} has {len(distinct)} values ({_some(distinct)}), binary needs two")
    if positive is None:
        return sorted(distinct)
    place = ClassIndex(distinct).find(positive)
    if place is None:
        raise DataError(f"data.positive: {positive!r} is no value of {name!r}; it holds {_some(distinct)}")
    return [distinct[1 - place], distinct[place]]


def _some(values: Sequence[Any]) -> str:
    return ", ".join(repr(value) for value in values[:5]) + (", …" if len(values) > 5 else "")


def findings(task: Task, profile: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> list[str]:
    """Return one sentence per thing that a user should know before trusting the rows.

    counts: rows, missing_targets, repeated_rows, rows_on_two_sides, missing_ids, repeated_ids.
    """
    rows = max(counts["rows"], 1)
    unknown = [key for key in ("by", "period", "licence") if getattr(task.data.collected, key) == "unknown"]
    found = [f"data.collected: unknown {', '.join(unknown)}; say where the data come from"] if unknown else []
    if counts["missing_targets"]:
        found.append(f"{counts['missing_targets']:,} rows have no target and were left out")
    if counts["unplaced_rows"]:
        found.append(f"{counts['unplaced_rows']:,} rows belong to no side of the split and were left out")
    if counts["repeated_rows"]:
        found.append(f"{counts['repeated_rows']:,} of {rows:,} rows repeat the features of an earlier row")
    shared, is_coarse = counts["rows_on_two_sides"], _is_coarse(counts)
    if is_coarse:
        found.append(_coarse(task, counts))
    elif shared:
        found.append(
            f"{shared:,} rows ({shared / rows:.1%}) have twins on another side of the split; scores on test flatter the"
            " model; split by group"
        )
    for key, word in (("missing_ids", "have no"), ("repeated_ids", "repeat an")):
        if counts.get(key):
            found.append(f"{counts[key]:,} rows {word} id ({task.data.id})")
    found += [
        f"{entry['name']}: {entry['nul']:,} cells hold a NUL byte; is the file damaged, or not in its read.encoding?"
        for entry in profile
        if entry.get("nul")
    ]
    thin = [entry for entry in profile if MANY_MISSING < entry["missing"] < 1]
    return found + [f"{entry['name']}: {entry['missing']:.0%} of the values are missing" for entry in thin]


def index_of_rows(profile: Sequence[Mapping[str, Any]], rows: int) -> str:
    """Return why the first column is an index that was written with the rows; empty if it is none.

    Args:
        profile: name, minimum, maximum and distinct of each column.
        rows: how many the source holds.
    """
    first = profile[0]
    if suggestions.is_named_like_time(first["name"]):
        return ""
    if NAMELESS.fullmatch(first["name"]) and first["kind"] == "number":
        return "has no name in the file: an index that was written with the rows"
    low, high = first["minimum"], first["maximum"]
    if first["kind"] != "number" or low not in (0, 1) or rows < INDEX_ROWS:
        return ""
    counts = high - low == rows - 1 and first["distinct"] > 0.9 * (rows - 1)  # which is estimated
    return "counts the rows: an index that was written with them" if counts and not first["missing"] else ""


def padded_texts(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return a sentence if all texts of some columns begin with a blank, as where a comma and a blank separate cells.

    Args:
        rows: a sample.
        names: the columns of texts.
    """
    texts = {name: rows[name].dropna().astype(str) for name in names}
    padded = [name for name, cells in texts.items() if len(cells) and cells.str.startswith(" ").all()]
    if not padded:
        return []
    return [f'{padded[0]}: each text begins with a blank{_and_more(padded)}; read.sep: ", " leaves it out']


def _and_more(names: Sequence[str]) -> str:
    return f", as in {len(names) - 1} other columns" if len(names) > 1 else ""


def _is_coarse(counts: Mapping[str, int]) -> bool:
    """Whether rows repeat because the features have few combinations, as in a survey, not because they were copied.

    Then a combination stands in ten rows or more, and most have rows of more than one class or value.
    """
    is_few = counts.get("different_rows", math.inf) * FEW_COMBINATIONS <= counts["rows"]
    return is_few and counts["rows_of_mixed_twins"] >= MOSTLY * counts["rows"]


def _coarse(task: Task, counts: Mapping[str, int]) -> str:
    known = f"the features have {counts['different_rows']:,} different combinations in {counts['rows']:,} rows"
    if counts["rows_on_two_sides"] or task.data.id or not isinstance(task.split, HashSplit):
        return f"{known}, so those of test stand in train too; no leak, if each row is a case of its own"
    return (
        f"{known}, and without data.id equal rows stay together, so that none of test is ever seen in train; give each"
        ' row an id, as by data.query: "SELECT row_number() OVER () AS row_id, * FROM …" and id: row_id'
    )


def shares(split: Split, sides: Mapping[str, int]) -> list[str]:
    """Return a sentence if a side holds a share of the rows that is more than a tenth off what was asked for.

    sides: rows by side.
    """
    if not isinstance(split, HashSplit | GroupSplit | TimeSplit):
        return []
    total = sum(sides.values())
    wanted = {"train": split.train, "valid": split.valid, "test": split.test}
    if all(abs(sides[side] / total - share) <= SHARE_OFF for side, share in wanted.items()):
        return []
    held, asked = (
        ", ".join(f"{side} {share:.2f}" for side, share in each.items())
        for each in ({side: sides[side] / total for side in wanted}, wanted)
    )
    why = {
        "group": "a group stays together, and they are few or differ in size; another split.salt cuts them otherwise",
        "time": "equal times stay together",
        "hash": "rows of one id, and without data.id equal rows, stay together, or there are few",
    }
    return [f"split: the shares of rows are {held} instead of {asked}: {why[split.by]}"]


def codes(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each column in which one far value stands so often that it looks like a code.

    rows: a sample, numbers only. Far: more than ten times the distance between the quartiles beyond them.
    """
    found = []
    for name in rows:
        values = rows[name].to_numpy(dtype=float, na_value=np.nan)
        values = values[np.isfinite(values)]
        low, high = np.quantile(values, [0.25, 0.75]) if len(values) else (0.0, 0.0)
        if not low < high:
            continue
        reach = 10 * (high - low)
        far = values[(values > high + reach) | (values < low - reach)]
        if len(far) >= MANY_CODES * len(rows):
            levels, counts = np.unique(far, return_counts=True)
            found.append(
                f"{name}: {len(far) / len(rows):.0%} of the values lie far outside the rest, most often"
                f" {levels[counts.argmax()]:g}; a code for missing?"
            )
    return found


def spellings(rows: pd.DataFrame, names: Sequence[str], missing: Collection[str]) -> list[str]:
    """Return a sentence for each category of which several spellings are read as one value.

    Args:
        rows: a sample.
        names: the columns of texts.
        missing: texts that mean missing.
    """
    found = []
    for name in names:
        counts = {str(word): int(count) for word, count in rows[name].value_counts().items()}
        several = {level: words for level, words in merged(counts, missing).items() if len(words) > 1}
        if several:
            level, words = next(iter(several.items()))
            shown = ", ".join(repr(word[:40]) for word in words[:3])
            more = f", and {len(several) - 1} more such" if len(several) > 1 else ""
            found.append(f"{name}: {shown} are read as one value, {level[:40]!r}{more}")
    return found
