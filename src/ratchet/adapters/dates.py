"""Dates that are written as text: which form they have, seen in all rows or named in the task, and their SQL.

DuckDB guesses as well, but silently: it takes 01/02/2024 for 1 February, and 01-02-24 for 24 February of the year 1.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from ratchet.adapters.dateforms import ISO, compiled, fitting
from ratchet.adapters.sql import literal, quoted, run
from ratchet.errors import DataError

SAMPLE_CELLS = 200
MOSTLY = 0.5  # of the cells: a form that fits so many is the one that was meant
OPEN_CENTURY = (40, 69)  # two-digit years that may be 1940 as well as 2040
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class UnreadDateError(DataError):
    """Text that is no date, or more than one."""


@dataclass(frozen=True)
class Place:
    """Where a column of dates is, for messages and their mends.

    key: of the task, such as split.column; source: whose read.dates may name the column's form, empty for none;
    has_na: whether read.na tells its missing cells.
    """

    key: str
    column: str
    source: str = ""
    has_na: bool = False

    def naming(self, form: str) -> str:
        """Return the words of YAML or SQL that give the column a form."""
        if self.source:
            return f'data.sources.{self.source}.read: {{dates: {{{_yaml(self.column)}: "{form}"}}}}'
        return f"strptime({quoted(self.column)}, {literal(form)}) AS {quoted(self.column)} in data.query"


def _yaml(name: str) -> str:
    return name if re.fullmatch(r"[^\W\d]\w*", name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parsed(text: str, form: str) -> str:
    """Return the SQL of the date (a DATE, or a TIMESTAMP in UTC where the form tells the time); NULL for other text.

    Args:
        text: SQL of the cell as text.
        form: how it is written, in the directives of `strptime`, and %q for the quarter.
    """
    pattern, names = compiled(form)
    keys = {name: f"part{place}" for place, name in enumerate(names)}
    groups = f"regexp_extract(trim({text}), {literal(pattern)}, [{', '.join(literal(key) for key in keys.values())}])"
    part = {name: f"({groups})[{literal(key)}]" for name, key in keys.items()}
    whole = {name: f"TRY_CAST({cell} AS INTEGER)" for name, cell in part.items() if name not in "bpzfS"}
    if form == ISO:  # without a time it is midnight
        whole |= {name: f"coalesce({whole[name]}, 0)" for name in "HM"}
    year = whole.get("Y") or (
        f"({whole['y']} + CASE WHEN {whole['y']} < 69 THEN 2000 ELSE 1900 END)" if "y" in whole else "2000"
    )
    month = whole.get("m", "1")
    if "b" in part:
        months = ", ".join(literal(name) for name in MONTHS)
        month = f"list_position([{months}], lower(left({part['b']}, 3)))"
    elif "q" in whole:
        month = f"({whole['q']} * 3 - 2)"
    day = f"TRY_CAST(printf('%04d-%02d-%02d', {year}, {month}, {whole.get('d', '1')}) AS DATE)"
    if "W" in whole:  # the Monday of the week; the week of 4 January is the first
        first = f"date_trunc('week', TRY_CAST(printf('%04d-01-04', {year}) AS DATE))"
        day = f"({first} + to_days(7 * ({whole['W']} - 1)))::DATE"
    return day if not {"H", "I"} & set(names) else f"({day} + {_time(part, whole)})"


def _time(part: Mapping[str, str], whole: Mapping[str, str]) -> str:
    """SQL of the time of the day as an interval, less what its zone is ahead of UTC."""
    hour = whole.get("H", "")
    if "I" in whole:
        hour = f"({whole['I']} % 12 + CASE WHEN lower({part['p']})[1] IN ('p', '오') AND lower({part['p']}) <> '오전'"
        hour += " THEN 12 ELSE 0 END)"
    seconds = part.get("S", "'0'") + (f" || '.' || {part['f']}" if "f" in part else "")
    micros = f"(coalesce(TRY_CAST({seconds} AS DECIMAL(12, 6)), 0) * 1000000)::BIGINT"
    interval = f"to_microseconds(({hour} * 3600 + {whole.get('M', '0')} * 60)::BIGINT * 1000000 + {micros})"
    if "z" in part:
        zone = part["z"]
        minutes = f"coalesce(TRY_CAST(({zone}[4:]).replace(':', '') AS INTEGER), 0)"
        ahead = f"(TRY_CAST({zone}[2:3] AS INTEGER) * 3600 + {minutes} * 60)"
        interval += f" - to_seconds(CASE {zone}[1] WHEN '-' THEN -{ahead} WHEN '+' THEN {ahead} ELSE 0 END)"
    return interval


def find(db: duckdb.DuckDBPyConnection, table: str, text: str, place: Place) -> str:
    """Return the one form that fits each cell of a column, and gives it one meaning.

    Args:
        table: SQL of the rows.
        text: SQL of the cell as text.
        place: where the column is, for messages.

    Returns:
        The form; empty if the column has no value.

    Raises:
        UnreadDateError: If no form fits each cell, or forms that do give different dates.
    """
    rows = f"(SELECT DISTINCT {text} AS cell FROM {table} WHERE {text} IS NOT NULL)"
    asked = f"SELECT cell FROM {rows} ORDER BY md5(cell) LIMIT {SAMPLE_CELLS}"
    cells = [cell for (cell,) in run(db, asked, place.key).fetchall()]
    if not cells:
        return ""
    shares = fitting(cells)
    whole = [form for form, share in shares.items() if share == 1]
    misses = _misses(db, rows, whole, place)
    forms = [form for form in whole if not misses[form]]
    if not forms:
        best = min(whole, key=lambda form: misses[form]) if whole else next(iter(shares), "")
        raise UnreadDateError(_no_form(db, rows, best, shares.get(best, 0), cells, place))
    _require_one_meaning(db, rows, forms, place)
    with_year = next(form for form in forms if _has_year(form))
    _require_one_century(db, rows, with_year, place)
    return with_year


def _misses(db: duckdb.DuckDBPyConnection, rows: str, forms: Sequence[str], place: Place) -> dict[str, int]:
    """Count the distinct cells that each form does not fit."""
    if not forms:
        return {}
    counts = ", ".join(f"count(*) FILTER ({parsed('cell', form)} IS NULL)" for form in forms)
    return dict(zip(forms, run(db, f"SELECT {counts} FROM {rows}", place.key).fetchall()[0], strict=True))


def _no_form(
    db: duckdb.DuckDBPyConnection, rows: str, best: str, share: float, cells: Sequence[str], place: Place
) -> str:
    named = f"{place.key}: {place.column!r}"
    if share < MOSTLY:
        return (
            f"{named} holds text that is no date, such as {cells[0][:40]!r}, and text sorts by its letters; name its"
            f" form, as in {place.naming('%b-%Y')}, or split by a column of dates or numbers"
        )
    return f"{named} {_misfit(db, rows, best, place)}"


def _misfit(db: duckdb.DuckDBPyConnection, rows: str, form: str, place: Place) -> str:
    """Say which cells a form does not fit, and what to do about them."""
    odd = f"min(cell) FILTER ({parsed('cell', form)} IS NULL)"
    count = f"count(*) FILTER ({parsed('cell', form)} IS NULL)"
    fits = f"min(cell) FILTER ({parsed('cell', form)} IS NOT NULL)"
    cell, several, known = run(db, f"SELECT {odd}, {count}, {fits} FROM {rows}", place.key).fetchall()[0]
    more = f" and {several - 1:,} more" if several > 1 else ""
    like = f", as {known!r} is" if known else ""
    missing = not re.search("[0-9]", cell)
    if not known and (meant := next(iter(fitting([cell])), "")):
        mend = f"{meant} would fit it"
    elif missing and place.has_na:
        mend = "put it into read.na if it means missing"
    elif missing:
        mend = f"write nullif({quoted(place.column)}, {literal(cell)}) in data.query if it means missing"
    else:
        mend = "write all of them one way in data.query"
    return f"holds {cell[:40]!r}{more}, which is no date of the form {form}{like}; {mend}"


def _require_one_meaning(db: duckdb.DuckDBPyConnection, rows: str, forms: Sequence[str], place: Place) -> None:
    first = forms[0]
    for other in forms[1:]:
        one, two = parsed("cell", first), parsed("cell", other)
        asked = (
            f"SELECT cell, ({one})::VARCHAR, ({two})::VARCHAR FROM {rows} WHERE {one} <> {two} ORDER BY cell LIMIT 1"
        )
        if differ := run(db, asked, place.key).fetchall():
            cell, *dates = differ[0]
            shown = [f"{_day(date, form)} ({form})" for date, form in zip(dates, (first, other), strict=True)]
            named = next(form for form in (first, other) if _has_year(form))
            raise UnreadDateError(
                f"{place.key}: {place.column!r} can be read in two ways, {cell!r} as {shown[0]} or as {shown[1]}; say"
                f" which: {place.naming(named)}" + (f' or "{other}"' if named == first and _has_year(other) else "")
            )
    if not _has_year(first):
        cell = run(db, f"SELECT min(cell) FROM {rows}", place.key).fetchall()[0][0]
        raise UnreadDateError(
            f"{place.key}: {place.column!r} has no year in it, as in {cell!r}, so it does not tell what is older;"
            " make a date with its year in data.query"
        )


def _has_year(form: str) -> bool:
    return form == ISO or "%y" in form.lower()


def _day(date: str, form: str) -> str:
    return date if _has_year(form) else f"{date[5:]} of no year"


def _require_one_century(db: duckdb.DuckDBPyConnection, rows: str, form: str, place: Place) -> None:
    if "%y" not in form:
        return
    year = f"year({parsed('cell', form)}) % 100"
    low, high = OPEN_CENTURY
    asked = f"SELECT cell, {year} FROM {rows} WHERE {year} BETWEEN {low} AND {high} ORDER BY cell LIMIT 1"
    if found := run(db, asked, place.key).fetchall():
        cell, two = found[0]
        raise UnreadDateError(
            f"{place.key}: {place.column!r} has years of two digits, and {cell!r} can be of 19{two} or of 20{two}; say"
            f" that 69 to 99 are 19.. and the others 20..: {place.naming(form)}, or make a date with four digits in"
            " data.query"
        )


def check(db: duckdb.DuckDBPyConnection, table: str, text: str, form: str, place: Place) -> None:
    """Raise UnreadDateError that names a cell if the form that the task names does not fit each cell."""
    rows = f"(SELECT DISTINCT {text} AS cell FROM {table} WHERE {text} IS NOT NULL)"
    if _misses(db, rows, [form], place)[form]:
        raise UnreadDateError(f"{place.key}: {place.column!r} {_misfit(db, rows, form, place)}")
