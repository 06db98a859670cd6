"""Raw rows become numbers: a matrix of codes for a table, hashed n-grams for a text."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from .expressions import Expression

FEW_ROWS = 64
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Column:
    """One column of the matrix: a number as it is, a category as the index of its level."""

    name: str
    kind: str
    levels: tuple[Any, ...] = ()
    formula: str | None = None

    @cached_property
    def _codes(self) -> dict[Any, int]:
        return {level: code for code, level in enumerate(self.levels)}

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.levels, dtype=object if isinstance(self.levels[0], str) else float)

    @cached_property
    def expression(self) -> Expression | None:
        """The parsed formula of a derived column."""
        return Expression.parse(self.formula) if self.formula else None

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Return the code of each value, shape (n,); a value that training never saw is NaN, like a missing one."""
        if not self.levels:
            return np.full(len(values), np.nan)
        if len(values) <= FEW_ROWS:
            return np.array([self._codes.get(value, np.nan) for value in values.tolist()], dtype=float)
        found = np.asarray(self._index.get_indexer(values), dtype=float)
        found[found < 0] = np.nan
        return found


def numbers(values: Any) -> np.ndarray:
    """Return the values as float64, shape (n,); missing and infinite ones are NaN.

    Raises ValueError for a text or a date that is no number.
    """
    if isinstance(values, pd.Series):
        if values.dtype.kind in "mMc":
            raise ValueError(f"{values.dtype} is no number")
        values = values.to_numpy(dtype=float, na_value=np.nan)
    try:
        out = np.asarray(values, dtype=float)
    except TypeError as error:  # a date among few rows, which come as objects
        raise ValueError(str(error)) from None
    if not np.isfinite(out).all():
        out = np.where(np.isinf(out), np.nan, out)
    return out


@dataclass(frozen=True)
class TableEncoder:
    """Rows of a table become float32 codes, shape (n, columns); NaN is missing.

    inputs: the raw columns that are read, with their kind: number or text.
    """

    columns: tuple[Column, ...]
    inputs: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """Names of the matrix's columns."""
        return [column.name for column in self.columns]

    def encode(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the codes of the rows, shape (n, columns), float32; an absent column is missing."""
        matrix = np.empty((len(rows), len(self.columns)), dtype=np.float32)
        raw = self._raw(rows)
        with np.errstate(over="ignore"):
            for place, column in enumerate(self.columns):
                if column.expression is not None:
                    matrix[:, place] = column.expression.evaluate(raw)
                elif column.kind == "category":
                    matrix[:, place] = column.codes(raw[column.name])
                else:
                    matrix[:, place] = raw[column.name]
        matrix[np.isinf(matrix)] = np.nan  # beyond float32: one such cell would make every margin NaN
        return matrix

    def _raw(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the inputs by name, each of shape (n,): numbers as float, texts as they are.

        Raises ValueError for a column that stands twice.
        """
        if not rows.columns.is_unique:
            raise ValueError(f"column {rows.columns[rows.columns.duplicated()][0]!r} stands twice")
        absent = set(self.inputs).difference(rows.columns)
        raw = {n: np.full(len(rows), np.nan, dtype=object if self.inputs[n] == "text" else float) for n in absent}
        if len(rows) <= FEW_ROWS:  # to take a frame apart column by column costs more than all the rest of one answer
            cells = rows.to_numpy(dtype=object, na_value=np.nan, copy=True)  # uncopied it may be read-only
            places = {name: place for place, name in enumerate(rows.columns)}
            given = {name: cells[:, places[name]] for name in self.inputs if name not in absent}
            return raw | {n: cells if self.inputs[n] == "text" else numbers(cells) for n, cells in given.items()}
        for name in self.inputs.keys() - absent:
            text = self.inputs[name] == "text"
            raw[name] = rows[name].to_numpy(dtype=object) if text else numbers(rows[name])
        return raw

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what `from_state` needs: plain JSON and arrays."""
        columns = [
            {"name": c.name, "kind": c.kind, "levels": list(c.levels), "formula": c.formula} for c in self.columns
        ]
        return {"kind": "tabular", "columns": columns, "inputs": dict(self.inputs)}, {}


def plain(text: str) -> str:
    """Return the text in NFC and lower case; half an emoji, as a caller cuts it, becomes a question mark."""
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode()).lower()


@dataclass(frozen=True)
class TextEncoder:
    """Texts become hashed n-grams: log counts times inverse document frequency, each row of length one.

    Hashing needs no vocabulary, so the state is one array of weights, shape (features,), float16.
    """

    column: str
    characters: tuple[int, int] | None
    words: tuple[int, int] | None
    bits: int
    idf: np.ndarray = field(default_factory=lambda: np.ones(1, dtype=np.float16), compare=False)

    @property
    def inputs(self) -> dict[str, str]:
        """The raw columns that are read, with their kind."""
        return {self.column: "text"}

    @cached_property
    def _vectorizers(self) -> list[Any]:
        from sklearn.feature_extraction.text import HashingVectorizer

        common = {"n_features": 2**self.bits, "alternate_sign": False, "norm": None, "lowercase": False}
        found = []
        if self.characters:
            found.append(HashingVectorizer(analyzer="char_wb", ngram_range=self.characters, dtype=np.float32, **common))
        if self.words:
            pattern = r"(?u)\S+"
            found.append(HashingVectorizer(ngram_range=self.words, token_pattern=pattern, dtype=np.float32, **common))
        return found

    def counts(self, rows: pd.DataFrame) -> Any:
        """Return log counts of the hashed n-grams, a sparse matrix of shape (n, features), float32."""
        from scipy.sparse import hstack

        values = rows[self.column].tolist() if self.column in rows else [None] * len(rows)
        texts = [plain(v) if isinstance(v, str) else "" for v in values]
        parts = [vectorizer.transform(texts or [""]) for vectorizer in self._vectorizers]
        matrix = parts[0] if len(parts) == 1 else hstack(parts, format="csr", dtype=np.float32)
        np.log1p(matrix.data, out=matrix.data)
        return matrix if texts else matrix[:0]  # scikit-learn hashes no empty list

    def encode(self, rows: pd.DataFrame) -> Any:
        """Return the weighted n-grams of the rows, a sparse matrix of shape (n, features), float32."""
        return self.weigh(self.counts(rows))

    def weigh(self, matrix: Any) -> Any:
        """Scale log counts by inverse document frequency and each row to length one, in place."""
        matrix.data *= self.idf[matrix.indices]
        squares = np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel()
        lengths = np.sqrt(np.where(squares > 0, squares, 1)).astype(np.float32)
        matrix.data /= np.repeat(lengths, np.diff(matrix.indptr))
        return matrix

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what `from_state` needs: plain JSON and arrays."""
        plain = {"characters": self.characters, "words": self.words, "bits": self.bits}
        return {"kind": "text", "column": self.column, **plain}, {"idf": self.idf}


Encoder = TableEncoder | TextEncoder


def from_state(state: Mapping[str, Any], arrays: Arrays) -> Encoder:
    """Build the encoder of a model again from its plain state."""
    if state["kind"] == "text":
        characters, words = (tuple(state[key]) if state[key] else None for key in ("characters", "words"))
        return TextEncoder(state["column"], characters, words, state["bits"], arrays["idf"])
    columns = (Column(c["name"], c["kind"], tuple(c["levels"]), c["formula"]) for c in state["columns"])
    return TableEncoder(tuple(columns), state["inputs"])
