"""Margins become reasons: what each column of a row, or each word of a text, added to the margin.

Trees: SHAP values by the booster itself (Lundberg et al. 2018, TreeSHAP). Linear over a table: the terms relative to
what they are on average (Lundberg and Lee 2017, Corollary 1). Linear over texts: each n-gram's term goes to the words
that it was cut from. With the bias they add up to the margin.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from . import cells
from .encode import FEW_ROWS, Encoder, TableEncoder, TextEncoder, plain
from .margin import Constant, Margin, SparseDot, TableDot, Trees

MOST = 5
Reason = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """What the margins of a row are made of.

    named: of each part the beginning of its reason; contributions: (parts, outputs); bias: (outputs,). Their sum is
    the margins.
    """

    named: Sequence[Reason]
    contributions: np.ndarray
    bias: np.ndarray

    def top(self, output: int, toward: tuple[Any, Any], most: int, first: bool = False) -> list[Reason]:
        """Return the largest reasons for an output's margin, by size; those that add nothing are none.

        toward: what a negative and what a positive contribution speaks for; first: the positive ones come first.
        """
        own: list[float] = self.contributions[:, output].tolist()
        pushing = (at for at, contribution in enumerate(own) if contribution)
        order = sorted(pushing, key=lambda at: (first and own[at] < 0, -abs(own[at])))
        return [{**self.named[at], "contribution": own[at], "toward": toward[own[at] > 0]} for at in order[:most]]


def parts(encoder: Encoder, model: Margin, rows: pd.DataFrame, wording: Mapping[str, str] | None = None) -> list[Parts]:
    """Return what the margins of each row are made of; a constant has no parts.

    wording: how reasons are said, by column.
    """
    if isinstance(model, Constant):
        return [Parts([], np.zeros((0, len(model.values))), model.values)] * len(rows)
    if isinstance(encoder, TextEncoder):
        assert isinstance(model, SparseDot)
        return list(_of_texts(encoder, model, rows))
    assert isinstance(model, Trees | TableDot)
    if not len(rows):  # XGBoost gives no shape to the values of no rows
        return []
    matrix = encoder.encode(rows)
    found, bias = of_trees(model, matrix) if isinstance(model, Trees) else of_table(model, matrix)
    named = _columns(encoder, rows, matrix, wording or {})
    return [Parts(*each) for each in zip(named, found, bias, strict=True)]


def of_trees(model: Trees, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return SHAP values (n, columns, outputs), and the bias (n, outputs): the mean margin of the rows fitted."""
    import xgboost

    booster = model.asked_for(len(matrix))
    threads = 1 if len(matrix) <= FEW_ROWS else None
    cells = xgboost.DMatrix(matrix, feature_types=booster.feature_types, enable_categorical=True, nthread=threads)
    found = np.asarray(booster.predict(cells, pred_contribs=True, strict_shape=True), dtype=float).transpose(0, 2, 1)
    return found[:, :-1], found[:, -1]


def of_table(model: TableDot, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each column's term less its mean over the rows fitted, (n, columns, outputs), and the bias (n, outputs).

    So a column that says what it says of everybody is no reason, for a level as for a number.
    """
    plain_cells = (matrix[:, ~model.is_level] - model.mean) / model.scale
    absent = np.isnan(plain_cells)[:, :, None]
    terms = np.empty((*matrix.shape, len(model.intercept)))
    terms[:, ~model.is_level] = np.where(absent, model.missing, np.nan_to_num(plain_cells)[:, :, None] * model.weights)
    for place, start in zip(np.flatnonzero(model.is_level), model.offset, strict=True):
        codes = matrix[:, place]
        terms[:, place] = model.levels[start + np.where(np.isnan(codes), 0, codes + 1).astype(int)]
    usual = np.zeros(terms.shape[1:]) if model.usual is None else model.usual
    bias = model.intercept + usual.sum(axis=0)
    return terms - usual, np.repeat(bias[None, :], len(matrix), axis=0)


def _columns(
    encoder: TableEncoder, rows: pd.DataFrame, matrix: np.ndarray, wording: Mapping[str, str]
) -> Iterator[list[Reason]]:
    """Yield of each row its columns: their values as they were sent, those of derived ones as they came out."""
    said = [{"text": wording[name]} if name in wording else {} for name in encoder.names]
    shown: list[list[Any]] = []
    for place, column in enumerate(encoder.columns):
        if column.formula is None:
            given = rows[column.name].tolist() if column.name in rows else [None] * len(rows)
            number = encoder.inputs[column.name] == "number"
            if not number:
                given = encoder.words(column.name, np.array([*given, None], dtype=object)[:-1]).tolist()
        else:
            given, number = [str(value) for value in matrix[:, place]], True  # the shortest decimals of a float32
        shown.append([_cell(value, number, encoder.missing) for value in given])
    for row in zip(*shown, strict=True):
        yield [{"column": n, "value": v, **s} for n, v, s in zip(encoder.names, row, said, strict=True)]


def _cell(value: Any, number: bool, missing: Collection[str]) -> float | str | None:
    """Return a cell as JSON can hold it; None is missing."""
    if number:
        value = cells.number(value, missing)
        return value if math.isfinite(value) else None
    return None if value is None else whole(value)


def whole(text: str) -> str:
    """Return the text with a question mark for half an emoji, which no answer could carry; its length stays."""
    return text.encode("utf-8", "replace").decode()


def _of_texts(encoder: TextEncoder, model: SparseDot, rows: pd.DataFrame) -> Iterator[Parts]:
    matrix = encoder.encode(rows)
    texts = rows[encoder.column].tolist() if encoder.column in rows else [None] * len(rows)
    for row, text in enumerate(texts):
        words = list(re.finditer(r"\S+", text)) if isinstance(text, str) and text not in encoder.missing else []
        added = np.zeros((len(words), len(model.intercept)))
        if words:
            _share(encoder, model, matrix[row], [plain(word[0]) for word in words], added)
        named = [{"word": whole(word[0]), "start": word.start(), "end": word.end()} for word in words]
        yield Parts(named, added, model.intercept)


def _share(encoder: TextEncoder, model: SparseDot, row: Any, words: list[str], added: np.ndarray) -> None:
    """Add to the words, (words, outputs), what each n-gram that was cut from them has in the margins.

    A feature's term is shared alike by all that was hashed into it, and a run of words' share by its words.
    """
    features, first, length = _ngrams(encoder, words)
    found, place, counts = np.unique(features, return_inverse=True, return_counts=True)
    values = row.data[np.argsort(row.indices)].astype(float) / counts
    terms = (values[:, None] * model.weights[found])[place] / length[:, None]
    for further in range(length.max(initial=0)):
        holds = length > further
        np.add.at(added, first[holds] + further, terms[holds])


def _ngrams(encoder: TextEncoder, words: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each n-gram of a text its feature, its first word and how many words it spans, as scikit-learn cuts."""
    from sklearn.feature_extraction.text import FeatureHasher

    hasher = FeatureHasher(2**encoder.bits, input_type="string", alternate_sign=False)
    cut: list[list[tuple[str, int, int]]] = []
    if encoder.characters:
        spans = ((gram, at, 1) for at, word in enumerate(words) for gram in _characters(word, *encoder.characters))
        cut.append(list(spans))
    if encoder.words:
        low, high = encoder.words
        sizes = range(low, min(high, len(words)) + 1)
        cut.append([(" ".join(words[at : at + n]), at, n) for n in sizes for at in range(len(words) - n + 1)])
    features = [
        hasher.transform([[gram] for gram, _, _ in grams]).indices.astype(int) + block * 2**encoder.bits
        for block, grams in enumerate(cut)
        if grams
    ]
    every = [ngram for grams in cut for ngram in grams]
    first, length = (np.array([ngram[part] for ngram in every], dtype=int) for part in (1, 2))
    return np.concatenate([np.zeros(0, dtype=int), *features]), first, length


def _characters(word: str, low: int, high: int) -> Iterator[str]:
    """Yield the character n-grams of a word between two spaces; what is shorter than n is cut once, whole."""
    padded = f" {word} "
    for n in range(low, high + 1):
        yield from (padded[at : at + n] for at in range(max(len(padded) - n, 0) + 1))
        if n >= len(padded):
            break
