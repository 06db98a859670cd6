"""The task's own rule answers in the place of a version that was withdrawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ratchet.config import Task
from ratchet.errors import RatchetError
from ratchet.scoring.cells import Levels
from ratchet.scoring.expressions import Expression, ExpressionError
from ratchet.serving.routes import Backend, Signature, Withdrawn

NO_VERSION = 0  # stands for a version where a number is kept or counted and no model answered
MARK = {"fallback": "rule"}


@dataclass(frozen=True)
class Rule:
    """The rule of a task as what answers rows that the last version could read."""

    expression: Expression
    backend: Backend

    @classmethod
    def of(cls, task: Task, withdrawn: Withdrawn) -> "Rule | None":
        """Return the rule that answers instead of a withdrawn version; None where the task has none answer.

        Args:
            task: The task, with `problem.rule` and `serving.fallback`.
            withdrawn: The version; its signature says which inputs callers send.

        Raises:
            RatchetError: The rule does not fit these inputs, so nothing can answer.
        """
        if task.serving.fallback is None or task.problem.rule is None or withdrawn.last is None:
            return None
        last = withdrawn.last
        stand_in = Backend(NO_VERSION, "", last.signature, last.sample)
        rule = cls(Expression.parse(task.problem.rule), stand_in)
        names = list(last.signature.inputs)
        samples = [[row.get(name) for name in names] for row in last.sample] or [[None] * len(names)]
        try:
            rule.answers(samples)
        except ExpressionError as error:
            raise RatchetError(f"serving.fallback: the rule does not fit the inputs: {error}") from None
        return rule

    def answers(self, cells: Sequence[Sequence[Any]], explain: bool = False) -> list[dict[str, Any]]:
        """Return one answer per row, in the form of the model's, marked as the rule's.

        Args:
            cells: Shape (rows, inputs of the signature); missing cells are None.
            explain: Whether the caller asks for reasons; the rule gives none, so the list of them is empty.

        Returns:
            {label, probability}, {label, probabilities} or {value}, with {"fallback": "rule"}. A rule knows no
            probability: it is None. So is a value or a class that the rule does not give for want of a cell.

        Raises:
            ExpressionError: The rule does not fit the inputs.
        """
        signature = self.backend.signature
        found = self.expression.evaluate(_columns(signature, cells))
        plain = [_answer(signature, value) for value in found.tolist()]
        return [{**answer, **({"reasons": []} if explain else {}), **MARK} for answer in plain]


def _columns(signature: Signature, cells: Sequence[Sequence[Any]]) -> dict[str, np.ndarray]:
    columns = zip(signature.inputs.items(), zip(*cells, strict=True), strict=True)
    return {
        name: np.array(column, dtype=float) if kind in ("number", "numeral") else _words(signature, name, column)
        for (name, (kind, _)), column in columns
    }


def _words(signature: Signature, name: str, values: Sequence[Any]) -> np.ndarray:
    """Return texts as they were written in the rows of train, where the rule was judged; None is missing."""
    column = signature.columns.get(name)
    levels = column.texts if column and column.is_text else Levels(())
    return levels.words(np.array(values, dtype=object), signature.missing)


def _answer(signature: Signature, value: Any) -> dict[str, Any]:
    is_missing = value is None or (isinstance(value, float) and np.isnan(value))
    if signature.kind == "regression":
        return {"value": None if is_missing else value}
    if signature.kind == "binary":
        is_positive = not is_missing and value != 0
        return {"label": signature.classes[int(is_positive)], "probability": None}
    return {"label": None if is_missing else _class_of(signature, value), "probabilities": None}


def _class_of(signature: Signature, value: Any) -> Any:
    """Return the class that the rule names; None if it is none of them."""
    same = (known for known in signature.classes if known == value or str(known) == str(value))
    return next(same, None)
