import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.scoring import cells
from ratchet.scoring.encode import FEW_ROWS, Column, TableEncoder, TextEncoder, from_state, numbers

LEVELS = ("서울", "b", "c", "")
CODES = (1.0, 2.5, -3.0, 0.0)
TABLE = TableEncoder(
    (
        Column("city", "category", LEVELS),
        Column("code", "category", CODES),
        Column("amount", "number"),
        Column("none", "category"),
        Column("double", "number", formula="amount * 2"),
        Column("is_b", "number", formula="city == 'b'"),
    ),
    {"city": "text", "code": "number", "amount": "number", "none": "text"},
)
CITY = st.sampled_from([*LEVELS, "unseen", None, np.nan, pd.NA, pd.NaT]) | st.text(max_size=3)
CODE = st.sampled_from([*CODES, -0.0, 7.0, np.nan, np.inf, 1e300])
AMOUNT = st.floats(allow_nan=True, allow_infinity=True)
ROW = st.tuples(CITY, CODE, AMOUNT, CITY)
NAMES = ["city", "code", "amount", "none"]


def table(rows):
    found = pd.DataFrame(rows, columns=NAMES)
    return found.astype({"city": object, "none": object})


# ---------------------------------------------------------------- tables


@given(st.lists(ROW, max_size=12))
@settings(deadline=None, max_examples=200)
def test_a_code_is_the_place_of_its_level_or_missing(rows):
    matrix = TABLE.encode(table(rows))
    assert matrix.shape == (len(rows), 6)
    assert matrix.dtype == np.float32
    for (city, code, amount, _), found in zip(rows, matrix.tolist(), strict=True):
        level = city if isinstance(city, str) and city in LEVELS else cells.text(city)  # an empty text is a level here
        assert same(found[0], LEVELS.index(level) if isinstance(city, str) and level in LEVELS else np.nan)
        assert same(found[1], CODES.index(code) if code in CODES else np.nan)
        assert same(found[2], float32(amount))
        assert np.isnan(found[3])
        assert same(found[4], float32(amount * 2))
        assert found[5] == (isinstance(city, str) and level == "b")


def same(one, other):
    return one == other or (np.isnan(one) and np.isnan(other))


def float32(number):
    with np.errstate(over="ignore"):
        narrowed = np.float32(number)
    return float(narrowed) if np.isfinite(narrowed) else np.nan


@given(st.lists(ROW, min_size=1, max_size=6), st.integers(1, 4))
@settings(deadline=None)
def test_many_rows_get_the_codes_that_they_get_one_at_a_time(rows, spare):
    many = table(rows * (FEW_ROWS // len(rows) + spare))
    assert len(many) > FEW_ROWS
    at_once = TABLE.encode(many)
    few = np.vstack([TABLE.encode(many[start : start + FEW_ROWS]) for start in range(0, len(many), FEW_ROWS)])
    alone = np.vstack([TABLE.encode(table([row])) for row in rows])
    np.testing.assert_array_equal(at_once, few)
    np.testing.assert_array_equal(at_once[: len(rows)], alone)


@pytest.mark.parametrize("count", [1, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "object"])
def test_a_table_of_numbers_alone_may_miss_some_of_them(dtype, count):
    numeric = TableEncoder((Column("x", "number"), Column("y", "number")), {"x": "number", "y": "number"})
    rows = pd.DataFrame({"x": [np.nan] * count, "y": [2.0] * count}).astype(dtype)
    np.testing.assert_array_equal(numeric.encode(rows), np.tile(np.float32([np.nan, 2]), (count, 1)))


@pytest.mark.parametrize("count", [1, FEW_ROWS + 1])
@pytest.mark.parametrize("cell", [pd.Timestamp("2024-01-02"), pd.Timedelta("1s"), 1 + 2j, "seven"], ids=str)
def test_what_is_no_number_is_refused_in_few_rows_as_in_many(cell, count):
    rows = table([("b", 2.5, 1.0, None)] * count).assign(amount=cell)
    with pytest.raises(ValueError, match=r"no number|not convert|not 'complex'|not 'Time"):
        TABLE.encode(rows)


@pytest.mark.parametrize("count", [1, FEW_ROWS + 1])
def test_a_column_that_stands_twice_is_refused_by_its_name(count):
    rows = table([("b", 2.5, 1.0, None)] * count)
    with pytest.raises(ValueError, match="'amount' stands twice"):
        TABLE.encode(pd.concat([rows, rows[["amount"]]], axis=1))


@pytest.mark.parametrize("count", [0, 1, FEW_ROWS - 1, FEW_ROWS, FEW_ROWS + 1])
def test_as_many_rows_come_out_as_went_in(count):
    matrix = TABLE.encode(table([("b", 2.5, 1.0, None)] * count))
    np.testing.assert_array_equal(matrix, np.tile(np.float32([1, 1, 1, np.nan, 2, 1]), (count, 1)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, FEW_ROWS + 1])
def test_an_absent_column_is_missing_in_each_row(name, count):
    rows = table([("b", 2.5, 1.0, None)] * count)
    matrix = TABLE.encode(rows.drop(columns=name))
    np.testing.assert_array_equal(matrix, TABLE.encode(rows.assign(**{name: None})))


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32", "Int64", "Float64", "bool", "object", "category", "str"])
def test_numbers_are_read_from_whatever_holds_them(dtype):
    values = pd.Series([1, 0, 1]).astype(dtype)
    np.testing.assert_array_equal(numbers(values), [1.0, 0.0, 1.0])


@pytest.mark.parametrize("values", [
    pd.Series([1, None, 2], dtype="Int64"), pd.Series([1.0, pd.NA, 2], dtype=object), [1, np.inf, 2], [1, None, 2],
    pd.Series([1, -np.inf, 2.0]),
], ids=str)  # fmt: skip
def test_missing_and_infinite_numbers_are_nan(values):
    np.testing.assert_array_equal(numbers(values), [1.0, np.nan, 2.0])


def test_a_text_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="abc"):
        TABLE.encode(table([("b", 1.0, 1.0, None)]).assign(amount="abc"))


@pytest.mark.parametrize("dtype", ["str", "category", "object", "string"])
def test_words_are_read_from_whatever_holds_them(dtype):
    for count in (1, FEW_ROWS + 1):
        cities = pd.Series(["서울", "b", None, "unseen"] * count).astype(dtype)
        found = TABLE.encode(pd.DataFrame({"city": cities}))[:4, 0]
        np.testing.assert_array_equal(found, [0, 1, np.nan, np.nan])


def test_the_encoder_leaves_the_callers_rows_alone():
    rows = table([("b", np.inf, 1e300, None)] * 3)
    before = rows.copy()
    TABLE.encode(rows)
    pd.testing.assert_frame_equal(rows, before)


def test_the_state_of_a_table_gives_the_same_encoder_again():
    state, arrays = TABLE.state()
    assert arrays == {}
    assert from_state(state, arrays) == TABLE


# ---------------------------------------------------------------- texts

WEIGHTS = np.linspace(1, 3, 2**13, dtype=np.float32)
TEXT = TextEncoder("text", (1, 3), (1, 2), 12, WEIGHTS)
HANGUL = st.text(st.sampled_from("가각갂나다라힣한글 ae\u0301éA!"), max_size=12)
ANY_TEXT = st.text(max_size=20) | st.sampled_from(["", " ", "👍🏽👎", "👩‍👩‍👧", "\u200b", "\x00", "\ud83d", "ﬁ ǅ İ"])


def rows_of(*texts):
    return pd.DataFrame({"text": pd.Series(texts, dtype=object)})


def dense(*texts, encoder=TEXT):
    return encoder.encode(rows_of(*texts)).toarray()


@given(HANGUL)
@settings(deadline=None, max_examples=200)
def test_a_text_means_the_same_however_its_letters_are_stored(text):
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    np.testing.assert_array_equal(*dense(composed, apart))


@given(st.lists(ANY_TEXT, max_size=6))
@settings(deadline=None, max_examples=150)
def test_each_text_is_a_row_of_length_one_or_of_nothing(texts):
    matrix = TEXT.encode(rows_of(*texts))
    assert matrix.shape == (len(texts), 2**13)
    assert matrix.dtype == np.float32
    assert (matrix.data > 0).all()
    lengths = np.sqrt((matrix.toarray().astype(float) ** 2).sum(axis=1))
    for text, length in zip(texts, lengths, strict=True):
        assert length == pytest.approx(1 if text.split() else 0, abs=1e-5)


@given(st.lists(ANY_TEXT, min_size=1, max_size=8))
@settings(deadline=None)
def test_a_text_among_others_is_what_it_is_alone(texts):
    np.testing.assert_array_equal(dense(*texts), np.vstack([dense(text) for text in texts]))


def test_a_syllable_of_hangul_is_one_letter_however_it_is_stored():
    letters = TextEncoder("text", (1, 1), None, 12, np.ones(2**12, dtype=np.float32))
    for form in ("NFC", "NFD"):
        matrix = letters.encode(rows_of(unicodedata.normalize(form, "각"), "각나"))
        assert np.diff(matrix.indptr).tolist() == [2, 3]  # with the blank around the word


def test_capitals_do_not_matter():
    np.testing.assert_array_equal(*dense("GREAT Film É", "great film é"))


def test_different_emoji_are_different():
    good, bad = dense("👍", "👎")
    assert not np.array_equal(good, bad)


@pytest.mark.parametrize("nothing", ["", " \n\t", None, np.nan, pd.NA, 5.0, ["a"]], ids=repr)
def test_what_is_no_text_has_no_ngrams(nothing):
    assert not dense(nothing, "a")[0].any()


def test_an_absent_text_has_no_ngrams():
    matrix = TEXT.encode(pd.DataFrame({"other": ["a", "b"]}))
    assert matrix.shape == (2, 2**13)
    assert matrix.nnz == 0


def test_half_an_emoji_is_read_as_a_question_mark():
    np.testing.assert_array_equal(*dense("nice \ud83d", "nice ?"))


@pytest.mark.parametrize(("characters", "words"), [((2, 3), None), (None, (1, 1)), ((1, 1), (2, 2))])
def test_the_state_of_a_text_gives_the_same_encoder_again(characters, words):
    width = 2**10 * (2 if characters and words else 1)
    encoder = TextEncoder("review", characters, words, 10, np.linspace(1, 2, width, dtype=np.float32))
    state, arrays = encoder.state()
    again = from_state(state, arrays)
    assert again == encoder
    rows = rows_of("좋은 영화", "a b c").rename(columns={"text": "review"})
    np.testing.assert_array_equal(again.encode(rows).toarray(), encoder.encode(rows).toarray())
    assert again.inputs == {"review": "text"}


def test_characters_are_taken_within_words_and_words_as_they_stand():
    by_words = TextEncoder("text", None, (1, 1), 12, np.ones(2**12, dtype=np.float32))
    np.testing.assert_array_equal(*dense("b a", "a b", encoder=by_words))
    by_characters = TextEncoder("text", (2, 2), None, 12, np.ones(2**12, dtype=np.float32))
    one, other = dense("ab", "ba", encoder=by_characters)
    assert not np.array_equal(one, other)
