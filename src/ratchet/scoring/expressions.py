"""The one expression grammar of rules, derived columns and slices: a whitelist over Python's own parser.

This file travels inside every model, so it imports the standard library, numpy, pandas and values.py only.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import pairwise
from typing import Any, NoReturn
from unicodedata import normalize

import numpy as np
import pandas as pd

from .values import (
    ARITHMETIC,
    COMPARISON,
    FUNCTIONS,
    NEEDS,
    UNARY,
    KindError,
    Value,
    call,
    compare,
    line,
    member_of,
    nearest,
    read,
    short,
)

__all__ = ["FUNCTIONS", "Expression", "ExpressionError"]

MAX_CHARACTERS, MAX_NODES, MAX_DEPTH, MAX_EXPONENT, MAX_INTEGER = 2_000, 200, 50, 10, 10**18
TOKEN = re.compile(
    r"""'''|\"\"\"|(?P<literal>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
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

Run = Callable[[Mapping[str, Value]], Value]


class ExpressionError(ValueError):
    """An expression is outside the grammar, or does not fit the columns; the message is one line."""


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
            try:
                values, n = read(columns, self.names)
            except ValueError as error:
                raise ExpressionError(f"in {short(self.text)}: {error}") from None
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
            self.fail(offset, line(str(error.msg)), "compare with ==; unusual names go in back-ticks")
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
            self.fail(at, f"{token[0]} is not allowed", "pair quotes and back-ticks; write a space after a number")
        if re.search(r"[\r\n]", literal) or set(re.findall(r"\\(.)", literal)) - set("\\'\"nrtxuUN"):
            self.fail(at, "a line break or unknown escape in a text", r"write \n, and \\ for a back-slash")
        return literal

    def fail(self, at: ast.expr | int, what: str, hint: str) -> NoReturn:
        character = 1 + (at if isinstance(at, int) else self.span(at).start)
        raise ExpressionError(f"in {short(self.text)}, character {character}: {what}; {hint}") from None

    def span(self, node: ast.expr) -> slice:
        """Return where a node stands, in characters of the text; Python counts bytes."""
        start, end = (len(self.source[:at].decode()) for at in (node.col_offset, node.end_col_offset))
        return slice(self.indent + start, self.indent + end)

    def label(self, node: ast.expr) -> str:
        written = self.text[self.span(node)]
        return f"column {short(written)}" if isinstance(node, ast.Name) else line(written)

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
        """Compile a call: refuse a literal of the wrong kind at once, a column or a part of it when it runs."""
        for node, kind in zip(nodes, kinds, strict=True):
            if kind != "a" and isinstance(self.literal(node), float if kind == "t" else str):
                self.fail(node, f"{self.label(node)} cannot stand here", NEEDS[kind])
        parts = [self.visit(node) for node in nodes]

        def run(values: Mapping[str, Value]) -> Value:
            operands = [part(values) for part in parts]
            try:
                return call(function, kinds, operands)
            except KindError as error:
                faults = [
                    f"{self.label(node)} is {'text' if side.dtype == object else 'a number'}"
                    for node, kind, side in zip(nodes, kinds, operands, strict=True)
                    if kind == "a" or (kind == "t") != (side.dtype == object)
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
            member = partial(member_of, self.members(sides.pop()), isinstance(ops.pop(), ast.In))
        for op in ops:
            if type(op) not in COMPARISON:
                self.generic_visit(node, type(op))
        tests = [partial(compare, COMPARISON[type(op)]) for op in ops]

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
            hint = nearest(name, FUNCTIONS, f"functions are {', '.join(FUNCTIONS)}")
            self.fail(node, f"no function {short(self.text[self.span(node.func)])}", hint)
        function, kinds = FUNCTIONS[name]
        if node.keywords or len(node.args) != len(kinds):
            self.fail(node, f"{len(node.args)} arguments", f"{name} takes {len(kinds)}, without keywords")
        return self.apply(function, kinds, node, *node.args)
