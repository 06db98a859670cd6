"""Cells that training gives no ground for: levels that it never saw, numbers far outside its range."""

from collections.abc import Callable, Sequence
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


class InputCheck:
    """What is odd in rows that a version reads, as far as the task wants to know (features.unseen, features.range)."""

    def __init__(self, signature: Signature, features: Features) -> None:
        self.refused, self.missing = features.refused, signature.missing
        found = ((at, signature.columns.get(name)) for at, name in enumerate(signature.inputs))
        looked_at = [(at, column) for at, column in found if column and column.warning in features.counted]
        self.columns = {column.name: (at, column) for at, column in looked_at}
        # Plain values: this is on the way of each request.
        self.ranges = [(at, *column.bounds, column.name) for at, column in looked_at if column.bounds]
        self.levels = [(at, _known(column), column) for at, column in looked_at if not column.bounds]

    def find(self, cells: Sequence[Sequence[Any]]) -> tuple[Odd, ...]:
        """Return the odd cells, by column.

        Args:
            cells: (rows, columns of the signature), each of its column's kind; None is missing.
        """
        found = list[Odd]()
        for at, low, high, name in self.ranges:
            for row, values in enumerate(cells):
                value = values[at]
                if value is not None and not low <= value <= high:
                    found.append(Odd(row, name, "range"))
        for at, known, column in self.levels:
            for row, values in enumerate(cells):
                if values[at] not in known and self._is_unseen(column, values[at]):
                    found.append(Odd(row, column.name, "unseen"))
        return tuple(found)

    def _is_unseen(self, column: Column, value: Any) -> bool:
        return not column.is_text or column.texts.place(value, self.missing) == UNSEEN

    def refuse(self, cells: Sequence[Sequence[Any]], odd: Sequence[Odd], place: Place) -> None:
        """Raise Problem for the odd cells that the task refuses, with the place of each."""
        faults = [
            Fault(place(row, name), f"expected {_wanted(column)}, got {shown(cells[row][at])}")
            for row, name, warning in odd
            if warning in self.refused
            for at, column in [self.columns[name]]
        ]
        if faults:
            raise Problem.of(faults[: MOST_FAULTS + 1])


def _known(column: Column) -> frozenset[Any]:
    """Return what is plainly not odd; other spellings are looked at one by one."""
    known: set[Any] = {None, *column.levels}
    if column.is_text and column.texts.is_boolean and len(column.levels) > 1:
        known |= {True, False}
    return frozenset(known)


def _wanted(column: Column) -> str:
    if column.warning == "range" and column.bounds:
        return f"a number from {column.bounds[0]:g} to {column.bounds[1]:g}, as training gives ground for"
    return "a level that training has seen"
