"""What is wrong or odd about the data: errors stop preprocess, findings are shown and logged."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ratchet.config import Kind, Task
from ratchet.core.metrics import binary_auc
from ratchet.errors import DataError
from ratchet.scoring.cells import merged

MAX_CLASSES = 100
WHOLE_NUMBER_CLASSES = 20
LEAK_AUC = 0.995
LEAK_LEVELS, LEAK_ROWS = 100, 10  # with more levels, or fewer rows in each or of a class, chance looks like a leak
MANY_MISSING = 0.5
MANY_CODES = 0.02
MOSTLY = 0.5
# How people write numbers, by pattern: what is said of them. Of equally many the first is meant.
WRITTEN = {
    r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?": "has separators in it; write replace({name}, ',', '')::DOUBLE in data.query",
    r"[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+": "has a decimal comma; write"
    " replace(replace({name}, '.', ''), ',', '.')::DOUBLE in data.query",
    r"[-+]?\d+(\.\d+)?\s*%": "has a percent sign; write replace({name}, '%', '')::DOUBLE in data.query",
}


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
        if not numeric:
            raise DataError(f"problem.kind: regression needs numbers, {name!r} holds {distinct[0]!r}")
        return kind, []
    if len(distinct) > MAX_CLASSES:
        hint = "is it problem.kind: regression?" if numeric else "does it name the rows?"
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
    same = [value for value in distinct if value == positive or str(value) == str(positive)]
    if not same:
        raise DataError(f"data.positive: {positive!r} is no value of {name!r}; it holds {_some(distinct)}")
    return [value for value in distinct if value not in same] + same


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
    if shared := counts["rows_on_two_sides"]:
        found.append(
            f"leak: {shared:,} rows ({shared / rows:.1%}) have twins on another side of the split; scores on test"
            " flatter the model; split by group"
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


def numbers_as_text(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return a sentence for each column of texts of which most are numbers.

    rows: a sample; names: the columns of texts.
    """
    found = []
    for name in names:
        texts = rows[name].dropna().astype(str)
        plain = pd.to_numeric(texts, errors="coerce").notna()
        written = {form: texts.str.fullmatch(form) & ~plain for form in WRITTEN}
        form = max(written, key=lambda form: int(written[form].sum()))
        share = (plain | written[form]).mean()
        if not len(texts) or share < MOSTLY:
            continue
        if written[form].any():
            odd, mend = texts[written[form]].iloc[0], WRITTEN[form].format(name=_in_sql(name))
        elif not plain.all():
            odd, mend = texts[~plain].iloc[0], f"is not; put it into read.na if it means missing, else name {name} in"
            mend += " features.categorical"
        else:
            odd, mend = texts.iloc[0], f"is text here; read.types: {{{name}: number}} reads numbers"
        found.append(f"{name}: {share:.0%} of the texts are numbers, {odd[:40]!r} {mend}")
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


def _in_sql(name: str) -> str:
    escaped = name.replace('"', '""')
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else f'"{escaped}"'


def leaks(rows: pd.DataFrame, kinds: Mapping[str, str], target: np.ndarray, kind: Kind) -> list[str]:
    """Return a sentence for each column that gives the answer away on its own.

    rows: a sample of train; target: (n,) class index or value.
    """
    found = []
    for name, feature in kinds.items():
        if feature == "text":
            continue
        strength = _strength(rows[name], feature, target, kind)
        if strength >= LEAK_AUC:
            found.append(f"leak: {name} alone predicts the target ({strength:.3f}); is it known beforehand?")
    return found


def _strength(values: pd.Series, feature: str, target: np.ndarray, kind: Kind) -> float:
    """How well one column orders the target: AUC (of several classes, the hardest one's) or |rank correlation|.

    A column of few levels is ordered by each level's share of the class: so a copy in other words is found, and a
    value that is missing just where the class is.
    """
    if kind == "regression":
        return _rank_correlation(values.astype(float), target) if feature == "number" else 0.0
    few = values.nunique() <= min(LEAK_LEVELS, len(values) / LEAK_ROWS)
    if feature == "category" and not few:
        return 0.0
    strengths = []
    for label in np.unique(target)[1:] if kind == "binary" else np.unique(target):
        truth = (target == label).astype(int)
        if min(truth.sum(), len(truth) - truth.sum()) < LEAK_ROWS:
            continue
        if few:
            orders = [pd.Series(truth).groupby(values.to_numpy(), dropna=False).transform("mean")]
        else:
            orders = [values.astype(float).fillna(fill) for fill in (-np.inf, np.inf)]
        found = [binary_auc(truth, order.to_numpy()) for order in orders]
        strengths.append(max(*found, *(1 - auc for auc in found)))
    return min(strengths) if strengths else 0.0


def _rank_correlation(values: pd.Series, target: np.ndarray) -> float:
    ranks = values.fillna(values.median()).rank().to_numpy()
    if np.isnan(ranks).any() or np.ptp(ranks) == 0 or np.ptp(target) == 0:
        return 0.0
    return abs(float(np.corrcoef(ranks, pd.Series(target).rank())[0, 1]))
