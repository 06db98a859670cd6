"""Rows as a version reads them: named, complete, each cell of its kind; whichever form they came in."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, isnan
from typing import Any

from ratchet.errors import did_you_mean
from ratchet.scoring.cells import EXACT, is_numeral
from ratchet.serving.oddities import InputCheck, Odd
from ratchet.serving.problems import MOST_FAULTS, Fault, Problem, shown
from ratchet.serving.routes import Signature

Row = list[Any]
Place = Callable[[int, str], str]  # row and column -> where the cell stands in the body
NONE = type(None)


@dataclass(frozen=True)
class Asked:
    """What a body asks. cells: (rows, columns of the signature), missing ones are None; entities: one per row, where
    the body names them; params: those of the model; odd: cells that training gives no ground for.
    """

    cells: list[Row]
    entities: list[str | None]
    params: tuple[tuple[str, Any], ...] = ()
    odd: tuple[Odd, ...] = ()


@dataclass(frozen=True)
class Reader:
    """Makes rows of what a parser found.

    entity: the column that names the entity, which no model reads; check: looks for odd cells, None: nobody does.
    """

    signature: Signature
    entity: str | None = None
    check: InputCheck | None = None
    names: tuple[str, ...] = field(init=False)
    allowed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(self.signature.inputs)
        object.__setattr__(self, "names", names)
        extra = {self.entity} if self.entity else set()
        object.__setattr__(self, "allowed", frozenset({*names, *self.signature.known, *extra}))

    def missing(self, name: str) -> frozenset[str]:
        """Return the cells of a CSV that mean missing in a column: a text that is a level there is none of them."""
        column = self.signature.columns.get(name)
        return self.signature.missing - set(column.levels) if column and column.is_text else self.signature.missing

    def of_records(self, records: Any, key: str) -> tuple[list[Row], list[str | None]]:
        """Return the cells of a list of objects, and the entities.

        Raises Problem.
        """
        _require_list(records, key, "a list of objects, one a row")
        names, allowed, faults = self.names, self.allowed, list[Fault]()
        cells, known = list[Row](), frozenset(names)
        in_order = list(names)
        for number, record in enumerate(records):
            if type(record) is dict and list(record) == in_order:
                cells.append(list(record.values()))
                continue
            if type(record) is not dict:
                faults.append(Fault(f"{key}[{number}]", f"expected an object, got {shown(record)}"))
            elif not record.keys() <= known:
                faults += [self._unknown(f"{key}[{number}].{n}", n) for n in record.keys() - allowed]
            if len(faults) >= MOST_FAULTS:
                break
            if not faults:
                cells.append([record.get(name) for name in names])
        if faults:
            raise Problem.of(faults)
        entity = self.entity
        entities = [record.get(entity) for record in records] if entity else [None] * len(cells)
        return self._checked(cells, lambda row, name: f"{key}[{row}].{name}"), _entities(entities, entity, key)

    def of_table(
        self, columns: Sequence[Any], data: Iterable[Any], header: str, place: Callable[[int, int], str]
    ) -> tuple[list[Row], list[str | None]]:
        """Return the cells of rows under a header, and the entities.

        header, place: where that and a cell (row, column) stand.
        Raises Problem.
        """
        faults = [Fault(f"{header}[{at}]", f"expected a name, got {shown(name)}")
                  for at, name in enumerate(columns) if type(name) is not str]  # fmt: skip
        if not faults:
            twice = [name for name, count in Counter(columns).items() if count > 1]
            faults = [Fault(header, f"column {shown(name)} stands twice") for name in twice]
            faults += [self._unknown(f"{header}[{at}]", n) for at, n in enumerate(columns) if n not in self.allowed]
            absent = [n for n, (_, required) in self.signature.inputs.items() if required and n not in columns]
            faults += [Fault(header, f"no column {shown(n)}, which is required") for n in absent]
        if faults:
            raise Problem.of(faults)
        rows, width = list(data), len(columns)
        for number, row in enumerate(rows):
            if type(row) is not list or len(row) != width:
                got = f"{len(row)} cells" if isinstance(row, list) else shown(row)
                faults.append(Fault(place(number, -1), f"expected {width} cells, as columns has, got {got}"))
        if faults:
            raise Problem.of(faults)
        places = {name: at for at, name in enumerate(columns)}
        taken = [places.get(name) for name in self.names]
        cells = rows if taken == list(range(width)) else [
            [None if at is None else row[at] for at in taken] for row in rows
        ]  # fmt: skip
        entity = places.get(self.entity) if self.entity else None
        entities = [None] * len(rows) if entity is None else [row[entity] for row in rows]
        checked = self._checked(cells, lambda row, name: place(row, places.get(name, -1)))
        return checked, _entities(entities, self.entity, header)

    def _unknown(self, path: str, name: Any) -> Fault:
        return Fault(
            path, f"no such field{did_you_mean(name, self.names) or '; the model reads ' + ', '.join(self.names)}"
        )

    def odd(self, asked: Asked) -> Asked:
        """Return what a body asks with its odd cells."""
        odd = self.check.find(asked.cells) if self.check else ()
        return replace(asked, odd=odd) if odd else asked

    def _checked(self, cells: list[Row], place: Place) -> list[Row]:
        """Return the cells with NaN as None.

        Raises Problem for a cell of another kind, one that may not be missing, and an odd one that the task refuses.
        """
        cells = self._typed(cells, place)
        if self.check and self.check.refused:
            self.check.refuse(cells, self.check.find(cells), place)
        return cells

    def _typed(self, cells: list[Row], place: Place) -> list[Row]:
        if not cells:
            raise Problem(400, "there is no row in it")
        if len(cells) == 1 and self._fits(cells[0]):
            return cells
        faults: list[Fault] = []
        columns = zip(self.signature.inputs.items(), zip(*cells, strict=True), strict=True)
        for at, ((name, (kind, required)), column) in enumerate(columns):
            kinds = set(map(type, column))
            if kinds <= _PLAIN[kind] and not (required and NONE in kinds) and _is_finite(column, kinds):
                continue
            for number, value in enumerate(column):
                plain = _plain(value, kind)
                if plain is not value:
                    cells[number][at] = plain
                if fault := _fault(cells[number][at], kind, required):
                    faults.append(Fault(place(number, name), fault))
                    if len(faults) >= MOST_FAULTS:
                        raise Problem.of(faults)
        if faults:
            raise Problem.of(faults)
        return cells

    def _fits(self, row: Row) -> bool:
        """Whether each cell of a row is plainly what it must be; most requests have one row."""
        for value, (kind, required) in zip(row, self.signature.inputs.values(), strict=True):
            found = type(value)
            if found is NONE:
                if required:
                    return False
            elif found not in _PLAIN[kind] or (found is not str and not -LARGE < value < LARGE):
                return False
        return True


LARGE = 1e300
_PLAIN: dict[str, set[type]] = {
    "number": {int, float, NONE}, "numeral": {int, float, NONE}, "text": {str, NONE}, "code": {str, NONE},
    "boolean": {bool, str, NONE},
}  # fmt: skip
_WANTED = {"number": "a number", "numeral": "a number", "text": "text", "code": "text or a number",
           "boolean": "true or false"}  # fmt: skip


def _plain(value: Any, kind: str) -> Any:
    """Return a cell as its column's model takes it; what is of another kind stays as it is.

    A number of more digits than a double holds becomes text where texts are read: pandas would round it where the cell
    beside it is missing.
    """
    found = type(value)
    if found is float and isnan(value):
        return None
    if kind == "code" and found is int and abs(value) >= EXACT:
        return str(value)
    if kind == "numeral" and found is str and is_numeral(value.strip()):
        return float(value)
    if kind == "boolean" and found in (int, float) and value in (0, 1):
        return bool(value)
    return value


def _is_finite(column: Sequence[Any], kinds: set[type]) -> bool:
    """Whether no number among them is infinite or NaN, or an integer beyond them; where unsure, False."""
    if str in kinds:
        return True
    try:
        return isfinite(sum(value for value in column if value is not None) if NONE in kinds else sum(column))
    except OverflowError:
        return False


def _fault(value: Any, kind: str, required: bool) -> str:
    if value is None:
        return "is required; it may not be missing" if required else ""
    found = type(value)
    if found in _PLAIN[kind] or (kind == "code" and found in (int, float)):
        if found is int:
            return "" if abs(value) < 2**1023 else "expected a number, got one that is too large"
        return "expected a number, got an infinite one" if found is float and not isfinite(value) else ""
    return f"expected {_WANTED[kind]}, got {shown(value)}"


def _entities(values: list[Any], name: str | None, key: str) -> list[str | None]:
    """Return entities as text; one and the same whether it came as 7, 7.0 or "7"."""
    found = list[str | None]()
    for number, value in enumerate(values):
        if value is None or type(value) is str:
            found.append(value)
        elif type(value) in (int, float) and isfinite(value):
            found.append(str(int(value)) if value == int(value) else repr(value))
        else:
            raise Problem.of([Fault(f"{key}[{number}].{name}", f"expected text or a number, got {shown(value)}")])
    return found


def _require_list(value: Any, key: str, what: str) -> None:
    if type(value) is not list:
        raise Problem.of([Fault(key, f"expected {what}, got {shown(value)}")])
