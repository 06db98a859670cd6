"""Slices of the rows: by columns or expressions that a gate names, or searched for among the features."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from ratchet.errors import DataError
from ratchet.scoring.expressions import Expression, ExpressionError

LEVELS = 10  # of a category that is searched, the most frequent ones
MOST = 1_000  # slices of one expression: of more it is no slice but a measure
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Part:
    """Some of the rows. name: as a condition in words; rows: their places, ascending."""

    name: str
    rows: np.ndarray


def names_in(expressions: Sequence[str]) -> list[str]:
    """Return the columns that expressions read."""
    return sorted({name for text in expressions for name in Expression.parse(text).names})


def by_expression(text: str, rows: pd.DataFrame, place: str) -> list[Part]:
    """Return a part for each value of an expression over the rows; a missing value is a part of its own.

    place: of the expression in the YAML file, for the DataError where it does not fit the rows.
    """
    codes, labels = grouped(text, rows, place)
    return [Part(label, np.flatnonzero(codes == code)) for code, label in enumerate(labels)]


def grouped(text: str, rows: pd.DataFrame, place: str) -> tuple[np.ndarray, list[str]]:
    """Return the code of each row's value of an expression, (n,), and what each code means in words."""
    try:
        values = Expression.parse(text).evaluate(rows)
    except ExpressionError as error:
        raise DataError(f"{place}: {error}") from None
    codes, levels = pd.factorize(pd.Series(values, dtype=values.dtype), sort=True, use_na_sentinel=False)
    if len(levels) > MOST:
        raise DataError(
            f"{place}: {text} has {len(levels):,} values on test; cut it into few, as in floor({text} / 10)"
        )
    return codes, [f"{text} is missing" if pd.isna(level) else f"{text} = {_shown(level)}" for level in levels]


def _shown(level: Any) -> str:
    return f"'{level}'" if isinstance(level, str) else f"{level:g}"


def searched(rows: pd.DataFrame, kinds: Mapping[str, str], depth: int, least: int) -> list[Part]:
    """Return the parts that levels of the features make, and with depth 2 those of each two of them.

    kinds: feature -> number (cut at its quarters) or category; least: rows that a part has at the least.
    """
    each = {name: [part for part in _levels(rows[name], name, kind) if len(part.rows) >= least]
            for name, kind in kinds.items()}  # fmt: skip
    found = [part for parts in each.values() for part in parts if len(part.rows) < len(rows)]
    if depth > 1:
        for one, other in combinations(each.values(), 2):
            found += [part for part in _crossed(one, other) if len(part.rows) >= least]
    return found


def _crossed(one: Sequence[Part], other: Sequence[Part]) -> Iterator[Part]:
    for left in one:
        for right in other:
            both = np.intersect1d(left.rows, right.rows, assume_unique=True)
            if len(both) < min(len(left.rows), len(right.rows)):  # else it is one of the two
                yield Part(f"{left.name} and {right.name}", both)


def _levels(values: pd.Series, name: str, kind: str) -> Iterator[Part]:
    missing = values.isna().to_numpy()
    if missing.any():
        yield Part(f"{name} is missing", np.flatnonzero(missing))
    if kind != "number":
        for level in values.value_counts().index[:LEVELS]:
            yield Part(f"{name} = {_shown(level)}", np.flatnonzero(values.to_numpy() == level))
        return
    numbers = values.to_numpy(dtype=float)
    cuts = np.unique(np.quantile(numbers[~missing], QUARTERS)) if not missing.all() else np.empty(0)
    edges = [-np.inf, *cuts.tolist(), np.inf]
    for low, high in pairwise(edges):
        inside = np.flatnonzero((numbers > low) & (numbers <= high))
        if len(inside):
            yield Part(_between(name, low, high), inside)


def _between(name: str, low: float, high: float) -> str:
    if low == -np.inf:
        return f"{name} <= {high:g}"
    return f"{name} > {low:g}" if high == np.inf else f"{low:g} < {name} <= {high:g}"
