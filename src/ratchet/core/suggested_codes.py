"""What in the rows looks like a code for missing.

- A word for missing stands among the numbers of a column, as `?` or `unknown`; it goes into `read.na`.
- A code for missing is a number such as 999 or -1 at the end of a column's range, far from its other values. It may
  mean what it says, so it is only remarked on.
- A level of a category whose word means missing is remarked on.
"""

import json
import re
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ratchet.core import checks
from ratchet.core.suggestions import FEW_ROWS, Look

MISSING_WORDS = {
    "?", "-", "--", "---", ".", "..", "*", "na", "n/a", "n.a.", "#n/a", "nan", "none", "nil", "null", "(null)",
    "missing", "unknown", "unk", "undefined", "not available", "not applicable", "없음", "미상", "모름",
    "해당없음", "알수없음",
}  # fmt: skip
MISSING_CODES = (-1, -9, -99, -999, -9999, 99, 999, 9999, 99999, 999999, 365243)
CODE_SHARE = 0.01
MAX_WORDS = 3


def words_for_missing(counts: Mapping[str, int], numbers: int) -> list[str]:
    """Return the words that mean missing in a column that otherwise holds numbers; [] if it does not.

    Args:
        counts: How often each text of the column stands that is no number.
        numbers: How many of its cells are numbers.
    """
    if (
        not 0 < len(counts) <= MAX_WORDS
        or numbers < sum(counts.values())
        or any(word.strip().casefold() not in MISSING_WORDS for word in counts)
    ):
        return []
    return list(counts)


def find_codes(look: Look, left_out: Iterable[str], has_query: bool) -> list[str]:
    """Return a remark for each column of numbers in which one looks like a code for missing.

    Args:
        look: What was seen.
        left_out: Columns that are not looked at.
        has_query: Whether the task asks a query already, in which the mend then belongs.
    """
    if len(look.sample) < FEW_ROWS:
        return []
    names = [name for name in look.others(left_out) if look.columns[name]["kind"] == "number"]
    coded = {name: code for name in names if (code := _code_of(look.sample[name].dropna())) is not None}
    remarks = []
    for name, code in coded.items():
        share, column = (look.sample[name] == code).mean(), sql_name(name)
        without = f"nullif({column}, {code:g})"
        query = json.dumps(f"SELECT * REPLACE ({without} AS {column}) FROM data", ensure_ascii=False)
        mend = f"write {without} in data.query" if has_query else f"add to data: query: {query}"
        remarks.append(
            f"{name}: {code:g} stands in {share:.0%} of the rows, far from the others; if it means missing, {mend}"
        )
    return remarks + checks.codes(look.sample[[name for name in names if name not in coded]])


def sql_name(name: str) -> str:
    """Return a column's name as SQL writes it, in quotes where it has to be."""
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _code_of(values: pd.Series) -> float | None:
    if values.nunique() < 5:
        return None
    for code in (float(values.min()), float(values.max())):
        others = values[values != code]
        if code not in MISSING_CODES or (values == code).mean() < CODE_SHARE:
            continue
        gap = float((others - code).abs().min())
        if gap >= max(1.0, np.ptp(others.to_numpy()) / 2) or (code == -1 and others.min() >= 0):
            return code
    return None


def find_level_words(look: Look, left_out: Iterable[str]) -> list[str]:
    """Return a remark on categories that have a level whose word means missing."""
    found: dict[str, list[str]] = {}
    for name in look.others(left_out):
        if look.columns[name]["kind"] == "text":
            for level in look.columns[name].get("levels", ()):
                if str(level).strip().casefold() in MISSING_WORDS:
                    found.setdefault(str(level), []).append(name)
    return [
        f"{word!r} is a level of its own in {', '.join(names)}; if it means missing, put it into read.na"
        for word, names in found.items()
    ]
