"""Numbers become margins: log odds of the positive class, scores per class, or the value itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .encode import FEW_ROWS


class Margin(Protocol):
    """A fitted model as plain state: `margins` maps a matrix (n, d) to (n,), or (n, classes) for several classes."""

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the margins of the rows."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Write arrays and boosters into the folder; return the JSON part of the state."""
        ...


def _squeezed(margins: np.ndarray) -> np.ndarray:
    return margins[:, 0] if margins.shape[1] == 1 else margins


@dataclass(frozen=True)
class Constant:
    """The dummy: the same margins for every row, shape (outputs,)."""

    values: np.ndarray

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the constant for each row."""
        return _squeezed(np.repeat(self.values[None, :], matrix.shape[0], axis=0))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write nothing: the constants are JSON."""
        return {"margin": "constant", "values": self.values.tolist()}


@dataclass(frozen=True)
class SparseDot:
    """A linear model over a sparse matrix: weights (features, outputs), intercept (outputs,)."""

    weights: np.ndarray
    intercept: np.ndarray

    def margins(self, matrix: Any) -> np.ndarray:
        """Return weights times rows plus intercept."""
        return _squeezed(np.asarray(matrix @ self.weights, dtype=float) + self.intercept)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the weights as npy."""
        np.save(folder / "weights.npy", self.weights)
        return {"margin": "sparse_dot", "intercept": self.intercept.tolist()}


@dataclass(frozen=True)
class TableDot:
    """A linear model over the codes of a table, without ever making the one-hot matrix.

    is_level: (columns,) which columns are categories. Numbers are centred by `mean` and divided by `scale`, missing
    ones count as the mean plus a weight of their own. A category looks its weight up in `levels`, whose rows
    `offset[column]` onward belong to it: first missing or unseen, then its levels. usual: (columns, outputs), what each
    column adds on average over the rows fitted, to explain what it adds to one; not needed to answer.
    """

    is_level: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    missing: np.ndarray
    levels: np.ndarray
    offset: np.ndarray
    intercept: np.ndarray
    usual: np.ndarray | None = None

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the dot product of weights and rows plus intercept."""
        plain = (matrix[:, ~self.is_level] - self.mean) / self.scale
        absent = np.isnan(plain)
        out = np.where(absent, 0.0, plain) @ self.weights + absent @ self.missing + self.intercept
        for place, start in zip(np.flatnonzero(self.is_level), self.offset, strict=True):
            codes = matrix[:, place]
            out += self.levels[start + np.where(np.isnan(codes), 0, codes + 1).astype(int)]
        return _squeezed(out)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the arrays as npy."""
        arrays = {name: array for name, array in vars(self).items() if array is not None}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        return {"margin": "table_dot", "arrays": sorted(arrays)}


@dataclass(frozen=True)
class Trees:
    """An XGBoost booster, asked for margins."""

    booster: Any

    @cached_property
    def _alone(self) -> Any:
        """The booster in one thread: for a few rows a team of them costs more than it saves, the more so when busy."""
        alone = self.booster.copy()
        alone.set_param({"nthread": 1})
        return alone

    def asked_for(self, rows: int) -> Any:
        """Return the booster that so many rows are put to."""
        return self._alone if rows <= FEW_ROWS else self.booster

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the booster's margins."""
        booster = self.asked_for(matrix.shape[0])
        return np.asarray(booster.inplace_predict(matrix, predict_type="margin"), dtype=float)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the booster as UBJ."""
        self.booster.save_model(folder / "booster.ubj")
        return {"margin": "trees"}


def load(state: Mapping[str, Any], folder: Path) -> Margin:
    """Read a margin back from its folder; no pickle is ever opened."""
    if state["margin"] == "constant":
        return Constant(np.array(state["values"], dtype=float))
    if state["margin"] == "sparse_dot":
        return SparseDot(_array(folder, "weights"), np.array(state["intercept"], dtype=float))
    if state["margin"] == "table_dot":
        return TableDot(**{name: _array(folder, name) for name in state["arrays"]})
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(folder / "booster.ubj")
    return Trees(booster)


def _array(folder: Path, name: str) -> np.ndarray:
    return np.asarray(np.load(folder / f"{name}.npy", allow_pickle=False))
