"""What a first look at the rows suggests for a task: columns to leave out, codes for missing, the id, the text.

The rules are few, and each names what it saw, so that a user can overrule it:

- An id is a column named like one whose values are all different. One that repeats names a group (`suggested_split`).
- An index counts the rows: whole numbers that rise with them, or the first column, without a name, whose whole numbers
  all differ. It is left out.
- A leak orders the target (nearly) perfectly on its own (`leaks.LEAK_STRENGTH`). It is left out.
- Parts are the few columns of which the target is put together (`leaks.find_combination`). They are left out.
- A word for missing stands among the numbers of a column, as `?` or `unknown`; it goes into `read.na`.
- A code for missing is a number such as 999 or -1 at the end of a column's range, far from its other values. It may
  mean what it says, so it is only remarked on.
- A text is a column of long, different texts with blanks in them. It is the task's one feature where the others are at
  most three, or tell nothing, and each tells less than it does.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ratchet.config import Kind
from ratchet.core import checks, leaks

FEW_ROWS = 50  # fewer say nothing about a column
LONG_TEXT = 30  # characters, on average: a text to read rather than a name
UNIQUE_SHARE, ROUGHLY_UNIQUE = 0.95, 0.8
MAX_LEVELS = 200
ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|nr|nbr|key|uid|uuid|guid)$|[_\W]no$|[a-z](Id|ID|Key|Nr|No)$|번호$|아이디$"
    r"|(user|customer|client|account|patient|member|order|person|subject|product|employee|student|session|loan)_?id$"
)
NAMELESS = re.compile(r"|column0*|unnamed.*|_c0|\.\.\.1", re.IGNORECASE)  # how readers call a column without a name
ROW_NUMBER = re.compile(r"index|level_0|row_?(names?|num|number|id|no)?s?|v1|x|#", re.IGNORECASE)
TIME_NAME = re.compile(
    r"(^|[_\W\d])(time|timestamp|ts|t|epoch|date|datetime|day|week|month|quarter|year|yr|period|created|updated)s?($|[_\W\d])"
    r"|[a-z](Time|Date|Timestamp|At)$|(date|_at|_dt)$|날짜|일자|일시|시각|연월|년월|日付|日期",
)
MISSING_WORDS = {
    "?", "-", "--", "---", ".", "..", "*", "na", "n/a", "n.a.", "#n/a", "nan", "none", "nil", "null", "(null)",
    "missing", "unknown", "unk", "undefined", "not available", "not applicable", "없음", "미상", "모름",
    "해당없음", "알수없음",
}  # fmt: skip
MISSING_CODES = (-1, -9, -99, -999, -9999, 99, 999, 9999, 99999, 999999, 365243)
CODE_SHARE = 0.01
MAX_WORDS = 3
TEXT_ROWS, TEXT_LENGTH, FEW_COLUMNS = 2_000, 2_000, 3


@dataclass(frozen=True)
class Look:
    """What was seen of the rows.

    columns: the profile of each column, by name, with its mean text length and the number of rows.
    sample: some rows in their order, all columns. answer: class index or value of each row of it, shape (n,).
    """

    target: str
    kind: Kind
    rows: int
    columns: Mapping[str, Mapping[str, Any]]
    sample: pd.DataFrame
    answer: np.ndarray

    def others(self, left_out: Iterable[str] = ()) -> list[str]:
        """Return the columns beside the target and those that are left out."""
        without = {self.target, *left_out}
        return [name for name in self.columns if name not in without]


def find_id(look: Look) -> str | None:
    """Return the first column that is named like an id and differs in each row."""
    return next((name for name in look.others() if is_named_like_id(name) and _names_each_row(look, name)), None)


def is_named_like_id(name: str) -> bool:
    """Whether a column is named as keys are: customer_id, accountNo, 고객번호."""
    return bool(ID_NAME.search(name) or ID_NAME.search(name.lower()))


def _names_each_row(look: Look, name: str) -> bool:
    entry = look.columns[name]
    if entry["kind"] == "date" or entry["missing"] or entry["length"] >= LONG_TEXT:
        return False
    return distinct_share(look, name) >= UNIQUE_SHARE and (entry["kind"] == "text" or is_whole(look.sample[name]))


def distinct_share(look: Look, name: str) -> float:
    """Return the share of a column's values that are different, 0 to 1; of many rows as a sample shows it.

    The count over all rows is an estimate that may be off by a tenth, so it decides only where it is far below.
    """
    in_sample = look.sample[name].nunique() / max(len(look.sample), 1)
    in_all = look.columns[name]["distinct"] / max(look.rows, 1)
    return float(in_all if len(look.sample) < look.rows and in_all < ROUGHLY_UNIQUE else in_sample)


def is_whole(values: pd.Series) -> bool:
    """Whether a column holds whole numbers and nothing else, missing ones aside."""
    present = values.dropna().to_numpy(dtype=float)
    return bool(len(present)) and bool(np.isfinite(present).all() and (present == np.floor(present)).all())


def find_indexes(look: Look, left_out: Iterable[str]) -> dict[str, str]:
    """Return the columns that count the rows, each with why it is left out."""
    if len(look.sample) < FEW_ROWS:
        return {}
    found = {}
    for place, name in enumerate(look.columns):
        if (
            name not in look.others(left_out)
            or look.columns[name]["kind"] != "number"
            or not is_whole(look.sample[name])
        ):
            continue
        values = look.sample[name].to_numpy(dtype=float)
        rises = not np.isnan(values).any() and bool((np.diff(values) > 0).all())
        counts = rises and values[-1] - values[0] <= 1.01 * (look.rows - 1) and not is_named_like_time(name)
        nameless = place == 0 and (NAMELESS.fullmatch(name) or (rises and ROW_NUMBER.fullmatch(name)))
        if counts or (nameless and look.sample[name].is_unique):
            found[name] = "it only counts the rows"
    return found


def is_named_like_time(name: str) -> bool:
    """Whether a column is named as times are: created_at, orderDate, year, 일자."""
    return bool(TIME_NAME.search(name) or TIME_NAME.search(name.lower()))


def find_strengths(look: Look, left_out: Iterable[str]) -> dict[str, float]:
    """Return how well each column alone orders the target, the strongest first."""
    found = {
        name: leaks.measure_strength(look.sample[name], feature, look.answer, look.kind, cut=False)
        for name in look.others(left_out)
        if (feature := _feature(look, name))
    }
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def find_leaks(look: Look, left_out: Iterable[str]) -> dict[str, str]:
    """Return the columns that give the answer away, alone or together, each with why it is left out."""
    kinds = {name: feature for name in look.others(left_out) if (feature := _feature(look, name))}
    alone = leaks.find_leaks(look.sample, kinds, look.answer, look.kind)
    given_away = {name for leak in alone for name in leak.columns}
    rest = {name: feature for name, feature in kinds.items() if name not in given_away}
    found = [*alone, *(leaks.find_leaks(look.sample, rest, look.answer, look.kind) if alone and rest else [])]
    return {name: leak.reason(look.target) for leak in found for name in leak.columns}


def _feature(look: Look, name: str) -> str:
    """Return what a column would be as a feature, number or category; empty for one that is none of them."""
    entry = look.columns[name]
    if entry["kind"] == "number":
        return "number"
    return "category" if entry["kind"] == "text" and entry["distinct"] <= MAX_LEVELS else ""


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


def find_texts(look: Look, left_out: Iterable[str]) -> list[str]:
    """Return the columns that hold texts to read, the longest first."""
    names = [name for name in look.others(left_out) if _is_text(look, name)]
    return sorted(names, key=lambda name: -look.columns[name]["length"])


def _is_text(look: Look, name: str) -> bool:
    entry = look.columns[name]
    if entry["kind"] != "text" or entry["length"] < LONG_TEXT or entry["distinct"] < look.rows / 2:
        return False
    texts = look.sample[name].dropna().astype(str).head(1_000)
    return bool(texts.str.contains(r"\S[\s\u3000-\u9fff\uac00-\ud7a3]+\S", regex=True).mean() > 0.5)


def score_text(look: Look, name: str) -> float:
    """Return how well a text tells the target on rows that were not learned from; see `leaks.measure_strength`."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge

    rows = min(len(look.sample), TEXT_ROWS)
    places = np.random.default_rng(0).permutation(len(look.sample))[:rows]
    texts = look.sample[name].iloc[places].fillna("").astype(str).str.slice(0, TEXT_LENGTH)
    answer = look.answer[places]
    matrix = HashingVectorizer(n_features=2**16, token_pattern=r"(?u)\S+").transform(texts)
    learn, tell = slice(0, rows // 2), slice(rows // 2, rows)
    if len(np.unique(answer[learn])) < 2:
        return 0.0
    model = Ridge() if look.kind == "regression" else LogisticRegression(C=10.0, max_iter=200)
    model.fit(matrix[learn], answer[learn])
    told = model.decision_function(matrix[tell]) if look.kind == "binary" else model.predict(matrix[tell])
    feature = "category" if look.kind == "multiclass" else "number"
    return leaks.measure_strength(pd.Series(told), feature, answer[tell], look.kind, cut=False)


def choose_text(look: Look, texts: Sequence[str], strengths: Mapping[str, float]) -> str | None:
    """Return the text that is to be the task's one feature, or None where a table tells more.

    Args:
        look: What was seen.
        texts: The columns that hold texts.
        strengths: How well each other column alone orders the target.
    """
    chance = (0.0 if look.kind == "regression" else 0.5) + 0.05 + 2 / np.sqrt(max(len(look.sample), 1))
    useful = [value for value in strengths.values() if value > chance]
    if not texts or (useful and len(strengths) > FEW_COLUMNS):
        return None
    if not strengths and len(texts) == 1:
        return texts[0]
    scores = {name: score_text(look, name) for name in texts}
    best = max(scores, key=lambda name: scores[name])
    return best if not strengths or scores[best] > max([chance, *useful]) else None


def in_words(strengths: Mapping[str, float], most: int = 3) -> str:
    """Return the strongest columns with their figures."""
    return ", ".join(f"{name} {value:.2f}" for name, value in list(strengths.items())[:most])
