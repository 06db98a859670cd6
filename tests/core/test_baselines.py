"""The dummy and the rule: what a model has to beat."""

import numpy as np
import pandas as pd
import pytest

from ratchet.config import Cost
from ratchet.core import baselines
from ratchet.errors import DataError

ROWS = pd.DataFrame({"late": [0.0, 2.0, np.nan], "city": ["서울", "부산", "서울"]})
TRUTH = np.array([0, 1, 0])


def test_the_dummy_gives_the_cheaper_constant_answer() -> None:
    seen = np.array([0, 0, 0, 1])
    assert baselines.dummy(seen, TRUTH, [0, 1], Cost()).decided.tolist() == [0, 0, 0]
    dear = Cost(false_negative=5)
    assert baselines.dummy(seen, TRUTH, [0, 1], dear).decided.tolist() == [1, 1, 1]


def test_the_dummy_of_numbers_is_the_mean_and_of_classes_the_majority() -> None:
    assert baselines.dummy(np.array([1.0, 3.0]), np.zeros(2), [], Cost()).scores.tolist() == [2.0, 2.0]
    assert baselines.dummy(np.array([2, 2, 0]), TRUTH, ["a", "b", "c"], Cost()).decided.tolist() == [2, 2, 2]


def test_a_rule_is_a_condition_and_a_missing_cell_does_not_meet_it() -> None:
    assert baselines.rule("late >= 1", ROWS, TRUTH, "binary", [0, 1]).decided.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "classes"), [("where(late > 1, 1, 0)", [0, 1, 2]), ("city", ["부산", "서울", "제주"])]
)
def test_a_rule_names_classes_by_number_or_by_text(text: str, classes: list[object]) -> None:
    decided = baselines.rule(text, ROWS, TRUTH, "multiclass", classes).decided
    assert [classes[place] for place in decided] == ([0, 1, 0] if text != "city" else ["서울", "부산", "서울"])


def test_a_rule_for_a_number_fills_what_is_missing_with_its_mean() -> None:
    assert baselines.rule("late * 10", ROWS, np.zeros(3), "regression", []).scores.tolist() == [0, 20, 10]


@pytest.mark.parametrize(
    ("text", "kind", "classes", "said"),
    [
        ("late >= '2'", "binary", [0, 1], "problem.rule: "),
        ("city", "binary", [0, 1], "gives text such as '서울'; a binary target needs a condition"),
        ("city", "regression", [], "a regression target needs a number"),
        ("city", "multiclass", ["a", "b", "c"], "gives '서울', which is no class; one of a, b, c"),
        ("late", "multiclass", [7, 8, 9], "gives 0.0, which is no class; one of 7, 8, 9"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_in_words(text: str, kind: str, classes: list[object], said: str) -> None:
    with pytest.raises(DataError) as refusal:
        baselines.rule(text, ROWS, TRUTH, kind, classes)
    assert said in str(refusal.value)
