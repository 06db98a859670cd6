"""One rule for a raw cell: which spellings are one value, and which are not."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from ratchet.scoring.cells import FEW_ROWS, MISSING, UNSEEN, Levels, is_missing, merged, number, numbers, text

DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint64", "Int64", "UInt8", "float32", "float64", "Float64",
          "object", "category", "string", "int64[pyarrow]", "double[pyarrow]", "string[pyarrow]"]  # fmt: skip


@pytest.mark.parametrize("count", [1, FEW_ROWS + 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_is_the_same_in_each_dtype(dtype, count):
    values = pd.Series([41, 7] * count).astype(dtype)
    np.testing.assert_array_equal(numbers(values), [41.0, 7.0] * count)


@pytest.mark.parametrize("count", [1, FEW_ROWS + 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_code_is_the_same_level_in_each_dtype(dtype, count):
    values = pd.Series([7, 41] * count).astype(dtype).to_numpy(dtype=object)
    np.testing.assert_array_equal(Levels(("41", "7")).find(values), [1, 0] * count)


@pytest.mark.parametrize("value", [
    True, np.True_, "True", "true", "TRUE", " true ", b"true", 1, 1.0, np.int8(1), Decimal(1), "1", "1.0",
], ids=repr)  # fmt: skip
@pytest.mark.parametrize("levels", [("True", "False"), ("false", "true"), ("TRUE",)])
def test_true_is_one_value_however_it_is_written(value, levels):
    assert levels[Levels(levels).place(value)].lower() == "true"


@pytest.mark.parametrize(("levels", "places"), [
    (("True", "False", "unknown"), [0, 1]), (("?", "false", "TRUE"), [2, 1]), (("0", "1"), [1, 0]),
    (("1.0", "0.0", "2.0"), [0, 1]), (("0", "1", "true"), [2, 0]), (("True", "true", "no"), [UNSEEN, UNSEEN]),
    (("yes", "no"), [UNSEEN, UNSEEN]),
])  # fmt: skip
def test_a_boolean_is_the_one_level_that_spells_it(levels, places):
    assert [Levels(levels).place(truth) for truth in (True, False)] == places
    assert [Levels(levels).place(np.bool_(truth)) for truth in (True, False)] == places


@pytest.mark.parametrize(("value", "level"), [
    ("250.10", "250.10"), ("250.1", None), (250.1, "250.10"), (Decimal("250.1"), "250.10"), ("V58", "V58"),
    (7, "7"), (7.0, "7"), ("7.0", "7"), (np.float32(7), "7"), (" 7", "7"), ("07", None), ("7.00", None),
    (3, "003"), (3.0, "003"), ("3", None), (8, None), ("8", "8"), ("08", "08"), (9.0, "9.0"), ("9", "9.0"),
    (True, None), (float("nan"), MISSING), (None, MISSING), (pd.NaT, MISSING), ("", MISSING), ("?", MISSING),
    (" ? ", MISSING), (Decimal("NaN"), MISSING),
], ids=repr)  # fmt: skip
def test_a_level_is_found_by_a_spelling_of_its_own_and_no_other(value, level):
    known = ("250.10", "V58", "7", "003", "8", "08", "9.0")  # 8 alone does not tell which of two it is
    wanted = UNSEEN if level is None else level if isinstance(level, int) else known.index(level)
    assert Levels(known).place(value, {"?"}) == wanted
    many = np.array([value] * (FEW_ROWS + 1), dtype=object)
    assert set(Levels(known).find(many, {"?"})) == {wanted}


def test_a_whole_number_beyond_a_double_is_its_own_level_and_no_neighbours():
    levels = Levels(("12345678901234567890", "12345678901234567891"))
    assert levels.place(12345678901234567891) == 1
    assert levels.place("12345678901234567890") == 0
    assert levels.place(Decimal("12345678901234567891")) == levels.place(Decimal("12345678901234567891.0")) == 1
    assert levels.place(1.2345678901234567e19) == levels.place(Decimal("12345678901234567891.5")) == UNSEEN


def test_a_letter_means_the_same_however_it_is_stored():
    assert Levels(("서울",)).place("\u1109\u1165\u110b\u116e\u11af") == 0


def test_spellings_of_one_value_become_one_level():
    assert merged({"True": 5, "true": 3, "FALSE": 4}) == {"True": ["True", "true"], "FALSE": ["FALSE"]}
    assert merged({"7": 1, "7.0": 5, " 7": 1, "8.0": 2}) == {"7": ["7.0", " 7", "7"], "8.0": ["8.0"]}
    assert merged({" Private": 9, "Private": 1, " ?": 3}, {"?"}) == {"Private": [" Private", "Private"]}
    assert merged({"NA": 2, "male": 1, "Male": 1}, {"NA"}) == {"NA": ["NA"], "Male": ["Male"], "male": ["male"]}


@pytest.mark.parametrize(
    ("cell", "value"), [(" 41 ", 41.0), (b"1.5", 1.5), ("?", np.nan), ("", np.nan), (None, np.nan)]
)
def test_a_text_in_a_column_of_numbers_is_the_number_that_it_writes(cell, value):
    np.testing.assert_array_equal(number(cell, {"?"}), value)


@pytest.mark.parametrize("cell", ["old", "1_000", "1,5"])
def test_a_text_that_writes_no_number_is_refused(cell):
    with pytest.raises(ValueError, match="could not convert"):
        number(cell)


def test_a_date_is_neither_a_number_nor_missing():
    with pytest.raises(TypeError):
        number(datetime.date(2024, 1, 2))
    assert not is_missing(datetime.date(2024, 1, 2))
    assert text(pd.Timestamp("2024-01-02")) == "2024-01-02 00:00:00"
