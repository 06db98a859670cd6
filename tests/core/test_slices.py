"""Slices: every row is in one of an expression's parts, a missing value too; the search leaves small ones out."""

import numpy as np
import pandas as pd
import pytest

from ratchet.core import slices
from ratchet.errors import DataError

ROWS = pd.DataFrame({"sex": ["f", "m", None, "m"] * 30, "age": [25.0, 31, 38, np.nan] * 30, "a.b": range(120)})


@pytest.mark.parametrize("text", ["sex", "age // 10", "floor(age / 10)", "age > 30 and sex == 'm'"])
def test_the_parts_of_an_expression_hold_each_row_once(text):
    found = np.concatenate([part.rows for part in slices.by_expression(text, ROWS, "gates.staging[0].slices[0]")])
    assert sorted(found) == list(range(120))


def test_a_part_is_named_by_its_condition_and_a_missing_value_is_one():
    names = [part.name for part in slices.by_expression("sex", ROWS, "")]
    assert names == ["sex = 'f'", "sex = 'm'", "sex is missing"]
    assert [part.name for part in slices.by_expression("age // 10", ROWS, "")] == [
        "age // 10 = 2", "age // 10 = 3", "age // 10 is missing"
    ]  # fmt: skip


def test_an_expression_that_does_not_fit_is_told_with_its_place_and_the_nearest_column():
    with pytest.raises(DataError, match=r"gates\.production\[1\]\.slices\[0\]: .*'sexx'.*did you mean 'sex'"):
        slices.by_expression("sexx", ROWS, "gates.production[1].slices[0]")


def test_a_measure_is_no_slice():
    many = pd.DataFrame({"income": np.arange(2_000.0)})
    with pytest.raises(DataError, match=r"slices\[0\]: income has 2,000 values on test; cut it into few"):
        slices.by_expression("income", many, "gates.staging[0].slices[0]")


def test_the_search_finds_levels_quarters_and_their_crossings_of_enough_rows():
    kinds = {"sex": "category", "age": "number"}
    alone = [part.name for part in slices.searched(ROWS, kinds, 1, 25)]
    assert alone == ["sex is missing", "sex = 'm'", "sex = 'f'", "age is missing", "age <= 25", "25 < age <= 31",
                     "31 < age <= 38"]  # fmt: skip
    both = slices.searched(ROWS, {**kinds, "a.b": "number"}, 2, 5)
    assert any(" and " in part.name for part in both)
    assert min(len(part.rows) for part in both) >= 5
    assert all(len(np.unique(part.rows)) == len(part.rows) for part in both)
