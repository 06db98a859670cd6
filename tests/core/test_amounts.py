"""What is said of a column of texts that are mostly numbers."""

import re

import pandas as pd
import pytest
import yaml

from ratchet.config import Read, numbers
from ratchet.core import amounts


def sentence(texts: list) -> str:
    found = amounts.numbers_as_text(pd.DataFrame({"price": pd.Series(texts, dtype=object)}), ["price"])
    return found[0] if found else ""


def read_as(text: str) -> list[Read]:
    """The keys that a sentence names, as a task would hold them."""
    return [Read.model_validate(yaml.safe_load(key)) for key in re.findall(r"(?<=read\.)\w+: \{[^}]*\}", text)]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["$3,444.57", "$12.00", None], [3444.57, 12]),
        (["₩2,740,000", "₩4,167,000"], [2740000, 4167000]),
        (["2,740,000원", "950원"], [2740000, 950]),
        (["2\u2009740,39", "95,5"], [2740.39, 95.5]),
        (["2'740.39", "12.5"], [2740.39, 12.5]),
        (["2.740.000", "4.167.000"], [2740000, 4167000]),
        (["27,4 %", "8,05 %"], [27.4, 8.05]),
        (["(1,200.50)", "30.25"], [-1200.5, 30.25]),
        (["12.5-", "7.25"], [-12.5, 7.25]),
        (["USD 5", "USD 10"], [5, 10]),
        (["1,234.5", "1,000"], [1234.5, 1000]),
    ],
)
def test_the_key_that_is_offered_reads_the_column(texts, values):
    (read,) = read_as(sentence(texts))
    form = read.numbers["price"]
    assert [numbers.number(text, form) for text in texts if text] == values


def test_what_two_forms_read_differently_is_told_with_both():
    told = sentence(["3,444", "1,250"])
    assert [read.numbers["price"] for read in read_as(told)] == ["1,234.56", "1.234,56"]
    assert "'3,444' is 3444 by" in told and "or 3.444 by" in told


def test_a_word_among_amounts_is_offered_for_read_na():
    assert "'n/a' is none: put it into read.na" in sentence(["$1,200.5", "n/a", "$3.25", "$4"])


@pytest.mark.parametrize(
    ("texts", "why"),
    [(["$5", "€6", "$7"], "several units"), (["5 %", "0.05", "7 %"], "percent sign")],
)
def test_amounts_in_several_units_are_not_offered_as_one(texts, why):
    assert why in sentence(texts) and not read_as(sentence(texts))


def test_plain_numbers_that_are_text_are_offered_a_type():
    assert read_as(sentence(["007", "012", "100"]))[0].types == {"price": "number"}


@pytest.mark.parametrize(
    "texts", [["a", "b", "1"], ["2024-01-05", "2024-02-06"], ["010-1234-5678"], ["1.2.3", "4.5.6"], [None]]
)
def test_texts_that_are_no_numbers_are_left_alone(texts):
    assert sentence(texts) == ""


def test_a_column_with_an_odd_name_is_offered_a_key_that_is_yaml():
    rows = pd.DataFrame({'the "price": 1': ["$1,200.5", "$3.25"]})
    (told,) = amounts.numbers_as_text(rows, list(rows))
    assert read_as(told)[0].numbers == {'the "price": 1': "1,234.56"}
