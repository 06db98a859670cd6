"""The ways in which people write dates, as forms in the directives of strptime, and what each form fits."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

_MONTH = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_WEEKDAY = "(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*|[월화수목금토일](?:요일)?"
# What a directive stands for, as a regular expression that Python and RE2 read alike.
PATTERNS = {
    "Y": "([12][0-9]{3})", "y": "([0-9]{2})", "m": "(1[0-2]|0?[1-9])", "b": rf"({_MONTH})\.?",
    "d": "(3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)?", "H": "(2[0-3]|[01]?[0-9])", "I": "(1[0-2]|0?[1-9])",
    "M": "([0-5]?[0-9])", "S": r"([0-5]?[0-9](?:\.[0-9]{1,9})?)", "f": "([0-9]{1,9})", "p": r"([ap]\.?m\.?|오전|오후)",
    "z": "(z|utc|gmt|[-+][0-9]{2}(?::?[0-9]{2})?)", "q": "([1-4])", "W": "(5[0-3]|[0-4]?[0-9])", "a": f"(?:{_WEEKDAY})",
}  # fmt: skip
FIXED = {"m": "(1[0-2]|0[1-9])", "d": "(3[01]|[12][0-9]|0[1-9])", "H": "(2[0-3]|[01][0-9])", "M": "([0-5][0-9])",
         "S": "([0-5][0-9])"}  # fmt: skip
ALIASES = {"B": "b", "A": "a", "V": "W", "U": "W"}
ISO = "ISO 8601"  # a day, and the time where a cell has it


def _pieces(form: str) -> Iterator[tuple[str, str]]:
    """Yield the directives and the literal characters of a form: ("Y", ""), ("", "-"), ..."""
    for directive, character in re.findall(r"%-?(.)|(.)", form, re.DOTALL):
        name = ALIASES.get(directive, directive)
        yield ("", "%") if name == "%" else (name, character)


@cache
def compiled(form: str) -> tuple[str, tuple[str, ...]]:
    """Return the regular expression of a form, and the directives that its groups hold."""
    if form == ISO:
        day, time = (
            "-".join(PATTERNS[name] for name in "Ymd"),
            f"{PATTERNS['H']}:{PATTERNS['M']}(?::{PATTERNS['S']})?",
        )
        return f"(?i)^{day}(?:[t ]{time}{PATTERNS['z']}?)?$", tuple("YmdHMSz")
    pieces, written, names = list(_pieces(form)), "", []
    for place, (name, character) in enumerate(pieces):
        if name:
            beside = {pieces[at][0] for at in (place - 1, place + 1) if 0 <= at < len(pieces)}
            is_fixed = name in FIXED and (beside & {*FIXED, "Y", "y"} or (name == "S" and "%f" in form))
            written += FIXED[name] if is_fixed else PATTERNS[name]
            names += [name] if name != "a" else []
        elif character == " ":
            written += r"\s*" if place and not pieces[place - 1][0] else r"\s+"
        else:
            written += re.escape(character)
    return f"(?i)^{written}$", tuple(names)


def _forms() -> Iterator[str]:
    """Yield the ways in which people write a day, a month, a week or a quarter."""
    for sep in ("-", "/", ".", " ", ". "):
        for order in ("Y m d", "d m Y", "m d Y", "y m d", "d m y", "m d y", "Y m", "m Y", "m y", "y m", "m d", "d m"):
            yield sep.join(f"%{name}" for name in order.split()) + ("." if sep == ". " else "")
    yield from (*COMPACT, "%Y.%m.%d.", "%d.%m.%Y.", "%Y. %m. %d", "%Y년 %m월 %d일", "%Y년 %m월", "%Y년",
                "%y년 %m월 %d일", "%y년 %m월", "%m월 %d일", "%Y년 %q분기", "%y년 %q분기", "%Y년 %W주", "%Y년 %W주차",
                "%Y년 %m월 %d일 (%a)", "%Y년 %m월 %d일(%a)", "%Y. %m. %d. (%a)",
                "%Y. %m. %d.(%a)", "%Y-%m-%d (%a)", "%Y-%m-%d(%a)")  # fmt: skip
    for sep in ("-", " ", "/", ".", ""):
        for order in ("d b Y", "b d Y", "Y b d", "b Y", "Y b", "d b y", "b y", "y b", "b d", "d b"):
            yield sep.join(f"%{name}" for name in order.split())
    yield from ("%b %d, %Y", "%b, %Y", "%d %b, %Y", "%d. %b %Y", "%b '%y", "%b'%y", "%a, %d %b %Y", "%a %d %b %Y",
                "%a %b %d %Y", "%a, %b %d, %Y", "%a %b %d, %Y", "%d-%b, %Y", "%d of %b %Y")  # fmt: skip
    for week in ("week ", "week", "w", "wk ", "wk", "kw ", "kw"):
        yield from (f"{week}%W %Y", f"{week}%W, %Y", f"{week}%W of %Y", f"{week}%W-%Y", f"{week}%W/%Y", f"%Y {week}%W",
                    f"%Y-{week}%W", f"%Y{week}%W", f"%Y, {week}%W", f"%Y/{week}%W")  # fmt: skip
    for year in ("%Y", "%y", "'%y"):
        yield from (f"q%q {year}", f"q%q-{year}", f"q%q/{year}", f"q%q{year}", f"q%q, {year}", f"{year} q%q",
                    f"{year}-q%q", f"{year}q%q", f"{year}/q%q", f"%qq {year}", f"%qq{year}", f"%qq-{year}",
                    f"{year}-%qq")  # fmt: skip


def _times() -> Iterator[str]:
    """Yield the ways in which people write the time behind the day."""
    yield ""
    for sep in (" ", "T", ", "):
        for zone in ("", "%z", " %z"):
            yield from (f"{sep}{clock}{zone}" for clock in ("%H:%M:%S", "%H:%M"))
        yield from (f"{sep}{clock}" for clock in (
            "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p", "%p %I:%M", "%p %I:%M:%S", "%H시 %M분", "%H시",
            "%H%M%S", "%H:%M:%S,%f", "%p %I시 %M분"))  # fmt: skip


WHOLE = ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", ISO)  # not a day with its time behind
COMPACT = ("%Y%m%d", "%d%m%Y", "%m%d%Y")


@cache
def _patterns() -> tuple[dict[str, re.Pattern[str]], dict[str, re.Pattern[str]]]:
    """The ways of writing a day, to be looked for at the beginning of a cell, and those of the time behind it."""
    days = {form: re.compile(compiled(form)[0].removesuffix("$")) for form in _forms()}
    return days, {form: re.compile(compiled(form)[0]) for form in (*_times(), *WHOLE)}


def fitting(cells: Sequence[str]) -> dict[str, float]:
    """Return the forms that fit at least one of the cells, with the share that each fits; the best first."""
    days, times = _patterns()
    counts: Counter[str] = Counter()
    for cell in cells:
        text = cell.strip()
        for form, pattern in days.items():
            if found := pattern.match(text):
                rest = text[found.end() :]
                counts.update(form + time for time in _times() if times[time].match(rest))
        counts.update(form for form in WHOLE if times[form].match(text))
    return {form: count / len(cells) for form, count in counts.most_common()}
