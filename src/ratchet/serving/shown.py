"""An answer in words: the decision, how likely it is, what pushed it, and what else might have come true."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.config import Task
from ratchet.core.labels import spelling
from ratchet.serving import forms
from ratchet.serving.routes import Backend

Label = str | int | float | bool


@dataclass(frozen=True)
class Choice:
    """A label that may be true. sent: as the form sends it, in JSON, so that 1 and "1" stay apart."""

    word: str
    sent: str


@dataclass(frozen=True)
class Reason:
    """What pushed an answer. toward: for what it speaks; is_up: whether it adds to the score; share: of the largest."""

    name: str
    value: str
    toward: str
    is_up: bool
    amount: float
    share: float


@dataclass(frozen=True)
class Piece:
    """A part of the text that was asked about; reason: of its word, where that pushed the answer."""

    text: str
    reason: Reason | None = None


@dataclass(frozen=True)
class Shown:
    """What the page says. likely: (word, probability), the likeliest first, of two classes the positive one alone.

    right: the answer's own label, none for a value; others: what else may be true, empty where that is not known.
    """

    word: str
    is_value: bool
    likely: Sequence[tuple[str, float]]
    reasons: Sequence[Reason]
    pieces: Sequence[Piece]
    right: Choice | None
    others: Sequence[Choice]


def shown(task: Task, backend: Backend, answer: Mapping[str, Any], text: str | None) -> Shown:
    """Return an answer in words. text: that was asked about, None for a table."""
    reasons = [_reason(task, reason, answer) for reason in _by_size(answer)]
    pieces = _pieces(text, _by_size(answer), reasons) if text is not None else []
    if "value" in answer:
        return Shown(f"{answer['value']:,.6g}", True, [], reasons, pieces, None, [])
    label = answer["label"]
    others = [choice(task, other) for other in _labels(task, backend, answer) if not _is_same(other, label)]
    return Shown(word(task, label), False, _likely(task, backend, answer), reasons, pieces, choice(task, label), others)


def word(task: Task, label: Label) -> str:
    """Return what a label means: of a text's two classes positive or negative, else the label itself."""
    positive = task.data.positive
    if task.features.kind == "text" and positive is not None:
        return "positive" if _is_same(label, positive) else "negative"
    return forms.cell(label)


def choice(task: Task, label: Label) -> Choice:
    """Return a label as a button has it."""
    return Choice(word(task, label), json.dumps(label, ensure_ascii=False))


def percent(share: float) -> str:
    """Return a share as people read it; never as certain as it is not."""
    if 0 < share < 0.001 or 0.999 < share < 1:
        return "< 0.1 %" if share < 0.5 else "> 99.9 %"
    return f"{share:.1%}".replace("%", " %")


def _is_same(one: Label, other: Label) -> bool:
    return one == other or spelling(one) == spelling(other)


def _likely(task: Task, backend: Backend, answer: Mapping[str, Any]) -> list[tuple[str, float]]:
    if "probabilities" in answer:
        return sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])
    if "probability" not in answer:
        return []
    positive = _positive(task, backend, answer)
    return [(word(task, positive) if positive is not None else "the second class", answer["probability"])]


def _positive(task: Task, backend: Backend, answer: Mapping[str, Any]) -> Label | None:
    """Return the class that the probability is of: where the task names none, the second in order, if it is known."""
    labels = _labels(task, backend, answer)
    if task.data.positive is not None or len(labels) != 2:
        return task.data.positive
    return sorted(labels)[1]


def _labels(task: Task, backend: Backend, answer: Mapping[str, Any]) -> list[Label]:
    """Return the classes, as far as they are known: a signature does not name them."""
    if "probabilities" in answer:
        return list(answer["probabilities"])
    known = [answer["label"], task.data.positive, *(said.get("label") for said in backend.answers)]
    if isinstance(answer["label"], int) and answer["label"] in (0, 1):
        known += [0, 1]
    found = list[Label]()
    for label in known:
        if label is not None and not any(_is_same(label, other) for other in found):
            found.append(label)
    return found


def _by_size(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(answer.get("reasons", ()), key=lambda reason: -abs(reason["contribution"]))


def _reason(task: Task, reason: Mapping[str, Any], answer: Mapping[str, Any]) -> Reason:
    amount = reason["contribution"]
    largest = max(abs(each["contribution"]) for each in answer["reasons"]) or 1.0
    name = reason["word"] if "word" in reason else reason.get("text") or reason["column"]
    value = "" if "word" in reason else forms.cell(reason.get("value")) or "missing"
    return Reason(name, value, _toward(task, reason, answer), amount > 0, amount, abs(amount) / largest)


def _toward(task: Task, reason: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    is_up, told = reason["contribution"] > 0, reason.get("toward")
    if "value" in answer:
        return "higher" if is_up else "lower"
    if told is not None:
        return word(task, told)
    if "probability" in answer and task.data.positive is not None:
        name = word(task, task.data.positive)
        return name if is_up else "negative" if name == "positive" else f"not {name}"
    return word(task, answer["label"]) if is_up else f"not {word(task, answer['label'])}"


def _pieces(text: str, said: Sequence[Mapping[str, Any]], reasons: Sequence[Reason]) -> list[Piece]:
    """Return the text cut at the words that pushed it; a place that is none, or taken already, is passed over."""
    spots = sorted(
        ((each["start"], each["end"], reason) for each, reason in zip(said, reasons, strict=True) if "start" in each),
        key=lambda spot: spot[:2],
    )
    found, done = list[Piece](), 0
    for start, end, reason in spots:
        if done <= start < end <= len(text):
            if start > done:
                found.append(Piece(text[done:start]))
            found.append(Piece(text[start:end], reason))
            done = end
    return [*found, Piece(text[done:])] if done < len(text) else found
