"""The mend for a line that is not YAML: each proposal is tried, and only one that can be read is offered."""

import re
from collections.abc import Callable, Iterator

MAX_TEXT = 50_000  # characters; each proposal reads the whole text again
MAX_TRIED = 60
MAX_SHOWN = 160  # characters of a line
NO_BLANK = re.compile(r"([\w.-]+)[:：](?=\S)")
OTHER_BLANKS = "\t\u00a0\u3000"  # tab, no-break space and ideographic space, which YAML does not indent with
QUOTE_PAIRS = {"‘": "’", "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "'": "'", '"': '"'}
VALUE_STARTS = re.compile(r"""(?P<key>[\w.\-"'%@]+:\s+)|(?P<item>^\s*-\s+)|(?P<element>[\[,]\s*)""")
CLOSERS = {"[": "]", "{": "}"}


def find_mend(text: str, lines: list[int], find_error_line: Callable[[str], int | None]) -> tuple[int, str] | None:
    """Return where a text that is not YAML is to be changed, and how.

    Args:
        text: The whole text.
        lines: The places of the lines that may be at fault, counted from 0, likeliest first; the text's error is told
            of the first of them.
        find_error_line: Returns the line of the first error in a text, or None if it can be read.

    Returns:
        The place of the line, and the mend with the line as it should be; None if no proposal can be read.
    """
    rows = text.split("\n")
    if len(text) > MAX_TEXT:
        return None
    tried = 0
    for place in dict.fromkeys(place for place in lines if 0 <= place < len(rows)):
        for what, changed in _propose(rows, place):
            tried += 1
            if tried > MAX_TRIED:
                return None
            if len(changed[place]) <= MAX_SHOWN and _reads(changed, place, lines[0], find_error_line):
                return place, f"{what}: {changed[place].strip()}"
    return None


def _reads(rows: list[str], place: int, fault: int, find_error_line: Callable[[str], int | None]) -> bool:
    """Whether a text can be read, or has its first error below the fault and not because of the changed line."""
    error_line = find_error_line("\n".join(rows))
    return error_line is None or (error_line > fault and find_error_line("\n".join(rows[: place + 1])) is None)


def quote(value: str) -> str:
    """Return a text in the quotes in which YAML reads it back as it is."""
    if "'" not in value and ('"' in value or "\\" in value):
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def in_typographic_quotes(value: str) -> bool:
    """Whether a value stands between quotes of prose, which YAML takes for part of it."""
    if len(value) < 2 or value[0] in "'\"" or QUOTE_PAIRS.get(value[0]) != value[-1]:
        return False
    return not {value[0], value[-1]} & set(value[1:-1])


def _propose(rows: list[str], place: int) -> Iterator[tuple[str, list[str]]]:
    """Yield what to do, and the lines after it."""
    row = rows[place]

    def with_row(new: str) -> list[str]:
        return [*rows[:place], new, *rows[place + 1 :]]

    if any(blank in _indentation(row) for blank in OTHER_BLANKS):
        yield "indent it with blanks, no tabs", [_indented_with_blanks(line) for line in rows]
    if above := next((line for line in reversed(rows[:place]) if line.strip()), ""):
        yield "indent it like the line above", with_row(_indentation(above) + row.lstrip())
    if match := re.match(r"(\s*(?:-\s+)?[\w.-]+)(?::|\s*：\s*)(?=[^\s/])", row):
        yield "write a colon and a blank after the key", with_row(f"{match[1]}: {row[match.end() :]}")
    if closers := _missing_closers(row):
        yield "close the bracket", with_row(row.rstrip() + closers)
    for start, end in _value_spans(row):
        yield "write the value in quotes", with_row(row[:start] + quote(_without_quotes(row[start:end])) + row[end:])


def _without_quotes(value: str) -> str:
    if len(value) > 1 and QUOTE_PAIRS.get(value[0]) == value[-1]:
        return value[1:-1]
    return value[1:] if value[0] in QUOTE_PAIRS and value.count(value[0]) == 1 else value  # one that is not closed


def _indentation(row: str) -> str:
    return row[: len(row) - len(row.lstrip())]


def _indented_with_blanks(row: str) -> str:
    indentation = _indentation(row).replace("\t", "  ").replace("\u00a0", " ").replace("\u3000", "  ")
    return indentation + row.lstrip()


def _missing_closers(row: str) -> str:
    waiting: list[str] = []
    for character in row:
        if character in CLOSERS:
            waiting.append(CLOSERS[character])
        elif waiting and character == waiting[-1]:
            waiting.pop()
    return "".join(reversed(waiting))


def _value_spans(row: str) -> Iterator[tuple[int, int]]:
    """Yield where a value may begin and end, the innermost and shortest first, whole lists and mappings last."""
    elements, values = [], []
    for match in VALUE_STARTS.finditer(row):
        if row[match.end() :].startswith("&"):
            continue  # the anchor of an alias, which is meant as one
        if not match["element"]:
            values.append(match.end())
        elif _missing_closers(row[: match.end()]).startswith("]"):  # within a mapping a key stands there
            elements.append(match.end())
    for start in elements:
        end = next((start + found.start() for found in _delimiters(row[start:])), len(row.rstrip()))
        if end > start:
            yield start, end
    for start in sorted(values, key=lambda start: (row[start : start + 1] in CLOSERS, -start)):
        ends = {len(row.rstrip())}
        ends |= {start + len(row[start : start + found.start()].rstrip()) for found in _delimiters(row[start:])}
        yield from ((start, end) for end in sorted(ends) if end > start)


def _delimiters(rest: str) -> Iterator[re.Match[str]]:
    return re.finditer(r"[,\]}]|\s#\s", rest)
