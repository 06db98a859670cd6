"""The one expression grammar of rules, derived columns and slices: a whitelist over Python's own parser.

This file travels inside every model, so it imports the standard library, numpy and pandas only.
A value is an array of shape (n,), or (1,) for a constant: float64 with NaN for missing, or object
holding NFC text with None for missing. There is no infinity: an infinite number is missing.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from functools import partial, reduce
from itertools import pairwise
from typing import Any, NoReturn
from unicodedata import normalize

import numpy as np
import pandas as pd

MAX_CHARACTERS, MAX_NODES, MAX_DEPTH, MAX_EXPONENT, MAX_INTEGER = 2_000, 200, 50, 10, 10**18
TOKEN = re.compile(
    r"""(?P<stray>'''|\"\"\")|(?P<literal>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
    r"""|`(?P<name>[^`]+)`|(?P<space>\s)|[`#\\'"]"""
    r"""|(?<![\w.])\.?\d[\w.]*?(?:and|else|for|i[fns]|not|or)\b""",  # 1or: Python only warns
    re.DOTALL,
)
REFUSED: dict[type, tuple[str, str]] = {
    ast.Attribute: ("a dot", "a column name with a dot goes in back-ticks, as in `a.b`"),
    ast.IfExp: ("'if'", "write where(condition, a, b)"),
    ast.List: ("a list", "write it after 'in', at the end of a comparison"),
    ast.Tuple: ("a comma", "one expression gives one value"),
    ast.In: ("'in' before another comparison", "join the two with and"),
    ast.NotIn: ("'not in' before another comparison", "join the two with and"),
    ast.Is: ("'is'", "write == or missing(x)"),
    ast.IsNot: ("'is not'", "write != or not missing(x)"),
    ast.BitAnd: ("'&'", "write and"),
    ast.BitOr: ("'|'", "write or"),
    ast.BitXor: ("'^'", "write ** for a power"),
    ast.Invert: ("'~'", "write not"),
    bool: ("True or False", "write 1 or 0"),
    type(None): ("None", "write missing(x)"),
}

Value = np.ndarray[Any, np.dtype[Any]]
Run = Callable[[Mapping[str, Value]], Value]


class ExpressionError(ValueError):
    """An expression is outside the grammar, or does not fit the columns; the message is one line."""


class _KindError(Exception):
    """Text stands where a number is needed, or the reverse; the message is the hint."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression; expressions of equal text are equal."""

    text: str
    names: frozenset[str]
    _run: Run = field(repr=False, compare=False)

    @staticmethod
    def parse(text: str) -> "Expression":
        """Parse once, to evaluate often; `names` are the columns used, as written, without back-ticks.

        Raises ExpressionError, and nothing else, for any text outside the grammar.
        """
        compiler = _Compiler(text)
        return Expression(text, frozenset(compiler.names), compiler.run)

    def evaluate(self, columns: Mapping[str, Any] | pd.DataFrame) -> Value:
        """Evaluate over columns of shape (n,) each: numpy, pandas or a list.

        Returns a new array of shape (n,): float64 (truth is 0.0 or 1.0, missing is NaN), or object for
        text (NFC, missing is None; a column without one present value is NaN unless its dtype is text).
        A name means the column of exactly that name or, failing that, of that name after NFKC.
        Numbers are float64: integers are exact up to 2**53.
        Raises ExpressionError for an absent column, columns of unequal length, text where a number is
        needed or the reverse, and a column that holds neither.
        """
        with np.errstate(all="ignore"):
            values = {name: _read(columns, name, self.text) for name in self.names}
            n = _n_rows(values, columns, self.text)
            result = self._run(values)
        return result if len(result) == n and result.flags.writeable else np.broadcast_to(result, (n,)).copy()

    def __reduce__(self) -> tuple[Callable[[str], "Expression"], tuple[str]]:
        return Expression.parse, (self.text,)


class _Compiler(ast.NodeVisitor):
    """Turns one text into nested closures: `run` maps the values of the columns in `names` to a value."""

    def __init__(self, text: str) -> None:
        self.text, self.names = text, set[str]()
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_CHARACTERS:
            self.fail(0, "this is not an expression", f"write a text of 1 to {MAX_CHARACTERS} characters")
        masked = TOKEN.sub(self.mask, text)
        self.indent = len(masked) - len(masked.lstrip(" "))
        try:
            self.source = masked[self.indent :].encode()
            body = ast.parse(masked[self.indent :], mode="eval").body
        except SyntaxError as error:
            offset = self.indent + max(error.offset or 1, 1) - 1
            self.fail(offset, _line(str(error.msg)), "compare with ==; unusual names go in back-ticks")
        except (ValueError, RecursionError, MemoryError) as error:
            self.fail(0, f"it cannot be read ({type(error).__name__})", "is there an odd character in it?")
        level, n_nodes, depth = [body], 0, 0
        while level:
            n_nodes, depth = n_nodes + len(level), depth + 1
            below = (child for node in level for child in ast.iter_child_nodes(node))
            level = [child for child in below if isinstance(child, ast.expr)]
        if n_nodes > MAX_NODES or depth > MAX_DEPTH:
            fault = f"{n_nodes} parts nested {depth} deep are not allowed"
            self.fail(0, fault, f"up to {MAX_NODES} and {MAX_DEPTH} are; split it over derived columns")
        self.run = self.visit(body)

    def mask(self, token: re.Match[str]) -> str:
        """Hide a name in back-ticks from Python's parser, keeping its length so that offsets stay true."""
        literal, at = token["literal"], token.start()
        if token["name"] or token["space"]:
            return " " if token["space"] else f" {'x' * len(token['name'])} "
        if literal is None:
            self.fail(
                at, f"{token[0]} is not allowed", "pair quotes and back-ticks; write a space after a number"
            )
        if re.search(r"[\r\n]", literal) or set(re.findall(r"\\(.)", literal)) - set("\\'\"nrtxuUN"):
            self.fail(at, "a line break or unknown escape in a text", r"write \n, and \\ for a back-slash")
        return literal

    def fail(self, at: ast.expr | int, what: str, hint: str) -> NoReturn:
        character = 1 + (at if isinstance(at, int) else self.span(at).start)
        raise ExpressionError(f"in {_short(self.text)}, character {character}: {what}; {hint}") from None

    def span(self, node: ast.expr) -> slice:
        """Return where a node stands, in characters of the text; Python counts bytes."""
        start, end = (len(self.source[:at].decode()) for at in (node.col_offset, node.end_col_offset))
        return slice(self.indent + start, self.indent + end)

    def label(self, node: ast.expr) -> str:
        written = self.text[self.span(node)]
        return f"column {_short(written)}" if isinstance(node, ast.Name) else _line(written)

    def generic_visit(self, node: Any, kind: type | None = None) -> NoReturn:
        """Refuse what no other method allows."""
        kind = kind or type(node)
        what, hint = REFUSED.get(kind, (kind.__name__, "write columns, numbers, text, operators, functions"))
        self.fail(node, f"{what} is not allowed", hint)

    def literal(self, node: ast.expr) -> float | str | None:
        """Return the value of a literal, signed, text in NFC; or None for anything else."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self.literal(node.operand)
            return -number if isinstance(number, float) else None
        if not isinstance(node, ast.Constant):
            return None
        value: Any = node.value
        if isinstance(value, str):
            return normalize("NFC", value)
        if type(value) not in {int, float}:
            self.generic_visit(node, type(value))
        if value == float("inf") or (isinstance(value, int) and value > MAX_INTEGER):
            self.fail(node, "so large a number is not allowed", "integers end at 1e18")
        return float(value)

    def apply(self, function: Callable[..., Value], kinds: str, whole: ast.expr, *nodes: ast.expr) -> Run:
        """Compile a function of operands, each read as its kind: n(umber), t(ext), ? (truth), a(ny)."""
        for node, kind in zip(nodes, kinds, strict=True):
            if kind != "a" and isinstance(self.literal(node), float if kind == "t" else str):
                self.fail(node, f"{self.label(node)} cannot stand here", NEEDS[kind])
        parts, readers = [self.visit(node) for node in nodes], [READERS[kind] for kind in kinds]

        def run(values: Mapping[str, Value]) -> Value:
            operands = [part(values) for part in parts]
            try:
                return _settle(function(*[read(side) for read, side in zip(readers, operands, strict=True)]))
            except _KindError as error:
                texts = [side.dtype == object for side in operands]
                faults = [
                    f"{self.label(node)} is {'text' if text else 'a number'}"
                    for node, kind, text in zip(nodes, kinds, texts, strict=True)
                    if kind == "a" or (kind == "t") != text
                ]
                self.fail(whole, ", ".join(faults), str(error))

        return run

    def visit_Name(self, node: ast.Name) -> Run:
        if node.id.startswith("__"):
            self.fail(node, "a name that begins with __", "if it is a column, put it in back-ticks")
        name = self.text[self.span(node)]
        self.names.add(name)
        return lambda values: values[name]

    def visit_Constant(self, node: ast.Constant) -> Run:
        value = self.literal(node)
        constant = np.array([value], dtype=object if isinstance(value, str) else np.float64)
        constant.flags.writeable = False
        return lambda values: constant

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Run:
        if type(node.op) not in UNARY:
            self.generic_visit(node, type(node.op))
        return self.apply(*UNARY[type(node.op)], node, node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> Run:
        if type(node.op) not in ARITHMETIC:
            self.generic_visit(node, type(node.op))
        if isinstance(node.op, ast.Pow):
            exponent = self.literal(node.right)
            if not isinstance(exponent, float) or abs(exponent) > MAX_EXPONENT:
                self.fail(node.right, "this exponent is not allowed", f"write a number up to {MAX_EXPONENT}")
        return self.apply(ARITHMETIC[type(node.op)], "nn", node, node.left, node.right)

    def visit_BoolOp(self, node: ast.BoolOp) -> Run:
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return self.apply(lambda *sides: reduce(join, sides), "?" * len(node.values), node, *node.values)

    def visit_Compare(self, node: ast.Compare) -> Run:
        sides, ops, member = [node.left, *node.comparators], list(node.ops), None
        if isinstance(ops[-1], (ast.In, ast.NotIn)):
            member = partial(_member, self.members(sides.pop()), isinstance(ops.pop(), ast.In))
        for op in ops:
            if type(op) not in COMPARISON:
                self.generic_visit(node, type(op))
        tests = [partial(_compare, COMPARISON[type(op)]) for op in ops]

        def chain(*values: Value) -> Value:
            # Each side is computed once; computed per pair, nested chains would double at every level.
            found = [test(*pair) for test, pair in zip(tests, pairwise(values), strict=True)]
            return reduce(np.logical_and, found if member is None else [*found, member(values[-1])])

        return self.apply(chain, "a" * len(sides), node, *sides)

    def members(self, node: ast.expr) -> list[float | str]:
        members = [self.literal(member) for member in getattr(node, "elts", ())]
        found = [member for member in members if member is not None]
        if not found or len(found) < len(members):
            self.fail(node, "'in' needs a list of literals", "write x in [1, 2], or contains(x, 'part')")
        return found

    def visit_Call(self, node: ast.Call) -> Run:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            hint = _nearest(name, FUNCTIONS, f"functions are {', '.join(FUNCTIONS)}")
            self.fail(node, f"no function {_short(self.text[self.span(node.func)])}", hint)
        function, kinds = FUNCTIONS[name]
        if node.keywords or len(node.args) != len(kinds):
            self.fail(node, f"{len(node.args)} arguments", f"{name} takes {len(kinds)}, without keywords")
        return self.apply(function, kinds, node, *node.args)


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:79] + "…"


def _short(value: object) -> str:
    return _line(repr(value))


def _nearest(wrong: str, known: Iterable[object], otherwise: str) -> str:
    near = get_close_matches(wrong, [word for word in known if isinstance(word, str)], n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else otherwise


def _read(columns: Mapping[str, Any] | pd.DataFrame, name: str, text: str) -> Value:
    """Return a column as a new array of numbers or of text, shape (n,)."""
    found = name
    if name not in columns:
        plain = normalize("NFKC", name)
        alike = [other for other in columns if isinstance(other, str) and normalize("NFKC", other) == plain]
        if len(alike) != 1:
            fault = "more than one column reads as" if alike else "no column"
            hint = _nearest(name, columns, f"there are {_short(list(columns))}")
            raise ExpressionError(f"in {_short(text)}: {fault} {name!r}; {hint}")
        found = alike[0]
    try:
        return _array(columns[found])
    except (ValueError, OverflowError) as error:
        fault = f"column {name!r} {error}; it must hold numbers or text"
        raise ExpressionError(f"in {_short(text)}: {_line(fault)}") from None


def _n_rows(values: Mapping[str, Value], columns: Mapping[str, Any] | pd.DataFrame, text: str) -> int:
    if not values:  # a constant
        return len(columns if isinstance(columns, pd.DataFrame) else next(iter(columns.values()), ()))
    lengths = {len(value) for value in values.values()}
    if len(lengths) > 1:
        raise ExpressionError(
            f"in {_short(text)}: columns differ in length; they have {sorted(lengths)} rows"
        )
    return lengths.pop()


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
        raise _KindError(NEEDS[kind])
    return np.full(value.shape, None, dtype=object) if kind == "t" else np.full(value.shape, np.nan)


def _truth(value: Value) -> Value:
    value = _as("?", value)
    return np.asarray((value != 0) & ~np.isnan(value))


def _each_pair(test: Callable[[str, str], Any], left: Value, right: Value) -> Value:
    pairs = zip(*np.broadcast_arrays(left, right), strict=True)
    return np.fromiter((a is not None and b is not None and bool(test(a, b)) for a, b in pairs), bool)


def _compare(test: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    if left.dtype == right.dtype == object:
        return _each_pair(test, left, right)
    found = present = ~(_absent(left) | _absent(right))
    if left.dtype == right.dtype:
        found = test(left, right)
    elif test in {operator.eq, operator.ne}:
        found = np.array([test is operator.ne])
    elif present.any():
        raise _KindError("text and numbers have no order")
    return np.asarray(found & present)


def _member(members: list[float | str], wanted: bool, value: Value) -> Value:
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
