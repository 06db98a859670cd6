"""Cells that training gives no ground for: levels that it never saw, numbers far outside its range."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ratchet.config import Features
from ratchet.scoring.cells import UNSEEN
from ratchet.scoring.encode import Column
from ratchet.serving.problems import MOST_FAULTS, Fault, Problem, shown
from ratchet.serving.routes import Signature

Place = Callable[[int, str], str]  # row and column -> where the cell stands in the body


class Odd(NamedTuple):
    """One such cell; warning: unseen or range. The value is left out: it may be one that is not to be kept."""

    row: int
    column: str
    warning: str


@dataclass(frozen=True)
class _Test:
    at: int
    column: Column
    known: frozenset[Any]
    missing: frozenset[str]

    def is_odd(self, value: Any) -> bool:
        """Whether a cell, which is not missing, is odd."""
        column = self.column
        if column.warning == "range":
            assert column.bounds
            return not column.bounds[0] <= value <= column.bounds[1]
        if value in self.known:
            return False
        return not column.is_text or column.texts.place(value, self.missing) == UNSEEN


class InputCheck:
    """What is odd in rows that a version reads, as far as the task wants to know (features.unseen, features.range)."""

    def __init__(self, signature: Signature, features: Features) -> None:
        self.refused = features.refused
        found = ((at, signature.columns.get(name)) for at, name in enumerate(signature.inputs))
        self.tests = [
            _test(at, column, signature.missing)
            for at, column in found
            if column and column.warning in features.counted
        ]

    def find(self, cells: Sequence[Sequence[Any]]) -> tuple[Odd, ...]:
        """Return the odd cells, by column.

        Args:
            cells: (rows, columns of the signature), each of its column's kind; None is missing.
        """
        found = []
        for test in self.tests:
            for row, values in enumerate(cells):
                value = values[test.at]
                if value is not None and test.is_odd(value):
                    found.append(Odd(row, test.column.name, test.column.warning))
        return tuple(found)

    def refuse(self, cells: Sequence[Sequence[Any]], odd: Sequence[Odd], place: Place) -> None:
        """Raise Problem for the odd cells that the task refuses, with the place of each."""
        at = {test.column.name: test for test in self.tests}
        faults = [
            Fault(place(row, name), f"expected {_wanted(at[name].column)}, got {shown(cells[row][at[name].at])}")
            for row, name, warning in odd
            if warning in self.refused
        ]
        if faults:
            raise Problem.of(faults[: MOST_FAULTS + 1])


def _test(at: int, column: Column, missing: frozenset[str]) -> _Test:
    known: set[Any] = set(column.levels)
    if column.is_text and column.texts.is_boolean and len(known) > 1:
        known |= {True, False}
    return _Test(at, column, frozenset(known), missing)


def _wanted(column: Column) -> str:
    if column.warning == "range" and column.bounds:
        return f"a number from {column.bounds[0]:g} to {column.bounds[1]:g}, as training gives ground for"
    return "a level that training has seen"
