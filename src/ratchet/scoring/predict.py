"""Margins become an answer: a calibrated probability, a label by the threshold, or a value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import encode, explain, margin


def sigmoid(margins: np.ndarray) -> np.ndarray:
    """Return probabilities of log odds, same shape, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * margins)))


def softmax(margins: np.ndarray) -> np.ndarray:
    """Return probabilities of scores, shape (n, classes); each row adds up to 1."""
    shifted = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Calibration:
    """What turns margins into probabilities: p = sigmoid(slope * margin + intercept), or softmax(slope * margins).

    Source: Platt 1999 for two classes; temperature scaling, Guo et al. 2017, for several.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def probabilities(self, margins: np.ndarray) -> np.ndarray:
        """Return probabilities, the shape of the margins."""
        if margins.ndim == 1:
            return sigmoid(self.slope * margins + self.intercept)
        return softmax(self.slope * margins)


@dataclass(frozen=True)
class Scorer:
    """A whole model: rows in, answers out.

    kind: binary, multiclass or regression; classes: the labels, for binary (negative, positive); wording: how its
    reasons are said, by column.
    """

    kind: str
    classes: tuple[Any, ...]
    encoder: encode.Encoder
    model: margin.Margin
    calibration: Calibration = Calibration()
    threshold: float = 0.5
    wording: Mapping[str, str] = field(default_factory=dict)

    def scores(self, rows: pd.DataFrame) -> np.ndarray:
        """Return P(positive), shape (n,); class probabilities, (n, classes); or values, (n,), for regression."""
        return self.scores_of(self.encoder.encode(rows))

    def scores_of(self, matrix: Any) -> np.ndarray:
        """Return the scores of rows that are encoded already."""
        margins = self.model.margins(matrix)
        return margins if self.kind == "regression" else self.calibration.probabilities(margins)

    def decisions(self, scores: np.ndarray) -> np.ndarray:
        """Return the index of the chosen class of each row, shape (n,), int; regression has no decisions."""
        if scores.ndim == 1:
            return (scores >= self.threshold).astype(int)
        return np.asarray(scores.argmax(axis=1))

    def columns(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the answers by column, each of shape (n,): label and probability, probabilities.CLASS, or value."""
        scores = self.scores(rows)
        if self.kind == "regression":
            return {"value": scores}
        found = {"label": np.array(self.classes)[self.decisions(scores)]}
        if self.kind == "binary":
            return found | {"probability": scores}
        return found | {f"probabilities.{name}": scores[:, place] for place, name in enumerate(self.classes)}

    def predict(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Return one answer per row: {label, probability}, {label, probabilities} or {value}."""
        scores = self.scores(rows)
        if self.kind == "regression":
            return [{"value": value} for value in scores.tolist()]
        labels = [self.classes[chosen] for chosen in self.decisions(scores).tolist()]
        if self.kind == "binary":
            pairs = zip(labels, scores.tolist(), strict=True)
            return [{"label": label, "probability": score} for label, score in pairs]
        names = [str(label) for label in self.classes]
        return [
            {"label": label, "probabilities": dict(zip(names, row, strict=True))}
            for label, row in zip(labels, scores.tolist(), strict=True)
        ]

    def explain(self, rows: pd.DataFrame, most: int = explain.MOST) -> list[dict[str, Any]]:
        """Return the answers of `predict`, each with its `reasons`: the largest parts of its margin, at most so many.

        Of two classes it is the margin of the positive one, and where that is the answer, what speaks for it comes
        first; of several it is the margin of the class that was chosen. Raises ValueError for less than one.
        """
        if most < 1:
            raise ValueError(f"reasons: {most}; ask for 1 or more")
        answers = self.predict(rows)
        for answer, parts in zip(answers, explain.parts(self.encoder, self.model, rows, self.wording), strict=True):
            if self.kind == "regression":
                reasons = parts.top(0, ("lower", "higher"), most)
            elif self.kind == "binary":
                is_positive = self.classes.index(answer["label"]) == 1
                reasons = parts.top(0, (self.classes[0], self.classes[1]), most, first=is_positive)
            else:
                reasons = parts.top(self.classes.index(answer["label"]), (None, answer["label"]), most)
            answer["reasons"] = reasons
        return answers

    def save(self, folder: Path) -> None:
        """Write the state as plain data: JSON, npy, UBJ."""
        folder.mkdir(parents=True, exist_ok=True)
        encoder, arrays = self.encoder.state()
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        spec = {
            "format": 1,
            "kind": self.kind,
            "classes": list(self.classes),
            "encoder": {**encoder, "arrays": sorted(arrays)},
            "model": self.model.save(folder),
            "calibration": vars(self.calibration),
            "threshold": self.threshold,
            "reasons": dict(self.wording),
        }
        (folder / "scorer.json").write_text(json.dumps(spec, ensure_ascii=False, indent=1), encoding="utf-8")


def load(folder: Path) -> Scorer:
    """Read a scorer back from the folder that `Scorer.save` wrote."""
    spec: Mapping[str, Any] = json.loads((folder / "scorer.json").read_text(encoding="utf-8"))
    arrays = {n: np.load(folder / f"{n}.npy", allow_pickle=False) for n in spec["encoder"]["arrays"]}
    return Scorer(
        spec["kind"],
        tuple(spec["classes"]),
        encode.from_state(spec["encoder"], arrays),
        margin.load(spec["model"], folder),
        Calibration(**spec["calibration"]),
        spec["threshold"],
        spec.get("reasons", {}),
    )
