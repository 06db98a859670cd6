"""Answers are held against what was recorded to the last bit."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ratchet.core import answers

VALUE = st.integers() | st.floats() | st.sampled_from(["", "approve", "긍정"])
ANSWER = st.dictionaries(st.sampled_from(["label", "probability", "value"]), VALUE)
ANSWERS = st.lists(ANSWER, max_size=5)


@given(ANSWERS)
def test_what_came_over_the_wire_is_alike(said: list[dict[str, Any]]) -> None:
    assert answers.difference(json.loads(json.dumps(said)), said) == ""
    assert answers.alike(said, said) == [True] * len(said)


@given(ANSWERS, ANSWER)
def test_one_answer_more_or_less_is_a_difference(said: list[dict[str, Any]], other: dict[str, Any]) -> None:
    assert "evaluate recorded nothing" in answers.difference([*said, other], said)
    assert "with nothing; evaluate" in answers.difference(said, [*said, other])


def test_the_last_bit_of_a_probability_counts_and_its_row_is_named() -> None:
    recorded = [{"label": 1, "probability": 0.1 + 0.2}, {"label": 0, "probability": 0.3}]
    answered = [{"label": 1, "probability": 0.1 + 0.2}, {"label": 0, "probability": 0.1 + 0.2}]
    told = 'it answers sample row 2 with {"label": 0, "probability": 0.30000000000000004}; evaluate recorded'
    assert answers.difference(answered, recorded).startswith(told)
