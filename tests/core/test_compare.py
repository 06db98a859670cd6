"""Two tables of predictions are the same only if every bit is."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.core.compare import predictions

SCORES = st.lists(st.floats(), min_size=1, max_size=20)


def table(scores: list[float], labels: list[object] | None = None) -> pd.DataFrame:
    return pd.DataFrame({"label": labels or ["yes"] * len(scores), "probability": np.array(scores)})


@given(SCORES)
def test_a_table_is_the_same_as_itself_whatever_it_holds(scores: list[float]) -> None:
    apart = predictions(table(scores), table(scores))
    assert apart and (apart.is_identical, apart.largest, apart.decided) == (True, 0.0, 0.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.data())
def test_the_last_bit_of_one_score_is_noticed(scores: list[float], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(scores) - 1))
    moved = [*scores[:place], float(np.nextafter(scores[place], 2)), *scores[place + 1 :]]
    apart = predictions(table(scores), table(moved))
    assert apart and not apart.is_identical
    assert apart.largest == moved[place] - scores[place]


def test_zero_and_minus_zero_are_not_the_same_bits_but_no_distance_apart() -> None:
    apart = predictions(table([0.0]), table([-0.0]))
    assert apart and (apart.is_identical, apart.largest) == (False, 0.0)


def test_a_score_that_became_nan_is_as_far_as_can_be() -> None:
    apart = predictions(table([0.5]), table([float("nan")]))
    assert apart and (apart.is_identical, apart.largest) == (False, float("inf"))


def test_other_labels_are_counted_though_the_scores_are_the_same() -> None:
    apart = predictions(table([0.5] * 4), table([0.5] * 4, ["yes", "no", "yes", "yes"]))
    assert apart and (apart.is_identical, apart.largest, apart.decided) == (False, 0.0, 0.25)


@pytest.mark.parametrize("other", [table([0.5]), table([0.5, 0.5]).rename(columns={"probability": "value"})])
def test_what_answers_another_question_is_not_compared(other: pd.DataFrame) -> None:
    assert predictions(table([0.5, 0.5]), other) is None
