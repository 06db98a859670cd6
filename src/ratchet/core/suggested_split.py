"""Which split a first look at the rows suggests.

The first rule that holds is taken:

- Official: a column of a few words of which some say train and others test (`train`, `Training`, `PublicTest`, `val`);
  a column named fold with whole numbers, the last of which is the test side.
- By time, where the rows are ordered by it: a date, or a number that is named like a time and never falls.
- By group: a column named like an id that repeats, such as a customer's.
- By time, where one time alone has many values: a date, or a number that is named like a time and reads as seconds
  since 1970, as a month or as a day (202403, 20240331).
- Else by hash.

A birthday is no time of a row: a date is none that is named like one, or spans more than a generation without an order.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ratchet.core.suggestions import (
    FEW_ROWS,
    LONG_TEXT,
    UNIQUE_SHARE,
    Look,
    distinct_share,
    is_named_like_id,
    is_named_like_time,
    is_whole,
)

TRAIN_WORDS = {"train", "training", "trn", "tr", "dev-train", "learn", "학습", "훈련"}
VALID_WORDS = {"valid", "validation", "val", "dev", "development", "eval", "검증"}
TEST_WORDS = {"test", "testing", "tst", "te", "holdout", "hold-out", "publictest", "privatetest", "public", "private",
              "평가", "시험", "테스트"}  # fmt: skip
FOLD_NAME = re.compile(r"(^|_)folds?(_?id|_?no)?$", re.IGNORECASE)
BIRTH_NAME = re.compile(
    r"birth|(^|_)dob($|_)|(^|_)bday|born|geburt|naissance|nacimiento|생년|생일|출생|誕生|生年", re.IGNORECASE
)
SUBJECT_NAME = re.compile(
    r"(subject|patient|participant|customer|user|client|member|household|driver|speaker|author)#?", re.I
)
MANY_TIMES, SOME_TIMES, FEW_GROUPS = 30, 10, 20
ORDERED, MAX_MISSING_TIMES, GENERATION_DAYS = 0.95, 0.05, 30 * 365


@dataclass(frozen=True)
class SplitSuggestion:
    """A split as a task writes it, why, what else to know, and the columns that are no features with it."""

    split: Mapping[str, Any]
    reason: str = ""
    remarks: list[str] = field(default_factory=list)
    left_out: Mapping[str, str] = field(default_factory=dict)


def suggest_split(look: Look, left_out: Iterable[str], id_name: str | None) -> SplitSuggestion:
    """Return the split that fits the rows; left_out: columns that are the id, or tell nothing."""
    names = look.others([*left_out, *([id_name] if id_name else [])])
    shares = {"train": 0.7, "valid": 0.15, "test": 0.15}
    group = _find_group(look, names)
    times = [name for name in names if _is_time(look, name)]
    ordered = [name for name in times if _order(look, name) >= ORDERED]
    if official := _find_official(look, names):
        return official
    if ordered:
        also = (
            [f"{group} repeats; split: {{by: group, columns: [{group}]}} asks how well unknown ones are told"]
            if group
            else []
        )
        reason = f"the rows are ordered by {ordered[0]}: the oldest train, the newest test, as in use"
        return SplitSuggestion({"by": "time", "column": ordered[0]} | shares, reason, also)
    if group:
        reason = f"{group} repeats: rows of one of its values stay on one side"
        why = {group: "it names the group, which a new row does not share"}
        return SplitSuggestion({"by": "group", "columns": [group]} | shares, reason, _other_times(times), why)
    many = [name for name in times if look.columns[name]["distinct"] >= MANY_TIMES]
    if len(many) == 1:
        reason = f"the rows have a time, {many[0]}: the oldest train, the newest test, as in use"
        return SplitSuggestion({"by": "time", "column": many[0]} | shares, reason)
    return SplitSuggestion({"by": "hash"} | shares, "", _other_times(times))


def _other_times(times: list[str]) -> list[str]:
    return [f"times: {', '.join(times)}; a split by time asks how well later rows are told"] if times else []


def _find_official(look: Look, names: list[str]) -> SplitSuggestion | None:
    for name in names:
        entry = look.columns[name]
        levels = [str(level) for level in entry.get("levels", ())]
        sides = {level: _side_of(level) for level in levels}
        has_both = {"train", "test"} <= set(sides.values())
        if entry["kind"] == "text" and entry["distinct"] <= 6 and has_both and None not in sides.values():
            train = [level for level, side in sides.items() if side != "test"]
            test = [level for level, side in sides.items() if side == "test"]
            return _official(name, train, test, f"{name} names the official sides")
        if (
            entry["kind"] == "number"
            and FOLD_NAME.search(name)
            and 3 <= entry["distinct"] <= 20
            and is_whole(look.sample[name])
        ):
            folds = sorted(int(value) for value in look.sample[name].dropna().unique())
            return _official(name, folds[:-1], folds[-1:], f"{name} names official folds: the last is the test side")
    return None


def _official(name: str, train: list[Any], test: list[Any], reason: str) -> SplitSuggestion:
    split = {"by": "column", "column": name, "train": train, "test": test, "valid": 0.15}
    return SplitSuggestion(split, f"{reason}; valid is taken from train")


def _side_of(level: str) -> str | None:
    word = level.strip().casefold()
    for side, words in (("train", TRAIN_WORDS), ("valid", VALID_WORDS), ("test", TEST_WORDS)):
        if word in words:
            return side
    return None


def _find_group(look: Look, names: list[str]) -> str | None:
    """Return the first column that is named like an id, and whose many values stand in several rows each."""
    for name in names:
        entry = look.columns[name]
        named = is_named_like_id(name) or SUBJECT_NAME.fullmatch(name)
        if not named or entry["kind"] == "date" or entry["missing"] > MAX_MISSING_TIMES or entry["length"] >= LONG_TEXT:
            continue
        repeats = entry["distinct"] >= FEW_GROUPS and distinct_share(look, name) < UNIQUE_SHARE
        if repeats and (entry["kind"] == "text" or is_whole(look.sample[name])):
            return name
    return None


def _is_time(look: Look, name: str) -> bool:
    """Whether a column may be the time of the rows."""
    entry = look.columns[name]
    if entry["missing"] > MAX_MISSING_TIMES or BIRTH_NAME.search(name) or look.rows < FEW_ROWS:
        return False
    if entry["kind"] == "date":
        days = _days(look.sample[name])  # none of hours without a day
        return (
            days > 0
            and entry["distinct"] >= SOME_TIMES
            and not (days > GENERATION_DAYS and _order(look, name) < ORDERED)
        )
    if entry["kind"] != "number" or not is_named_like_time(name) or entry["distinct"] < SOME_TIMES:
        return False
    return _order(look, name) == 1 or _reads_as_time(look.sample[name].dropna().to_numpy(dtype=float))


def _reads_as_time(values: np.ndarray) -> bool:
    """Whether numbers are seconds or milliseconds since 1970 (2001 to 2100), days as 20240331 or months."""
    low, high = float(values.min()), float(values.max())
    if 1e9 <= low <= high < 4.1e9 or 1e12 <= low <= high < 4.1e12:
        return True
    if not (values == np.floor(values)).all():
        return False
    if 19_000_101 <= low <= high <= 21_001_231:
        return bool(
            (
                (values % 100 >= 1) & (values % 100 <= 31) & (values // 100 % 100 >= 1) & (values // 100 % 100 <= 12)
            ).all()
        )
    return bool(190_001 <= low <= high <= 210_012 and ((values % 100 >= 1) & (values % 100 <= 12)).all())


def _order(look: Look, name: str) -> float:
    """Return the share of steps from row to row that do not fall, or, where that is more, that do not rise."""
    values = _as_numbers(look.sample[name].dropna())
    if len(values) < 2 or np.ptp(values) == 0:
        return 0.0
    steps = np.diff(values)
    return float(max((steps >= 0).mean(), (steps <= 0).mean()))


def _days(values: pd.Series) -> float:
    seconds = _as_numbers(values.dropna())
    return float(np.ptp(seconds)) / 86_400 if len(seconds) else 0.0


def _as_numbers(values: pd.Series) -> np.ndarray:
    """Return dates as seconds, numbers as they are; shape (n,)."""
    if values.dtype.kind in "iuf":
        return np.asarray(values, dtype=float)
    times = pd.to_datetime(values, errors="coerce", utc=True).dropna()
    return np.asarray((times - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), dtype=float)
