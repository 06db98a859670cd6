"""What a first look at the rows suggests for a task: the id, and the columns to leave out.

The rules are few, and each names what it saw, so that a user can overrule it:

- An id is a column named like one whose values are all different. One that repeats names a group (`suggested_split`).
- An index counts the rows: whole numbers that rise with them, or the first column, without a name, whose whole numbers
  all differ. It is left out.
- A leak orders the target (nearly) perfectly on its own (`leaks.LEAK_STRENGTH`). It is left out.
- Parts are the few columns of which the target is put together (`leaks.find_combination`). They are left out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ratchet.config import Kind
from ratchet.core import leaks

FEW_ROWS = 50  # fewer say nothing about a column
LONG_TEXT = 30  # characters, on average: a text to read rather than a name
UNIQUE_SHARE, ROUGHLY_UNIQUE = 0.95, 0.8
MAX_LEVELS = 200
ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|nr|nbr|key|uid|uuid|guid)$|[_\W]no$|[a-z](Id|ID|Key|Nr|No)$|번호$|아이디$"
    r"|(user|customer|client|account|patient|member|order|person|subject|product|employee|student|session|loan)_?id$"
)
NAMELESS = re.compile(r"|column0*|unnamed.*|_c0|\.\.\.1", re.IGNORECASE)  # how readers call a column without a name
ROW_NUMBER = re.compile(r"index|level_0|row_?(names?|num|number|id|no)?s?|v1|x|#", re.IGNORECASE)
TIME_NAME = re.compile(
    r"(^|[_\W\d])(time|timestamp|ts|t|epoch|date|datetime|day|week|month|quarter|year|yr|period|created|updated)s?($|[_\W\d])"
    r"|[a-z](Time|Date|Timestamp|At)$|(date|_at|_dt)$|날짜|일자|일시|시각|연월|년월|日付|日期",
)


@dataclass(frozen=True)
class Look:
    """What was seen of the rows.

    columns: the profile of each column, by name, with its mean text length and the number of rows.
    sample: some rows in their order, all columns. answer: class index or value of each row of it, shape (n,).
    """

    target: str
    kind: Kind
    rows: int
    columns: Mapping[str, Mapping[str, Any]]
    sample: pd.DataFrame
    answer: np.ndarray

    def others(self, left_out: Iterable[str] = ()) -> list[str]:
        """Return the columns beside the target and those that are left out."""
        without = {self.target, *left_out}
        return [name for name in self.columns if name not in without]


def find_id(look: Look) -> str | None:
    """Return the first column that is named like an id and differs in each row."""
    return next((name for name in look.others() if is_named_like_id(name) and _names_each_row(look, name)), None)


def is_named_like_id(name: str) -> bool:
    """Whether a column is named as keys are: customer_id, accountNo, 고객번호."""
    return bool(ID_NAME.search(name) or ID_NAME.search(name.lower()))


def _names_each_row(look: Look, name: str) -> bool:
    entry = look.columns[name]
    if entry["kind"] == "date" or entry["missing"] or entry["length"] >= LONG_TEXT:
        return False
    return distinct_share(look, name) >= UNIQUE_SHARE and (entry["kind"] == "text" or is_whole(look.sample[name]))


def distinct_share(look: Look, name: str) -> float:
    """Return the share of a column's values that are different, 0 to 1; of many rows as a sample shows it.

    The count over all rows is an estimate that may be off by a tenth, so it decides only where it is far below.
    """
    in_sample = look.sample[name].nunique() / max(len(look.sample), 1)
    in_all = look.columns[name]["distinct"] / max(look.rows, 1)
    return float(in_all if len(look.sample) < look.rows and in_all < ROUGHLY_UNIQUE else in_sample)


def is_whole(values: pd.Series) -> bool:
    """Whether a column holds whole numbers and nothing else, missing ones aside."""
    present = values.dropna().to_numpy(dtype=float)
    return bool(len(present)) and bool(np.isfinite(present).all() and (present == np.floor(present)).all())


def find_indexes(look: Look, left_out: Iterable[str]) -> dict[str, str]:
    """Return the columns that count the rows, each with why it is left out."""
    if len(look.sample) < FEW_ROWS:
        return {}
    found = {}
    for place, name in enumerate(look.columns):
        if (
            name not in look.others(left_out)
            or look.columns[name]["kind"] != "number"
            or not is_whole(look.sample[name])
        ):
            continue
        values = look.sample[name].to_numpy(dtype=float)
        rises = not np.isnan(values).any() and bool((np.diff(values) > 0).all())
        counts = rises and values[-1] - values[0] <= 1.01 * (look.rows - 1) and not is_named_like_time(name)
        nameless = place == 0 and (NAMELESS.fullmatch(name) or (rises and ROW_NUMBER.fullmatch(name)))
        if counts or (nameless and look.sample[name].is_unique):
            found[name] = "it only counts the rows"
    return found


def is_named_like_time(name: str) -> bool:
    """Whether a column is named as times are: created_at, orderDate, year, 일자."""
    return bool(TIME_NAME.search(name) or TIME_NAME.search(name.lower()))


def find_strengths(look: Look, left_out: Iterable[str]) -> dict[str, float]:
    """Return how well each column alone orders the target, the strongest first."""
    found = {
        name: leaks.measure_strength(look.sample[name], feature, look.answer, look.kind, cut=False)
        for name in look.others(left_out)
        if (feature := _feature(look, name))
    }
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def find_leaks(look: Look, left_out: Iterable[str]) -> dict[str, str]:
    """Return the columns that give the answer away, alone or together, each with why it is left out."""
    kinds = {name: feature for name in look.others(left_out) if (feature := _feature(look, name))}
    alone = leaks.find_leaks(look.sample, kinds, look.answer, look.kind)
    given_away = {name for leak in alone for name in leak.columns}
    rest = {name: feature for name, feature in kinds.items() if name not in given_away}
    found = [*alone, *(leaks.find_leaks(look.sample, rest, look.answer, look.kind) if alone and rest else [])]
    return {name: leak.reason(look.target) for leak in found for name in leak.columns}


def _feature(look: Look, name: str) -> str:
    """Return what a column would be as a feature, number or category; empty for one that is none of them."""
    entry = look.columns[name]
    if entry["kind"] == "number":
        return "number"
    return "category" if entry["kind"] == "text" and entry["distinct"] <= MAX_LEVELS else ""


def in_words(strengths: Mapping[str, float], most: int = 3) -> str:
    """Return the strongest columns with their figures."""
    return ", ".join(f"{name} {value:.2f}" for name, value in list(strengths.items())[:most])
