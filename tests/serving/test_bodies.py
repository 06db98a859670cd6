"""Bodies are read strictly, and each fault is told with its place."""

import io
import json
import math
import re
import time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.serving import bodies
from ratchet.serving.problems import Problem
from ratchet.serving.routes import Signature
from ratchet.serving.rows import Reader

INPUTS = {"AGE": ("number", True), "income": ("number", False), "city": ("text", False)}
READER = Reader(Signature(INPUTS, known=frozenset({"when"}), explains=True), "who")
ROW = {"AGE": 41, "income": 2.5, "city": "서울"}
CELLS = [[41, 2.5, "서울"]]


def read(document, kind="application/json", reader=READER):
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    return bodies.read(kind, text.encode() if isinstance(text, str) else text, reader)


def refused(document, kind="application/json", reader=READER):
    with pytest.raises(Problem) as caught:
        read(document, kind, reader)
    return caught.value


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_records": [ROW]},
        {"dataframe_split": {"columns": ["city", "AGE", "income"], "data": [["서울", 41, 2.5]]}},
        {"dataframe_split": {"columns": ["AGE", "income", "city"], "data": [[41, 2.5, "서울"]], "index": [7]}},
        {"inputs": {"AGE": [41], "income": [2.5], "city": ["서울"]}},
        {"inputs": [ROW]},
        {"instances": [ROW]},
        {"instances": {"AGE": [41], "income": [2.5], "city": ["서울"]}},
        {"dataframe_records": [ROW | {"when": "2026", "who": 7}]},
        {"instances": [ROW], "parameters": {"explain": True}},
        {"instances": [[41, 2.5, "서울"]]},
        {"inputs": [[41, 2.5, "서울"]]},
    ],
)
def test_each_of_mlflows_forms_brings_the_same_cells(document):
    assert read(document).cells == CELLS


@pytest.mark.parametrize(
    "rows", [ROW, [ROW], [[41, 2.5, "서울"]], [41, 2.5, "서울"], {"AGE": 41}, {"AGE": 41, "x": 1}, []]
)
def test_rows_without_the_name_of_a_form_are_told_how_they_are_sent_and_that_works(rows):
    told = refused(rows).detail
    assert re.match(r"it is a (row|list) without the name of a form; send \{", told)
    if not rows or (isinstance(rows, dict) and "x" in rows):
        return
    for form, inner in re.findall(r'\{"(\w+)": \[+(\{?)…', told):
        inside = rows if isinstance(rows, list) and isinstance(rows[0], dict if inner else list) else [rows]
        assert read({form: inside}).cells[0][0] == 41


def test_values_of_a_single_column_may_stand_alone():
    reader = Reader(Signature({"review": ("text", True)}))
    assert read({"instances": ["좋다", "bad"]}, reader=reader).cells == [["좋다"], ["bad"]]


@pytest.mark.parametrize(
    "missing", [{"AGE": 1}, {"AGE": 1, "income": None, "city": None}, {"AGE": 1, "income": math.nan}]
)
def test_an_absent_field_null_and_nan_mean_missing(missing):
    assert read({"dataframe_records": [missing]}).cells == [[1, None, None]]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"dataframe_records": [ROW, ROW, ROW, ROW | {"AGE": "abc"}]},
         "dataframe_records[3].AGE: expected a number, got 'abc'"),
        ({"dataframe_records": [ROW | {"AGE": True}]}, "dataframe_records[0].AGE: expected a number, got true"),
        ({"dataframe_records": [ROW | {"city": 5}]}, "dataframe_records[0].city: expected text, got 5"),
        ({"dataframe_records": [ROW | {"city": ["a"]}]}, "dataframe_records[0].city: expected text, got a list"),
        ({"dataframe_records": [{"income": 1}]}, "dataframe_records[0].AGE: is required; it may not be missing"),
        ({"dataframe_records": [{"AGE": math.nan}]}, "dataframe_records[0].AGE: is required; it may not be missing"),
        ({"dataframe_records": [ROW | {"incom": 1}]}, "dataframe_records[0].incom: no such field; did you mean 'income'?"),
        ({"dataframe_records": [7]}, "dataframe_records[0]: expected an object, got 7"),
        ({"dataframe_records": {}}, "dataframe_records: expected a list of objects, one a row, got an object"),
        ({"dataframe_records": []}, "there is no row in it"),
        ({"dataframe_split": {"columns": ["AGE"], "data": [[1], [2, 3]]}},
         "dataframe_split.data[1]: expected 1 cells, as columns has, got 2 cells"),
        ({"dataframe_split": {"columns": ["AGE", "AGE"], "data": []}},
         "dataframe_split.columns: column 'AGE' stands twice"),
        ({"dataframe_split": {"columns": ["AGE", "age"], "data": [[1, 2]]}},
         "dataframe_split.columns[1]: no such field; did you mean 'AGE'?"),
        ({"dataframe_split": {"columns": ["city", "AGE"], "data": [["a", "b"]]}},
         "dataframe_split.data[0][1]: expected a number, got 'b'"),
        ({"dataframe_split": {"columns": ["AGE"], "data": [[1]], "index": [1, 2]}},
         "dataframe_split.index: expected a list of 1, one a row"),
        ({"inputs": {"AGE": [1, 2], "city": ["a"]}}, "inputs: its lists differ in length: AGE 2, city 1"),
        ({"inputs": {"AGE": [1, "x"]}}, "inputs.AGE[1]: expected a number, got 'x'"),
        ({"instances": [[41, 2.5, "서울"], [41, 2.5]]},
         "instances[1]: expected a list of 3 values in this order: AGE, income, city; got 2 values"),
        ({"instances": [[41, 2.5, "서울"], ROW]},
         "instances[1]: expected a list of 3 values in this order: AGE, income, city; got an object"),
        ({"instances": [["서울", 41, 2.5]]}, "instances[0].AGE: expected a number, got '서울' and 1 more"),
        ({"inputs": {"AGE": 1}}, "inputs.AGE: expected a list, one value a row, got 1"),
        ({"rows": []}, "rows: no such form; known are dataframe_records"),
        ({"dataframe_record": []}, "dataframe_record: no such form; did you mean 'dataframe_records'?"),
        ({}, "expected one of dataframe_records, dataframe_split, inputs, instances, got none"),
        ({"inputs": [ROW], "instances": [ROW]}, "expected one of"),
        ({"instances": [ROW], "params": {"explian": True}}, "params.explian: no such parameter; did you mean 'explain'?"),
        ({"instances": [ROW], "params": {"reasons": 3}}, "params.reasons: goes with explain: true"),
        ({"instances": [ROW], "parameters": {"explian": True}}, "parameters.explian: no such parameter"),
        ({"instances": [ROW], "params": {"explain": 1}}, "params.explain: expected true or false, got 1"),
        ({"instances": [ROW], "params": {"explain": True, "reasons": 0}}, "params.reasons: expected a number from 1 to 50"),
        ({"instances": [ROW] * 101, "params": {"explain": True}}, "params.explain: 101 rows; reasons are given for 100"),
        ([], "it is a list without the name of a form"),
        ("5", "expected an object"),
        ('{"dataframe_records": [{"AGE": 1e999}]}', "dataframe_records[0].AGE: expected a number, got an infinite one"),
        ('{"dataframe_records": [{"AGE": -Infinity}]}', "dataframe_records[0].AGE: expected a number, got an infinite one"),
        ('{"dataframe_records": [{"AGE": 1' + "0" * 400 + "}]}", "AGE: expected a number, got one that is too large"),
        ('{"dataframe_records": [{"AGE": 1' + "0" * 5_000 + "}]}", "a number in it has too many digits"),
        ('{"dataframe_records": [{"AGE": 1, "AGE": 2}]}', "key 'AGE' stands twice in one object"),
        ('{"dataframe_records": [{"AGE" : 1, "AGE": 2}]}', "key 'AGE' stands twice in one object"),
        ('{"dataframe_records": [{"AGE": 1, "\\u0041GE": 2}]}', "key 'AGE' stands twice in one object"),
        ('{"dataframe_records": [], "dataframe_records": []}', "key 'dataframe_records' stands twice"),
        ("[" * 100_000, "it is nested too deep"),
        ('{"dataframe_records": [{"AGE": ' + "[" * 100_000, "it is nested too deep"),
        ("", "not JSON: Expecting value at line 1, column 1"),
        ('{"dataframe_records": [{"AGE": 1}]', "not JSON"),
        ("{'dataframe_records': []}", "not JSON"),
        (b'{"dataframe_records": [{"city": "\xff"}]}', "byte 33 is not UTF-8"),
    ],
)  # fmt: skip
def test_a_bad_body_is_told_with_the_place_of_its_fault(document, told):
    problem = refused(document)
    assert problem.status == 400
    assert told in problem.detail


def test_all_faults_of_a_body_are_told_at_once():
    problem = refused({"dataframe_records": [{"AGE": "a", "income": "b", "city": 1}]})
    assert [fault.path for fault in problem.faults] == [f"dataframe_records[0].{n}" for n in ("AGE", "income", "city")]


def test_what_is_told_of_a_long_value_is_short():
    assert len(refused({"dataframe_records": [ROW | {"AGE": "x" * 10_000}]}).detail) < 200


@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "application/json; charset=latin-1",
                                  "text/csv; charset=cp949"])  # fmt: skip
def test_another_type_or_charset_is_415(kind):
    assert refused({"dataframe_records": [ROW]}, kind).status == 415


@pytest.mark.parametrize("kind", ["application/json", "APPLICATION/JSON", 'application/json; charset="UTF-8"'])
def test_the_ways_to_write_json_in_utf8_are_read(kind):
    assert read({"dataframe_records": [ROW]}, kind).cells == CELLS


def test_half_an_emoji_is_let_through():
    assert read('{"dataframe_records": [{"AGE": 1, "city": "\\ud83c"}]}').cells == [[1, None, "\ud83c"]]


def test_one_entity_is_the_same_however_it_is_written():
    told = [read({"dataframe_records": [ROW | {"who": who}]}).entities for who in (7, 7.0, "7", None)]
    assert told == [["7"], ["7"], ["7"], [None]]


# ---------------------------------------------------------------- CSV and Parquet


def test_a_csv_brings_numbers_text_and_what_is_missing():
    assert read("city,AGE,income\n서울,41,2.5\n,1e3,\nNA,5,NaN\n", "text/csv").cells == [
        [41.0, 2.5, "서울"], [1000.0, None, None], [5.0, None, None]]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("AGE,city\n1,a\n2,b,c\n", "line 3: it has 3 cells where the header has 2"),
        ("AGE,city\n1\n", "line 2: it has 1 cells where the header has 2"),
        ("AGE,city\n1,a\nabc,b\n", "line 3, AGE: expected a number, got 'abc'"),
        ("AGE\n1_000\n", "line 2, AGE: expected a number, got '1_000'"),
        ("AGE\ninf\n", "line 2, AGE: expected a number, got an infinite one"),
        ("AGE,AGE\n1,2\n", "column 'AGE' stands twice"),
        ("AGE,town\n1,a\n", "no such field"),
        ('AGE,city\n1,"a\n', "unexpected end of data"),
        ("", "line 1: no column 'AGE', which is required"),
        ("city\na\n", "line 1: no column 'AGE', which is required"),
        ("AGE\n", "there is no row in it"),
    ],
)
def test_a_bad_csv_is_told_with_its_line(text, told):
    assert told in refused(text, "text/csv").detail


def test_a_csv_writes_numbers_for_people_as_the_rows_of_train_do():
    reader = Reader(Signature(INPUTS, numbers={"AGE": "1.234,56"}))
    ages = ["1.234", '"1.234,56"', '"-7,5 €"', "41"]
    found = read("\n".join(["AGE,income", *(f"{age},1.234" for age in ages)]), "text/csv", reader)
    assert [cells[:2] for cells in found.cells] == [[1234.0, 1.234], [1234.56, 1.234], [-7.5, 1.234], [41.0, 1.234]]
    told = refused("AGE\n41\n1234.56\n", "text/csv", reader).detail
    assert told == "line 3, AGE: expected a number written as 1.234,56, got '1234.56'"


PARQUET = "application/vnd.apache.parquet"


def packed(**columns):
    out = io.BytesIO()
    pd.DataFrame(columns).to_parquet(out)
    return out.getvalue()


def test_parquet_brings_the_same_cells():
    body = packed(city=["서울", None], AGE=np.array([41, 5], dtype="int32"), income=[2.5, np.nan])
    assert read(body, PARQUET).cells == [[41, 2.5, "서울"], [5, None, None]]
    body = packed(city=pd.Categorical(["서울"]), AGE=pd.Categorical([41]), income=[2.5])
    assert read(body, PARQUET).cells == CELLS


def test_a_whole_decimal_beyond_a_double_keeps_its_digits():
    reader = Reader(Signature({"code": ("code", False), "x": ("number", False)}))
    whole, tenths = Decimal("12345678901234567891"), Decimal("0.1")
    body = packed(code=[whole, None, Decimal(7)], x=[tenths, whole, None])
    assert read(body, PARQUET, reader).cells == [[str(whole), 0.1], [None, int(whole)], [7.0, None]]


def test_bad_parquet_is_told():
    assert "not Parquet" in refused(b"PAR1nonsense", PARQUET).detail
    assert "row 0, AGE: expected a number, got '1'" in refused(packed(AGE=["1", "b"]), PARQUET).detail
    assert "did you mean 'AGE'?" in refused(packed(AGEE=[1]), PARQUET).detail


def test_a_parquet_bomb_is_refused_unread():
    body = packed(AGE=np.zeros(60_000_000))
    assert len(body) < 1_000_000
    assert refused(body, PARQUET).status == 413
    for columns in ({"AGE": np.zeros(400_000), "income": np.zeros(400_000), "city": ["a"] * 400_000},
                    {"AGE": np.zeros(1_000), "city": ["x" * 500_000] * 1_000}):  # fmt: skip
        body = packed(**columns)
        assert len(body) < 100_000
        assert refused(body, PARQUET).status == 413


def test_a_parquet_column_of_lists_is_told():
    assert "columns, AGE: expected numbers" in refused(packed(AGE=[[1.0] * 3]), PARQUET).detail


def test_many_columns_of_one_name_are_told_at_once():
    body = {"dataframe_split": {"columns": ["AGE", *["city"] * 15_000], "data": []}}
    began = time.monotonic()
    assert "column 'city' stands twice" in refused(body).detail
    assert time.monotonic() - began < 0.5


# ---------------------------------------------------------------- two readers of JSON, one meaning

ODD = st.sampled_from(['"', ":", " ", "\\", "\n", "\t", "a", "b", "{", "}", ",", "[", "]", "서", "1"])
TEXTS = st.text(ODD, max_size=6)
CELL = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
RECORDS = st.fixed_dictionaries({"dataframe_records": st.lists(st.dictionaries(TEXTS, CELL, max_size=3), max_size=3)})
SPACED = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : "), (",\n", "\n:\t")])


@given(RECORDS, SPACED)
def test_the_fast_reader_of_json_and_the_strict_one_agree(document, separators):
    text = json.dumps(document, separators=separators, ensure_ascii=False)
    assert bodies.parsed(text) == bodies._strictly(text) == document


@given(st.lists(st.tuples(TEXTS, CELL), min_size=2, max_size=4), SPACED)
def test_a_key_that_stands_twice_is_never_let_through(pairs, separators):
    comma, colon = separators
    inner = comma.join(json.dumps(key) + colon + json.dumps(value) for key, value in pairs)
    text = '{"dataframe_records": [{' + inner + "}]}"
    if len({key for key, _ in pairs}) == len(pairs):
        assert bodies.parsed(text) == {"dataframe_records": [dict(pairs)]}
    else:
        with pytest.raises(Problem, match="stands twice"):
            bodies.parsed(text)


@given(st.lists(ODD | st.sampled_from(["null", "1e9", "-", '{"a":', '"a"', "NaN", "1e999", "9" * 25]), max_size=12))
def test_no_text_is_read_otherwise_by_the_fast_reader(parts):
    text = "".join(parts)

    def outcome(reader):
        try:
            return repr(reader(text))
        except Problem as problem:
            return str(problem)

    assert outcome(bodies.parsed) == outcome(bodies._strictly)
