"""What an expression computes with: columns read as numbers or text, functions and operators row by row.

A value is an array of shape (n,), or (1,) for a constant: float64 with NaN for missing, or object
holding NFC text with None for missing. There is no infinity: an infinite number is missing.
"""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd

Value = np.ndarray[Any, np.dtype[Any]]


class KindError(Exception):
    """Text stands where a number is needed, or the reverse; the message is the hint."""


def line(text: str) -> str:
    """Put a text on one line of 80 characters at most, fit for a message."""
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:79] + "…"


def short(value: object) -> str:
    """Show a value as it would be written, on one line."""
    return line(repr(value))


def nearest(wrong: str, known: Iterable[object], otherwise: str) -> str:
    """Hint at the known word that was meant; otherwise say `otherwise`."""
    near = get_close_matches(wrong, [word for word in known if isinstance(word, str)], n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else otherwise


def read(columns: Mapping[str, Any] | pd.DataFrame, names: Iterable[str]) -> tuple[dict[str, Value], int]:
    """Return the named columns as new arrays of numbers or of text, and their number of rows.

    Raises ValueError for an absent column, columns of unequal length, and one that holds something else.
    """
    values = {name: _column(columns, name) for name in names}
    lengths = {len(value) for value in values.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns differ in length; they have {sorted(lengths)} rows")
    if not lengths:  # a constant
        lengths = {len(columns if isinstance(columns, pd.DataFrame) else next(iter(columns.values()), ()))}
    return values, lengths.pop()


def _column(columns: Mapping[str, Any] | pd.DataFrame, name: str) -> Value:
    found = name
    if name not in columns:
        plain = normalize("NFKC", name)
        alike = [other for other in columns if isinstance(other, str) and normalize("NFKC", other) == plain]
        if len(alike) != 1:
            fault = "more than one column reads as" if alike else "no column"
            hint = nearest(name, columns, f"there are {short(list(columns))}")
            raise ValueError(f"{fault} {name!r}; {hint}")
        found = alike[0]
    try:
        return _array(columns[found])
    except (ValueError, OverflowError) as error:
        raise ValueError(line(f"column {name!r} {error}; it must hold numbers or text")) from None


def _array(values: Any) -> Value:
    if not isinstance(values, np.ndarray):
        values = getattr(values, "array", values)  # what a Series or an Index holds
        if isinstance(values, pd.Categorical):
            categories, codes = _array(values.categories), np.asarray(values.codes)
            missing = np.array([None if categories.dtype == object else np.nan], dtype=categories.dtype)
            return np.asarray(np.concatenate([categories, missing])[codes])  # -1, missing, is the last
        if isinstance(values, pd.api.extensions.ExtensionArray):
            numeric = pd.api.types.is_numeric_dtype(values.dtype)
            values = values.to_numpy(float, na_value=np.nan) if numeric else values.to_numpy(object)
        else:
            values = np.asarray(values, dtype=object)
    if values.ndim != 1 or values.dtype.kind not in "fiubOUT":
        raise ValueError(f"has shape {values.shape} and dtype {values.dtype}")
    if values.dtype.kind in "OUT":
        return _objects(values.astype(object))
    return _settle(values.astype(np.float64))


def _objects(values: Value) -> Value:
    present = ~pd.isna(values)
    kinds = set(map(type, values[present]))
    if kinds and all(issubclass(kind, str) for kind in kinds):
        return np.array([normalize("NFC", v) if isinstance(v, str) else None for v in values], dtype=object)
    if not all(issubclass(kind, (int, float, Decimal, np.integer, np.floating, np.bool_)) for kind in kinds):
        raise ValueError(f"holds {' and '.join(sorted(kind.__name__ for kind in kinds))}")
    return _settle(np.where(present, values, np.nan).astype(np.float64))


def _settle(result: Value) -> Value:
    """Make a value of a result: truth becomes 0 or 1, infinity becomes missing."""
    if result.dtype == bool:
        return result.astype(np.float64)
    if result.dtype != object:
        result = (result - result) + result  # inf - inf is NaN; cheaper than isinf and where
    return result


def _absent(value: Value) -> Value:
    if value.dtype != object:
        return np.isnan(value)
    return np.fromiter((v is None for v in value), bool, len(value))


def _as(kind: str, value: Value) -> Value:
    """Return value as text (kind t) or as numbers; one that is missing altogether is either."""
    if (value.dtype == object) == (kind == "t"):
        return value
    if not _absent(value).all():
        raise KindError(NEEDS[kind])
    return np.full(value.shape, None, dtype=object) if kind == "t" else np.full(value.shape, np.nan)


def _truth(value: Value) -> Value:
    value = _as("?", value)
    return np.asarray((value != 0) & ~np.isnan(value))


def _each_pair(test: Callable[[str, str], Any], left: Value, right: Value) -> Value:
    pairs = zip(*np.broadcast_arrays(left, right), strict=True)
    return np.fromiter((a is not None and b is not None and bool(test(a, b)) for a, b in pairs), bool)


def call(function: Callable[..., Value], kinds: str, operands: list[Value]) -> Value:
    """Call a function of operands, each read as its kind: n(umber), t(ext), ? (truth), a(ny).

    Raises KindError for an operand of another kind.
    """
    return _settle(function(*[READERS[kind](side) for kind, side in zip(kinds, operands, strict=True)]))


def compare(test: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    """Compare row by row; false where a side is missing, and text never equals a number."""
    if left.dtype == right.dtype == object:
        return _each_pair(test, left, right)
    found = present = ~(_absent(left) | _absent(right))
    if left.dtype == right.dtype:
        found = test(left, right)
    elif test in {operator.eq, operator.ne}:
        found = np.array([test is operator.ne])
    elif present.any():
        raise KindError("text and numbers have no order")
    return np.asarray(found & present)


def member_of(members: list[float | str], wanted: bool, value: Value) -> Value:
    """Whether a value is among the members (or, unless wanted, is not); false where it is missing."""
    if value.dtype == object:
        words = frozenset(members)
        found = np.fromiter((v in words for v in value), bool, len(value))
    else:
        found = np.isin(value, [member for member in members if isinstance(member, float)])
    return np.asarray((found == wanted) & ~_absent(value))


def _where(condition: Value, yes: Value, no: Value) -> Value:
    if yes.dtype != no.dtype:
        numbers = all(side.dtype != object or _absent(side).all() for side in (yes, no))
        yes, no = _as("n" if numbers else "t", yes), _as("n" if numbers else "t", no)
    return np.where(condition, yes, no)


def _power(base: Value, exponent: Value) -> Value:
    # A stretched exponent takes NumPy's shortcuts (sqrt, reciprocal), so one row would differ from many.
    return np.asarray(np.power(base, np.full(base.shape, exponent[0])))


def _length(value: Value) -> Value:
    return np.fromiter((0 if v is None else len(v) for v in value), np.float64, len(value))


def _lower(value: Value) -> Value:
    return np.array([v if v is None else normalize("NFC", v.lower()) for v in value], dtype=object)


NEEDS = {"n": "a number is needed", "t": "text is needed", "?": "a number or a comparison is needed"}
READERS: dict[str, Callable[[Value], Value]] = {
    "n": partial(_as, "n"), "t": partial(_as, "t"), "?": _truth, "a": lambda value: value,
}  # fmt: skip
FUNCTIONS: dict[str, tuple[Callable[..., Value], str]] = {
    "abs": (np.abs, "n"), "log": (np.log, "n"), "log1p": (np.log1p, "n"), "exp": (np.exp, "n"),
    "sqrt": (np.sqrt, "n"), "floor": (np.floor, "n"), "round": (np.rint, "n"),
    "minimum": (np.minimum, "nn"), "maximum": (np.maximum, "nn"),
    "clip": (lambda x, low, high: np.minimum(np.maximum(x, low), high), "nnn"),
    "where": (_where, "?aa"), "missing": (_absent, "a"), "length": (_length, "t"), "lower": (_lower, "t"),
    "contains": (partial(_each_pair, operator.contains), "tt"),
}  # fmt: skip
UNARY: dict[type, tuple[Callable[..., Value], str]] = {
    ast.Not: (np.logical_not, "?"), ast.USub: (np.negative, "n"), ast.UAdd: (np.positive, "n"),
}  # fmt: skip
ARITHMETIC: dict[type, Callable[..., Value]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide, ast.Mod: np.remainder, ast.Pow: _power,
}  # fmt: skip
COMPARISON: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
