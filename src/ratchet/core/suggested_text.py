"""Whether a text is to be the one feature of a task.

A text is a column of long, different texts with blanks in them. It is the task's one feature where the others are at
most three, or tell nothing, and each tells less than it does.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from ratchet.core import leaks
from ratchet.core.suggestions import LONG_TEXT, Look

TEXT_ROWS, TEXT_LENGTH, FEW_COLUMNS = 2_000, 2_000, 3


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
