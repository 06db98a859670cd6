"""Raw rows become numbers: a matrix of codes for a table, hashed n-grams for a text."""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from . import cells
from .cells import FEW_ROWS, Levels, numbers
from .expressions import Expression

MARGIN = 0.5  # of the range of train, by which a number may leave it before it is told
Arrays = Mapping[str, np.ndarray]
__all__ = ["FEW_ROWS", "Column", "Encoder", "TableEncoder", "TextEncoder", "from_state", "numbers", "plain"]


@dataclass(frozen=True)
class Column:
    """One column of the matrix: a number as it is, a category as the index of its level.

    low, high: the least and the largest number in the rows of train; has_more: whether train held further levels than
    those that were kept.
    """

    name: str
    kind: str
    levels: tuple[Any, ...] = ()
    formula: str | None = None
    low: float | None = None
    high: float | None = None
    has_more: bool = False

    @cached_property
    def texts(self) -> Levels:
        """The levels of a category of texts."""
        return Levels(self.levels)

    @cached_property
    def _places(self) -> dict[float, int]:
        return {level: place for place, level in enumerate(self.levels)}

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.levels, dtype=float)

    @cached_property
    def expression(self) -> Expression | None:
        """The parsed formula of a derived column."""
        return Expression.parse(self.formula) if self.formula else None

    @property
    def is_text(self) -> bool:
        """Whether it is a category of texts."""
        return bool(self.levels) and isinstance(self.levels[0], str)

    def places(self, values: np.ndarray, missing: Collection[str] = ()) -> np.ndarray:
        """Return the place of each value's level, shape (n,), int, or `cells.MISSING` or `cells.UNSEEN`.

        Args:
            values: shape (n,): numbers as float64, texts as objects of any kind.
            missing: texts that mean missing.
        """
        if not self.levels:
            return np.where(pd.isna(values), cells.MISSING, cells.UNSEEN)
        if self.is_text:
            return self.texts.find(values, missing)
        if len(values) <= FEW_ROWS:
            found = np.array([self._places.get(value, cells.UNSEEN) for value in values.tolist()], dtype=int)
        else:
            found = np.asarray(self._index.get_indexer(values), dtype=int)
            found[found < 0] = cells.UNSEEN
        found[np.isnan(values.astype(float))] = cells.MISSING
        return found

    @cached_property
    def bounds(self) -> tuple[float, float] | None:
        """The numbers that are expected: the range of train, and MARGIN of its width more on either side.

        Of a column whose tail falls exponentially a value beyond the largest of n comes with chance n^-(1 + MARGIN) a
        row: 1 in 30,000 for n = 1,000, where the bare range would be left by 1 in 1,000. The margin does not cross
        zero where train did not, so a negative age is always outside.
        """
        if self.low is None or self.high is None:
            return None
        margin = MARGIN * (self.high - self.low)
        low, high = self.low - margin, self.high + margin
        return (max(low, 0.0) if self.low >= 0 else low, min(high, 0.0) if self.high <= 0 else high)

    @property
    def warning(self) -> str:
        """What may be odd about a cell: unseen, range, or nothing that can be told.

        Of a category with more levels than were kept nobody can tell a rare level from a new one.
        """
        if self.kind == "category":
            return "" if self.has_more else "unseen"
        return "range" if self.bounds else ""

    @property
    def expected(self) -> str:
        """What an odd cell lacks, in words."""
        if self.warning == "range" and self.bounds:
            return f"outside {self.bounds[0]:g} to {self.bounds[1]:g}, which training gives ground for"
        return "a level that training never saw"

    def is_odd(self, values: np.ndarray, missing: Collection[str] = ()) -> np.ndarray:
        """Return which values training gives no ground for, shape (n,), bool; a missing one is not odd.

        Args:
            values: as `places` takes them.
            missing: texts that mean missing.
        """
        if self.warning == "unseen":
            return np.asarray(self.places(values, missing) == cells.UNSEEN)
        if self.warning == "range" and self.bounds:
            with np.errstate(invalid="ignore"):
                return np.asarray((values < self.bounds[0]) | (values > self.bounds[1]))
        return np.zeros(len(values), dtype=bool)

    def codes(self, values: np.ndarray, missing: Collection[str] = ()) -> np.ndarray:
        """Return the code of each value, shape (n,); a value that training never saw is NaN, like a missing one."""
        if len(values) <= FEW_ROWS and self.levels:  # as most requests have it: a plain spelling of a known level
            known = self.texts.places if self.is_text else self._places
            try:
                plain_codes = [known.get(value, cells.UNSEEN) for value in values.tolist()]
            except TypeError:  # a list or an object, which no level is
                plain_codes = [cells.UNSEEN]
            if cells.UNSEEN not in plain_codes:
                return np.array(plain_codes, dtype=float)
        found = self.places(values, missing).astype(float)
        found[found < 0] = np.nan
        return found


@dataclass(frozen=True)
class TableEncoder:
    """Rows of a table become float32 codes, shape (n, columns); NaN is missing.

    inputs: the raw columns that are read, with their kind: number or text; missing: texts that mean missing; spellings:
    how true and false are written in columns that formulas alone read.
    """

    columns: tuple[Column, ...]
    inputs: Mapping[str, str]
    missing: tuple[str, ...] = ()
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the matrix's columns."""
        return [column.name for column in self.columns]

    def encode(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the codes of the rows, shape (n, columns), float32; an absent column is missing."""
        matrix = np.empty((len(rows), len(self.columns)), dtype=np.float32)
        raw = self._raw(rows)
        words = self._words(raw) if self._read_by_formulas else raw
        with np.errstate(over="ignore"):
            for place, column in enumerate(self.columns):
                if column.expression is not None:
                    matrix[:, place] = column.expression.evaluate(words)
                elif column.kind == "category":
                    matrix[:, place] = column.codes(raw[column.name], self.missing)
                else:
                    matrix[:, place] = raw[column.name]
        matrix[np.isinf(matrix)] = np.nan  # beyond float32: one such cell would make every margin NaN
        return matrix

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns of the matrix that are raw ones."""
        return {column.name: column for column in self.columns if column.formula is None}

    @property
    def seen(self) -> dict[str, Column]:
        """What train held in each raw column, also in those of true and false that formulas alone read."""
        written = {n: Column(n, "category", words, has_more=True) for n, words in self.spellings.items()}
        return {**written, **self.by_name}

    @property
    def kinds(self) -> dict[str, str]:
        """What callers may send in each input: number, text, boolean, numeral or code.

        A numeral is a number that names a level, so its text is as good; a code is a text that is a numeral in each row
        of train, so the number is as good; a boolean is true or false, also as text.
        """
        return {name: self._kind(name, kind) for name, kind in self.inputs.items()}

    def _kind(self, name: str, kind: str) -> str:
        column = self.by_name.get(name)
        if kind == "number":
            return "numeral" if column and column.kind == "category" else "number"
        levels = self._levels(name)
        return "boolean" if levels.is_boolean else "code" if levels.are_numerals else "text"

    @cached_property
    def _read_by_formulas(self) -> tuple[str, ...]:
        """The inputs that are texts and read by formulas."""
        read = {name for column in self.columns if column.expression for name in column.expression.names}
        return tuple(name for name, kind in self.inputs.items() if kind == "text" and name in read)

    @cached_property
    def _written(self) -> Mapping[str, Levels]:
        return {name: Levels(spellings) for name, spellings in self.spellings.items()}

    def _levels(self, name: str) -> Levels:
        column = self.by_name.get(name)
        return column.texts if column and column.is_text else self._written.get(name, _NO_LEVELS)

    def words(self, name: str, values: np.ndarray) -> np.ndarray:
        """Return the cells of a column of texts as they were written in the rows of train; None is missing.

        Args:
            name: the column.
            values: shape (n,), objects.
        """
        return self._levels(name).words(values, self.missing)

    def _words(self, raw: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**raw, **{name: self.words(name, raw[name]) for name in self._read_by_formulas}}

    def evaluate(self, column: Column, rows: pd.DataFrame) -> np.ndarray:
        """Return the values of a derived column, shape (n,) or, of a constant, (1,).

        Raises ExpressionError, and ValueError as `encode`.
        """
        assert column.expression
        return column.expression.evaluate(self._words(self._raw(rows)))

    def _raw(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the inputs by name, each of shape (n,): numbers as float, texts as they are.

        Raises ValueError for a column that stands twice.
        """
        if not rows.columns.is_unique:
            raise ValueError(f"column {rows.columns[rows.columns.duplicated()][0]!r} stands twice")
        absent = set(self.inputs).difference(rows.columns)
        raw = {n: np.full(len(rows), np.nan, dtype=object if self.inputs[n] == "text" else float) for n in absent}
        if len(rows) <= FEW_ROWS:  # to take a frame apart column by column costs more than all the rest of one answer
            values = rows.to_numpy(dtype=object, na_value=np.nan, copy=True)  # uncopied it may be read-only
            places = {name: place for place, name in enumerate(rows.columns)}
            given = {name: values[:, places[name]] for name in self.inputs if name not in absent}
            return raw | {n: v if self.inputs[n] == "text" else self._numbers(n, v) for n, v in given.items()}
        for name in self.inputs.keys() - absent:
            text = self.inputs[name] == "text"
            raw[name] = rows[name].to_numpy(dtype=object) if text else self._numbers(name, rows[name])
        return raw

    def _numbers(self, name: str, values: Any) -> np.ndarray:
        try:
            return numbers(values, self.missing)
        except ValueError as error:
            raise ValueError(f"column {name!r}: {error}") from None

    def odd_cells(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return by column which rows hold a cell that training gives no ground for, each of shape (n,), bool.

        Columns without such a cell are left out; see `Column.warning`.
        """
        raw = self._raw(rows)
        checked = (column for column in self.by_name.values() if column.warning)
        found = ((column.name, column.is_odd(raw[column.name], self.missing)) for column in checked)
        return {name: is_odd for name, is_odd in found if is_odd.any()}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what `from_state` needs: plain JSON and arrays."""
        columns = [
            {"name": c.name, "kind": c.kind, "levels": list(c.levels), "formula": c.formula, "low": c.low,
             "high": c.high, "has_more": c.has_more} for c in self.columns
        ]  # fmt: skip
        spellings = {name: list(words) for name, words in self.spellings.items()}
        return {"kind": "tabular", "columns": columns, "inputs": dict(self.inputs), "missing": list(self.missing),
                "spellings": spellings}, {}  # fmt: skip


_NO_LEVELS = Levels(())


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
    missing: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """The raw columns that are read, with their kind."""
        return {self.column: "text"}

    @property
    def kinds(self) -> dict[str, str]:
        """What callers may send."""
        return self.inputs

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
        texts = [plain(v) if isinstance(v, str) and v not in self.missing else "" for v in values]
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
        plain = {"characters": self.characters, "words": self.words, "bits": self.bits, "missing": list(self.missing)}
        return {"kind": "text", "column": self.column, **plain}, {"idf": self.idf}


Encoder = TableEncoder | TextEncoder


def from_state(state: Mapping[str, Any], arrays: Arrays) -> Encoder:
    """Build the encoder of a model again from its plain state."""
    if state["kind"] == "text":
        characters, words = (tuple(state[key]) if state[key] else None for key in ("characters", "words"))
        return TextEncoder(state["column"], characters, words, state["bits"], arrays["idf"],
                           tuple(state.get("missing", ())))  # fmt: skip
    columns = (
        Column(c["name"], c["kind"], tuple(c["levels"]), c["formula"], c.get("low"), c.get("high"),
               c.get("has_more", False))
        for c in state["columns"]
    )  # fmt: skip
    spellings = {name: tuple(words) for name, words in state.get("spellings", {}).items()}
    return TableEncoder(tuple(columns), state["inputs"], tuple(state.get("missing", ())), spellings)
