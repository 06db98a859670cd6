"""Columns of text that are mostly numbers: in which form they are written, and how they are read as numbers."""

import json
import re
from collections.abc import Sequence

import pandas as pd

from ratchet.config import numbers

MOSTLY = 0.5
SCREENED = 1_000  # distinct texts of a column that are tried before all are


def numbers_as_text(rows: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return a sentence for each column of texts of which most are numbers, with the key that reads them.

    Args:
        rows: a sample.
        names: the columns of texts.
    """
    sentences = (_sentence(name, rows[name].dropna().astype(str)) for name in names)
    return [sentence for sentence in sentences if sentence]


def _sentence(name: str, texts: pd.Series) -> str:
    counts = texts.value_counts(sort=False)
    levels = [str(level) for level in counts.index]
    if not levels or _share_of_numbers(levels[:SCREENED]) < MOSTLY:
        return ""
    plain = pd.to_numeric(pd.Series(levels), errors="coerce").notna().to_numpy()
    values = {form: [numbers.number(level, form) for level in levels] for form in numbers.FORMS}
    weights = counts.to_numpy()
    fits = {form: int(weights[[v is not None for v in found]].sum()) for form, found in values.items()}
    share = max(fits[best := max(fits, key=lambda form: fits[form])], int(weights[plain].sum())) / len(texts)
    if share < MOSTLY:
        return ""
    key, about = _key(name), f"{name}: {share:.0%} of the texts are numbers"
    written = [level for level, is_plain, value in zip(levels, plain, values[best], strict=True)
               if value is not None and not is_plain]  # fmt: skip
    if not written:
        odd = [level for level, is_plain in zip(levels, plain, strict=True) if not is_plain]
        if not odd:
            return f"{about}, {levels[0][:40]!r} is text here; read.types: {{{key}: number}} reads numbers"
        return (f"{about}, {odd[0][:40]!r} is not; put it into read.na if it means missing, else name {name} in"
                " features.categorical")  # fmt: skip
    if mixed := _mixed_units(levels):
        return f"{about}, such as {written[0][:40]!r}, but {mixed}; make them one in data.query"
    tied = [form for form in numbers.FORMS if fits[form] == fits[best]]
    other = next((form for form in tied if values[form] != values[tied[0]]), None)
    if other:
        at = next(i for i in range(len(levels)) if values[other][i] != values[tied[0]][i])
        readings = " or ".join(
            f'{values[form][at]:.15g} by read.numbers: {{{key}: "{form}"}}' for form in (tied[0], other)
        )
        return f"{about}, but {levels[at][:40]!r} is {readings}; the column does not tell which: choose one"
    text, missing = (
        written[0],
        next((v for v, value in zip(levels, values[tied[0]], strict=True) if value is None), None),
    )
    mend = f'read.numbers: {{{key}: "{tied[0]}"}} reads {text[:40]!r} as {numbers.number(text, tied[0]):.15g}'
    return f"{about}; {mend}" + (
        f"; {missing[:40]!r} is none: put it into read.na if it means missing" if missing else ""
    )


def _share_of_numbers(levels: Sequence[str]) -> float:
    patterns = [re.compile(numbers.pattern(form)) for form in numbers.FORMS]
    is_plain = pd.to_numeric(pd.Series(levels), errors="coerce").notna()
    fits = [plain or any(p.fullmatch(level) for p in patterns) for plain, level in zip(is_plain, levels, strict=True)]
    return float(sum(fits) / len(fits))


def _mixed_units(levels: Sequence[str]) -> str:
    """Return what speaks against one reading: amounts in several currencies, or with and without a percent sign."""
    found: set[str] = set()
    without = False
    for level in levels:
        units = re.findall(numbers.UNIT, level)
        found.update(unit.replace("％", "%") for unit in units)
        without |= not units and bool(re.search(r"\d", level))
    if len(found) > 1:
        return f"in several units ({', '.join(sorted(found)[:4])})"
    return "some have a percent sign and some have none" if found == {"%"} and without else ""


def _key(name: str) -> str:
    """Return a column's name as a key of YAML."""
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else json.dumps(name, ensure_ascii=False)
