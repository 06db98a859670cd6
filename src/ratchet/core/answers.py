"""Whether a model server says of its sample rows what was recorded, to the last bit."""

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any


def alike(answered: Sequence[Any], recorded: Sequence[Any]) -> list[bool]:
    """Return for each row whether both say the same."""
    return [_text(one) == _text(other) for one, other in zip_longest(answered, recorded)]


def difference(answered: Sequence[Any], recorded: Sequence[Any]) -> str:
    """Return the first row that differs and both answers, in words; an empty string where all are alike."""
    same = alike(answered, recorded)
    if all(same):
        return ""
    row = same.index(False)
    got, wanted = (_text(side[row]) if row < len(side) else "nothing" for side in (answered, recorded))
    return f"it answers sample row {row + 1} with {got}; evaluate recorded {wanted}"


def _text(answer: Any) -> str:
    return json.dumps(answer)
