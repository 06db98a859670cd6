"""Which class a label means: 1, 1.0, "1" and true are one, as files, callers and JSON write them."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")  # 007 and 1e3 are codes
TRUTHS = {"true": "1", "false": "0"}


def spelling(label: Any) -> str:
    """Return a label as text that is the same for 1, 1.0, "1", "1.0", true and "True"."""
    if isinstance(label, str):
        if label.lower() in TRUTHS:
            return TRUTHS[label.lower()]
        label = float(label) if "." in label and PLAIN_NUMBER.fullmatch(label) else label
    if isinstance(label, bool | np.bool_):
        return str(int(label))
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(float(label)) if isinstance(label, np.floating) else str(label)


class ClassIndex:
    """Finds the class that a label means: the class itself, else its text, else the one that is spelled otherwise."""

    def __init__(self, classes: Sequence[Any]) -> None:
        self._own = {_own(each): place for place, each in enumerate(classes)}
        self._texts = {str(each): place for place, each in enumerate(classes)}
        spellings = [spelling(each) for each in classes]
        counts = Counter(spellings)
        self._spellings = {text: place for place, text in enumerate(spellings) if counts[text] == 1}

    def find(self, label: Any) -> int | None:
        """Return the place of the class among the classes; None where no class is meant."""
        if label is None or isinstance(label, dict | list):
            return None
        places = (self._own.get(_own(label)), self._texts.get(str(label)), self._spellings.get(spelling(label)))
        return next((place for place in places if place is not None), None)


def _own(label: Any) -> tuple[str, Any]:
    kind = "text" if isinstance(label, str) else "truth" if isinstance(label, bool | np.bool_) else "number"
    return kind, label
