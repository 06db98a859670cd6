"""The bodies that callers send: MLflow's four JSON forms, CSV and Parquet, each read strictly."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import orjson

from ratchet.config import numbers
from ratchet.errors import did_you_mean
from ratchet.serving import parquet
from ratchet.serving.problems import MOST_FAULTS, Fault, Problem, shown
from ratchet.serving.rows import Asked, Reader, Row

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
TYPES = (JSON, CSV, PARQUET)
PARAMETERS = "parameters"  # as Vertex AI calls what stands beside instances
MOST_REASONS = 50
MOST_EXPLAINED = 100  # rows of a body that asks for reasons


def read(content_type: str, body: bytes, reader: Reader) -> Asked:
    """Return what a body asks.

    Raises Problem: 415 for a type or charset that is not read, 400 with the place of each fault.
    """
    kind = _kind(content_type, TYPES)
    if kind == PARQUET:
        return parquet.read(body, reader)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(400, f"byte {error.start} is not UTF-8") from None
    return _csv(text, reader) if kind == CSV else _json(text, reader)


def require_json(content_type: str) -> None:
    """Raise Problem, 415, for another type than JSON in UTF-8."""
    _kind(content_type, (JSON,))


def _kind(content_type: str, allowed: Sequence[str]) -> str:
    kind, _, more = content_type.partition(";")
    kind = kind.strip().lower()
    if kind not in allowed:
        told = f"Content-Type is {shown(kind)}" if kind else "Content-Type is missing"
        raise Problem(415, f"{told}; send {', '.join(allowed)}")
    _require_utf8(more)
    return kind


def _require_utf8(parameters: str) -> None:
    for part in parameters.split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise Problem(415, f"charset is {shown(value.strip())}; send UTF-8")


class _Twice(Exception):
    """A key stands twice in an object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


_DECODE = json.JSONDecoder(object_pairs_hook=_once).decode


def parsed(text: str) -> Any:
    """Return the value of a JSON text; NaN and infinite numbers are let in, for their place to be told.

    Raises Problem for any other text, a key that stands twice, and what is nested too deep.
    """
    try:  # three times as fast; whatever it refuses, and what may hold a key twice, is read again by the strict one
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _strictly(text)
    keys = _keys_of(found)  # a key is before a colon, so as many as there are colons are all that its text has
    return found if keys == text.count(":") or keys == _most_keys(text) else _strictly(text)


def _keys_of(document: Any) -> int:
    """How many keys a body of rows has; -1 for one of another shape."""
    if type(document) is not dict:
        return -1
    count = len(document)
    for value in document.values():
        if type(value) is list:
            count += sum([len(record) for record in value if type(record) is dict])
        elif type(value) is dict:
            count += len(value)
    return count


def _most_keys(text: str) -> int:
    """How many keys its text can have at the most: quotes before a colon; -2 where blanks may stand between."""
    if any(text.count(pair) for pair in ('" ', '"\n', '"\t', '"\r')):
        return -2
    return text.count('":')


def _strictly(text: str) -> Any:
    try:
        return _DECODE(text)
    except _Twice as twice:
        raise Problem(400, f"key {shown(str(twice))} stands twice in one object") from None
    except RecursionError:
        raise Problem(400, "it is nested too deep") from None
    except json.JSONDecodeError as error:
        raise Problem(400, f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError:  # a whole number of more digits than Python reads
        raise Problem(400, "a number in it has too many digits") from None


def _json(text: str, reader: Reader) -> Asked:
    document = parsed(text)
    _require_no_bare_rows(document, reader)
    if type(document) is not dict:
        raise Problem(400, f"expected an object with one of {', '.join(FORMS)}, got {shown(document)}")
    named = PARAMETERS if "instances" in document and "params" not in document else "params"
    params = _params(document.pop(named, None), reader, named)
    if unknown := [name for name in document if name not in FORMS]:
        known = [*FORMS, "params"]
        raise Problem.of(
            [Fault(n, f"no such form{did_you_mean(n, known)}; known are {', '.join(known)}") for n in unknown]
        )
    if len(document) != 1:
        raise Problem(400, f"expected one of {', '.join(FORMS)}, got {', '.join(map(shown, document)) or 'none'}")
    ((form, value),) = document.items()
    cells, entities = FORMS[form](reader, value)
    if params and len(cells) > MOST_EXPLAINED:
        raise Problem.of(
            [Fault("params.explain", f"{len(cells)} rows; reasons are given for {MOST_EXPLAINED} at a time")]
        )
    return Asked(cells, entities, params)


def _require_no_bare_rows(document: Any, reader: Reader) -> None:
    """Raise Problem for a row, or rows, without the name of a form, and say how they are sent."""
    rows = document if type(document) is list else [document]
    is_row = type(document) is dict and not document.keys() & FORMS.keys() and document.keys() & reader.allowed
    if type(document) is not list and not is_row:
        return
    told = '{"instances": [{…}]} or {"dataframe_records": [{…}]}'
    if rows and type(rows[0]) is not dict:
        told = '{"instances": [[…]]}'
    raise Problem(
        400, f"it is {'a list' if type(document) is list else 'a row'} without the name of a form; send {told}"
    )


Found = tuple[list[Row], list[str | None]]


def _split(reader: Reader, value: Any) -> Found:
    key = "dataframe_split"
    if type(value) is not dict or not {"columns", "data"} <= value.keys() <= {"columns", "data", "index"}:
        raise Problem.of([Fault(key, "expected an object with columns, data and, if need be, index")])
    columns = value["columns"]
    for name, part in (("columns", columns), ("data", value["data"])):
        if type(part) is not list:
            raise Problem.of([Fault(f"{key}.{name}", f"expected a list, got {shown(part)}")])

    index = value.get("index", value["data"])
    if type(index) is not list or len(index) != len(value["data"]):
        raise Problem.of([Fault(f"{key}.index", f"expected a list of {len(value['data'])}, one a row")])

    def place(row: int, column: int) -> str:
        return f"{key}.data[{row}]" + (f"[{column}]" if column >= 0 else "")

    return reader.of_table(columns, value["data"], f"{key}.columns", place)


def _many(key: str, reader: Reader, value: Any) -> Found:
    """`inputs` and `instances`: columns by name; rows as objects, as lists by place or, of one column, its values."""
    if type(value) is dict:
        return _by_column(key, reader, value)
    if type(value) is list and value and type(value[0]) is list:
        return _by_place(key, reader, value)
    if (
        type(value) is list
        and value
        and not any(type(part) in (dict, list) for part in value)
        and len(reader.names) == 1
    ):
        return reader.of_table(reader.names, [[cell] for cell in value], key, lambda row, _: f"{key}[{row}]")
    return reader.of_records(value, key)


def _by_place(key: str, reader: Reader, rows: list[Any]) -> Found:
    """Rows as lists of values, in the order of the signature."""
    names = reader.names
    wanted = f"expected a list of {len(names)} values in this order: {', '.join(names)}"
    faults = list[Fault]()
    for number, row in enumerate(rows):
        if type(row) is not list or len(row) != len(names):
            got = f"{len(row)} values" if type(row) is list else shown(row)
            faults.append(Fault(f"{key}[{number}]", f"{wanted}; got {got}"))
            if len(faults) >= MOST_FAULTS:
                break
    if faults:
        raise Problem.of(faults)

    def place(row: int, column: int) -> str:
        return f"{key}[{row}].{names[column]}"

    return reader.of_table(names, rows, key, place)


def _by_column(key: str, reader: Reader, value: Mapping[str, Any]) -> Found:
    faults = [Fault(f"{key}.{name}", f"expected a list, one value a row, got {shown(part)}")
              for name, part in value.items() if type(part) is not list]  # fmt: skip
    lengths = {name: len(part) for name, part in value.items() if type(part) is list}
    if not faults and len(set(lengths.values())) > 1:
        faults = [Fault(key, f"its lists differ in length: {', '.join(f'{n} {c}' for n, c in lengths.items())}")]
    if faults:
        raise Problem.of(faults)
    names = list(value)
    cells = [list(row) for row in zip(*value.values(), strict=True)]

    def place(row: int, column: int) -> str:
        return f"{key}.{names[column]}[{row}]" if column >= 0 else key

    return reader.of_table(names, cells, key, place)


FORMS: dict[str, Callable[[Reader, Any], Found]] = {
    "dataframe_records": lambda reader, value: reader.of_records(value, "dataframe_records"),
    "dataframe_split": _split,
    "inputs": partial(_many, "inputs"),
    "instances": partial(_many, "instances"),
}


def _params(value: Any, reader: Reader, key: str) -> tuple[tuple[str, Any], ...]:
    if value is None or value == {}:
        return ()
    if type(value) is not dict:
        raise Problem.of([Fault(key, f"expected an object, got {shown(value)}")])
    known = ("explain", "reasons")
    faults = [Fault(f"{key}.{n}", f"no such parameter{did_you_mean(n, known)}") for n in value if n not in known]
    explain, reasons = value.get("explain", False), value.get("reasons")
    if type(reasons) is float and reasons.is_integer():  # to JSON 8.0 is a whole number
        reasons = int(reasons)
    if type(explain) is not bool:
        faults.append(Fault(f"{key}.explain", f"expected true or false, got {shown(explain)}"))
    if reasons is not None and (type(reasons) is not int or not 1 <= reasons <= MOST_REASONS):
        faults.append(Fault(f"{key}.reasons", f"expected a number from 1 to {MOST_REASONS}, got {shown(reasons)}"))
    if reasons is not None and explain is False:
        faults.append(Fault(f"{key}.reasons", "goes with explain: true"))
    if explain is True and not reader.signature.explains:
        faults.append(Fault(f"{key}.explain", "this version gives no reasons; it was trained before there were any"))
    if faults:
        raise Problem.of(faults)
    if not explain:
        return ()
    return (("explain", True), ("reasons", reasons)) if reasons else (("explain", True),)


def _csv(text: str, reader: Reader) -> Asked:
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = next(lines, [])
        rows = [(lines.line_num, row) for row in lines if row]
    except csv.Error as error:
        raise Problem(400, f"line {lines.line_num}: {error}") from None
    if uneven := [(number, row) for number, row in rows if len(row) != len(header)]:
        number, row = uneven[0]
        raise Problem(400, f"line {number}: it has {len(row)} cells where the header has {len(header)}")
    numeric = {name for name, (kind, _) in reader.signature.inputs.items() if kind in ("number", "numeral")}
    forms = reader.signature.numbers
    about = [(name in numeric, reader.missing(name), forms.get(name)) for name in header]
    if forms and (faults := _unlike(header, rows, about)):
        raise Problem.of(faults)
    cells = [[_cell(cell, *each) for cell, each in zip(row, about, strict=True)] for _, row in rows]

    def place(row: int, column: int) -> str:
        return f"line {rows[row][0]}" + (f", {header[column]}" if column >= 0 else "")

    return Asked(*reader.of_table(header, cells, "line 1", place))


def _unlike(header: list[str], rows: Sequence[tuple[int, list[str]]], about: Sequence[Any]) -> list[Fault]:
    """Return the faults of cells that are not written in the form of their column."""
    written = [(at, *each) for at, each in enumerate(about) if each[0] and each[2]]
    faults = (
        Fault(f"line {line}, {header[at]}", f"expected a number written as {form}, got {shown(row[at])}")
        for line, row in rows
        for at, _, missing, form in written
        if row[at] not in missing and numbers.number(row[at], form) is None
    )
    return list(islice(faults, MOST_FAULTS + 1))


def _cell(text: str, is_number: bool, missing: frozenset[str], form: str | None) -> Any:
    if text in missing:
        return None
    if is_number and form:  # as in the rows of train, where 1.234 may be more than a thousand
        return numbers.number(text, form)
    if is_number:
        try:
            return float(text) if "_" not in text else text
        except ValueError:
            return text
    return text
