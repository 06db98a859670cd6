"""One rule for a raw cell of any kind: the number, the text or the level that it stands for.

The same value comes as `7`, `7.0`, `"7"`, `Decimal("7")` or a pandas scalar, `true` comes as `True`, `"TRUE"` or a
Parquet boolean, and texts come with blanks around them. Training and every way in read cells by this file, so a row
gets the same answer whichever library or format carried it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from numbers import Integral, Real
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd

FEW_ROWS = 64
TRUTH = {"true": True, "false": False}
ONE_OR_ZERO = {"1": True, "0": False, "1.0": True, "0.0": False}
MISSING, UNSEEN = -1, -2  # places of cells that hold no value, and of values that no level stands for
EXACT = 2**53  # from here on a double may stand for several whole numbers
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0")  # a whole number as pandas writes it in a column with gaps
_NUMERAL = re.compile(r"[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?")


def is_missing(value: Any) -> bool:
    """Return whether a cell holds no value: None, NaN, pandas' NA or NaT."""
    return (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, Real | Decimal) and np.isnan(float(value)))
    )


def is_numeral(text: str) -> bool:
    """Return whether a text is a decimal number."""
    return _NUMERAL.fullmatch(text) is not None


def numbers(values: Any, missing: Collection[str] = ()) -> np.ndarray:
    """Return cells as numbers.

    Args:
        values: shape (n,), of any dtype; a text counts as the number that is written in it.
        missing: texts that mean missing; the empty one always does.

    Returns:
        float64, shape (n,); missing and infinite cells are NaN.

    Raises:
        ValueError: a cell is a text or a date that is no number.
    """
    if isinstance(values, pd.Series):
        values = _plain_array(values)
    try:
        if _holds_text(values):
            out = np.array([number(value, missing) for value in values], dtype=float)
        else:
            out = np.asarray(values, dtype=float)
    except TypeError as error:  # such as a date among few rows, which come as objects
        raise ValueError(str(error)) from None
    if not np.isfinite(out).all():
        out = np.where(np.isinf(out), np.nan, out)
    return out


def _plain_array(values: pd.Series) -> np.ndarray:
    dtype = values.dtype
    if dtype.kind in "mMc":
        raise ValueError(f"{dtype} is no number")
    if isinstance(dtype, pd.CategoricalDtype):
        values = values.astype(dtype.categories.dtype if not values.hasnans else object)
    if values.dtype.kind in "iufb":
        return np.asarray(values.to_numpy(dtype=float, na_value=np.nan))
    return np.asarray(values.to_numpy(dtype=object, na_value=np.nan))


def _holds_text(values: Any) -> bool:
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return False
    if len(values) <= FEW_ROWS:
        return any(type(value) is str or type(value) is bytes for value in values)
    return pd.api.types.infer_dtype(values, skipna=True) in ("string", "bytes", "mixed", "mixed-integer")


def number(value: Any, missing: Collection[str] = ()) -> float:
    """Return the number that one cell stands for, NaN for a missing one.

    Raises:
        ValueError: it is a text that is no number.
        TypeError: it is neither a text nor a number.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        word = value.strip()
        if not word or word in missing:
            return np.nan
        if "_" in word:  # Python reads 1_000, no file means it
            raise ValueError(f"could not convert string to float: {value!r}")
        return float(word)
    return np.nan if is_missing(value) else float(value)


def text(value: Any, as_is: bool = False) -> Any:
    """Return the text that one cell stands for: composed, without blanks around; None for a missing one.

    as_is: what is neither a text nor a number, such as a date, is returned as it is.
    """
    if isinstance(value, str):
        return normalize("NFC", value).strip()
    if isinstance(value, bytes):
        return text(value.decode("utf-8", "replace"))
    if is_missing(value):
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Decimal | Real):
        real = float(value)
        is_whole = real.is_integer() and int(value) == value  # type: ignore[arg-type]
        return str(int(value)) if is_whole else repr(real)  # type: ignore[arg-type]
    return value if as_is else str(value)


class Levels:
    """The known texts of a category, found by any spelling of theirs.

    A spelling is found as it is; without blanks around; where the levels are true and false, in any case, as a boolean
    or as 1 and 0; a boolean, where exactly one level spells it; a number, where exactly one level is a numeral of that
    value; `7.0` for `7` and the reverse.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.places = {name: place for place, name in enumerate(self.names)}
        truths = [name.lower() in TRUTH for name in self.names]
        self.is_boolean = bool(truths) and all(truths)
        self.are_numerals = bool(self.names) and all(map(is_numeral, self.names))

    @cached_property
    def _by_truth(self) -> Mapping[bool, int]:
        return {TRUTH[name.lower()]: place for place, name in reversed([*enumerate(self.names)])}

    @cached_property
    def _by_value(self) -> Mapping[float, int]:
        """The places of numerals by value; a value that several levels write belongs to none of them."""
        found: dict[float, int] = {}
        for place, name in enumerate(self.names):
            if is_numeral(name):
                found[float(name)] = UNSEEN if float(name) in found else place
        return found

    def place(self, value: Any, missing: Collection[str] = ()) -> int:
        """Return the place of the level that a cell stands for, or MISSING, or UNSEEN."""
        found = self.places.get(value) if isinstance(value, str) else None
        if found is not None:
            return found
        word = text(value)
        if word is None:
            return MISSING
        is_text = isinstance(value, str | bytes)
        if is_text and word in self.places:
            return self.places[word]
        if is_text and (not word or word in missing):
            return MISSING
        if self.is_boolean:
            truth = TRUTH.get(word.lower(), ONE_OR_ZERO.get(word))
            return UNSEEN if truth is None else self._by_truth.get(truth, UNSEEN)
        if isinstance(value, bool | np.bool_):
            return self._only_truth(bool(value))
        return self._numeral(value, word, is_text)

    def _only_truth(self, truth: bool) -> int:
        """Return the place of the one level that spells a truth among others, in words before 1 and 0."""
        for spelled in (TRUTH, ONE_OR_ZERO):
            if found := [place for place, name in enumerate(self.names) if spelled.get(name.lower()) is truth]:
                return found[0] if len(found) == 1 else UNSEEN
        return UNSEEN

    def _numeral(self, value: Any, word: str, is_text: bool) -> int:
        if is_text:
            whole = _WHOLE.fullmatch(word)
            return self.places.get(whole[1] if whole else f"{word}.0", UNSEEN)
        if not isinstance(value, Decimal | Real):
            return self.places.get(word, UNSEEN)
        if isinstance(value, Integral | Decimal) and not -EXACT < value < EXACT:  # type: ignore[operator]
            return self.places.get(word, UNSEEN)
        value = float(value)
        return self._by_value.get(value, UNSEEN) if abs(value) < EXACT else UNSEEN

    def find(self, values: np.ndarray, missing: Collection[str] = ()) -> np.ndarray:
        """Return the place of each cell's level, shape (n,), int; see `place`."""
        if len(values) <= FEW_ROWS:
            return np.array([self.place(value, missing) for value in values.tolist()], dtype=int)
        found = np.asarray(self._index.get_indexer(values))
        if (odd := np.flatnonzero(found < 0)).size:
            codes, distinct = pd.factorize(np.asarray(values[odd], dtype=object), use_na_sentinel=True)
            known = np.array([*(self.place(value, missing) for value in distinct), MISSING], dtype=int)
            found = found.astype(int)
            found[odd] = known[codes]  # -1, missing, is the last
        return found

    def words(self, values: np.ndarray, missing: Collection[str] = ()) -> np.ndarray:
        """Return cells as the levels that they stand for, else as texts; None is missing.

        Args:
            values: shape (n,), objects.
            missing: texts that mean missing.

        Returns:
            objects, shape (n,); what is neither a text nor a number is returned as it is.
        """
        places = self.find(values, missing)
        return np.array([
            self.names[place] if place >= 0 else None if place == MISSING else text(value, as_is=True)
            for place, value in zip(places.tolist(), values.tolist(), strict=True)
        ], dtype=object)  # fmt: skip

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.names, dtype=object)


def merged(counts: Mapping[str, int], missing: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the levels that some texts stand for, most frequent first, each with the spellings that mean it.

    Args:
        counts: how often each text stands in the rows, as it is written there.
        missing: texts that mean missing, where blanks stand around them.
    """
    plain: dict[str, list[str]] = {}
    for spelling in sorted(counts, key=lambda name: (-counts[name], name)):
        word = normalize("NFC", spelling).strip()
        if word == spelling or (word and word not in missing):
            plain.setdefault(word, []).append(spelling)
    if plain and all(word.lower() in TRUTH for word in plain):
        groups: dict[str, str] = {}
        same = {word: groups.setdefault(word.lower(), word) for word in plain}
    else:
        same = {word: whole[1] if (whole := _WHOLE.fullmatch(word)) and whole[1] in plain else word for word in plain}
    found: dict[str, list[str]] = {}
    for word, spellings in plain.items():
        found.setdefault(same[word], []).extend(spellings)
    total = {level: sum(counts[spelling] for spelling in spellings) for level, spellings in found.items()}
    return {level: found[level] for level in sorted(found, key=lambda level: (-total[level], level))}
