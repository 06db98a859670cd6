import datetime
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.config import Features, Task
from ratchet.core import features
from ratchet.core.features import Plan
from ratchet.core.models.sample import level_counts
from ratchet.errors import DataError


def task(data=None, split=None, rule=None, **sections):
    data = {"sources": {"rows": {"uris": ["rows.csv"]}}, "target": "churned"} | (data or {})
    return Task.model_validate({
        "name": "small", "data": data, "features": sections,
        "split": split or {"by": "hash"}, "problem": {"rule": rule},
    })  # fmt: skip


def column(name, kind="number", missing=0.0, distinct=50, rows=1000, **more):
    return {"name": name, "kind": kind, "missing": missing, "distinct": distinct, "rows": rows, **more}


PROFILE = [
    column("customer", distinct=1000),
    column("income", missing=0.2),
    column("region", "text", distinct=5, levels=["서울", "부산"]),
    column("plan_code", distinct=4),
    column("joined", "date"),
    column("remark", "text", distinct=700),
    column("blank", missing=1.0, distinct=0),
    column("currency", "text", distinct=1, levels=["KRW"]),
    column("flag", missing=0.5, distinct=1),
    column("later", "text", distinct=3),
    column("churned", distinct=2),
    column("risk", distinct=1000),
]


def plan(profile=PROFILE, **keywords):
    return features.plan(task(**keywords), profile)


def refusal(profile=PROFILE, **keywords):
    with pytest.raises(DataError) as caught:
        plan(profile, **keywords)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# ---------------------------------------------------------------- the plan of a table


def test_each_column_is_a_number_or_a_category_or_left_out_for_a_reason():
    found = plan(data={"id": "customer", "drop": ["later"], "truth": "risk"}, categorical=["plan_code"])
    assert found.kinds == {"income": "number", "region": "category", "plan_code": "category", "flag": "number"}
    assert found.dropped == {
        "customer": "the id",
        "churned": "the target",
        "risk": "the true probability",
        "later": "named in data.drop",
        "joined": "a date; make a number of it in data.query if it should count",
        "remark": "about 700 distinct texts: names rows; name it in features.categorical to keep it",
        "blank": "no value in any row",
        "currency": "the same value in each row",
    }
    assert set(found.kinds) | set(found.dropped) == {entry["name"] for entry in PROFILE}


def test_a_category_of_many_levels_stays_one_if_it_is_named_or_its_levels_are_shared_by_many_rows():
    assert plan(categorical=["remark"]).kinds["remark"] == "category"
    assert plan(max_levels=700).kinds["remark"] == "category"
    crowded = [column("churned"), column("postcode", "text", distinct=700, rows=100_000)]
    assert plan(crowded).kinds == {"postcode": "category"}
    sparse = [column("churned"), column("age"), column("postcode", "text", distinct=700, rows=100_000, missing=0.99)]
    assert "postcode" in plan(sparse).dropped


@pytest.mark.parametrize("split", [
    {"by": "time", "column": "plan_code"}, {"by": "column", "column": "plan_code", "train": [1], "test": [2]},
], ids=lambda split: split["by"])  # fmt: skip
def test_the_column_that_names_the_side_of_the_split_is_no_feature(split):
    assert plan(split=split).dropped["plan_code"] == "names the side of the split"


def test_columns_that_group_the_rows_stay_features():
    assert "region" in plan(split={"by": "group", "columns": ["region"]}).kinds


@pytest.mark.parametrize(("sections", "message"), [
    ({"categorical": ["regoin"]}, "features.categorical: no column 'regoin'; did you mean 'region'?"),
    ({"numeric": ["incom"]}, "features.numeric: no column 'incom'; did you mean 'income'?"),
    ({"derive": {"rich": "incme > 3"}}, "features.derive.rich: no column 'incme'; did you mean 'income'?"),
    ({"rule": "regin == 'x'"}, "problem.rule: no column 'regin'; did you mean 'region'?"),
    ({"numeric": ["region"]}, "features.numeric: 'region' holds text, such as '서울'"),
    ({"numeric": ["remark"]}, "features.numeric: 'remark' holds text, such as '?'"),
    ({"derive": {"income": "flag * 2"}},
     "features.derive.income: a column of that name is in the data; choose another"),
    ({"categorical": ["joined"]},
     "features.categorical: 'joined' holds dates; make text or a number of it in data.query"),
    ({"derive": {"age": "income - joined"}},
     "features.derive.age: 'joined' holds dates; make a number of it in data.query"),
    ({"rule": "missing(joined)"}, "problem.rule: 'joined' holds dates; make a number of it in data.query"),
    ({"derive": {"hint": "where(churned == 1, 2, income)"}},
     "features.derive.hint: reads 'churned', which is not known beforehand"),
    ({"derive": {"hint": "log(risk)"}, "data": {"truth": "risk"}},
     "features.derive.hint: reads 'risk', which is not known beforehand"),
], ids=str)  # fmt: skip
def test_what_cannot_be_a_feature_is_refused_at_its_place(sections, message):
    assert refusal(**sections) == message


def test_a_table_without_a_feature_is_refused():
    alone = [column("churned"), column("joined", "date"), column("blank", missing=1.0)]
    assert refusal(alone).startswith("features: no column is left to learn from")
    kept = plan([*alone, column("income")], data={"drop": ["income"]}, derive={"rich": "income > 3"})
    assert (kept.kinds, kept.formulas) == ({}, {"rich": "income > 3"})


def test_a_formula_may_read_a_column_that_is_no_feature_itself():
    found = plan(data={"drop": ["income"], "id": "customer"}, derive={"odd": "income % 2 + customer"})
    assert features.formula_columns(found.formulas) == ["customer", "income"]


# ---------------------------------------------------------------- the plan of a text


def texts(**more):
    return [column("id"), column("review", "text", distinct=900), column("stars"), column("churned")] + [
        column(name, kind) for name, kind in more.items()
    ]


def test_the_only_text_that_is_left_is_the_text():
    found = plan(texts(), kind="text", data={"id": "id"})
    assert found.kinds == {"review": "text"}
    assert found.dropped == {"id": "the id", "churned": "the target", "stars": "not the text"}


def test_of_several_texts_one_has_to_be_named():
    assert refusal(texts(title="text"), kind="text") == "features.text: 2 text columns (review, title); name one"
    assert refusal([column("churned"), column("stars")], kind="text") == "features.text: 0 text columns (); name one"
    found = plan(texts(title="text"), kind="text", text="title")
    assert found.kinds == {"title": "text"}
    assert found.dropped["review"] == "not the text"
    assert plan(texts(title="text"), kind="text", data={"drop": ["title"]}).kinds == {"review": "text"}


@pytest.mark.parametrize(("name", "reason"), [
    ("reviw", "no column 'reviw'; did you mean 'review'?"),
    ("stars", "'stars' cannot be the text: holds numbers"),
    ("churned", "'churned' cannot be the text: the target"),
    ("written", "'written' cannot be the text: holds dates"),
])  # fmt: skip
def test_what_is_not_a_text_cannot_be_named_as_the_text(name, reason):
    assert refusal(texts(written="date"), kind="text", text=name) == f"features.text: {reason}"


# ---------------------------------------------------------------- the encoder that is fitted to the plan


def fitted(rows, kinds, formulas=None, **options):
    rows = pd.DataFrame(rows)
    return features.fit(rows, Plan(kinds, formulas or {}, {}), Features(**options)), rows


def test_levels_are_kept_most_frequent_first_and_equals_in_their_own_order():
    rows = {"city": ["b", "a", "c", None, "a", "b", "d", None, None]}
    encoder, _ = fitted(rows, {"city": "category"})
    assert encoder.columns[0].levels == ("a", "b", "c", "d")
    assert fitted(rows, {"city": "category"}, max_levels=3)[0].columns[0].levels == ("a", "b", "c")


@given(st.lists(st.sampled_from(["x", "y", "z", "가", None]), min_size=1), st.randoms(), st.integers(2, 4))
@settings(deadline=None)
def test_the_order_of_the_rows_does_not_change_the_levels(cells, random, most):
    encoders = [fitted({"a": pd.Series(each, dtype=object)}, {"a": "category"}, max_levels=most)[0] for each in (
        cells, random.sample(cells, len(cells)),
    )]  # fmt: skip
    levels, again = (encoder.columns[0].levels for encoder in encoders)
    assert levels == again
    assert len(levels) <= most
    counts = [cells.count(level) for level in levels]
    assert counts == sorted(counts, reverse=True)
    assert all(cells.count(other) <= min(counts, default=0) for other in {*cells} - {*levels, None})


def test_numbers_that_are_names_are_categories_and_keep_being_told_apart():
    encoder, rows = fitted({"code": [9.0, 1.0, 9.0, np.nan, np.inf]}, {"code": "category"})
    assert encoder.columns[0].levels == (9.0, 1.0)
    assert encoder.inputs == {"code": "number"}
    np.testing.assert_array_equal(encoder.encode(rows)[:, 0], np.array([0, 1, 0, np.nan, np.nan], dtype=np.float32))
    np.testing.assert_array_equal(encoder.encode(pd.DataFrame({"code": [1, 9, 5]}))[:, 0], [1, 0, np.nan])


def test_a_category_without_a_value_has_no_levels_and_no_code():
    encoder, rows = fitted(
        {"a": pd.Series([None, None], dtype=object), "b": [1.0, 2.0]}, {"a": "category", "b": "number"}
    )
    assert level_counts(encoder.columns) == (0, 0)
    assert np.isnan(encoder.encode(rows)[:, 0]).all()


def test_derived_columns_are_numbers_made_of_numbers_and_of_texts():
    formulas = {
        "ratio": "debt / income",
        "is_seoul": "contains(lower(city), 'seoul')",
        "name_length": "length(city)",
        "unknown": "missing(city) or missing(debt)",
    }
    rows = {"debt": [1.0, 4.0, np.nan], "income": [2.0, 0.0, 1.0], "city": ["SEOUL east", None, "Busan"]}
    encoder, rows = fitted(rows, {"debt": "number"}, formulas)
    assert encoder.names == ["debt", "ratio", "is_seoul", "name_length", "unknown"]
    assert encoder.inputs == {"debt": "number", "income": "number", "city": "text"}
    np.testing.assert_array_equal(
        encoder.encode(rows),
        [[1, 0.5, 1, 10, 0], [4, np.nan, 0, 0, 1], [np.nan, np.nan, 0, 5, 1]],
    )


@pytest.mark.parametrize(("formula", "fault"), [
    ("city * 2", "a number is needed"), ("lower(city)", "gives text; it has to give a number"),
    ("day + 1", "column 'day' holds date; it must hold numbers or text"),
])  # fmt: skip
def test_a_formula_that_does_not_fit_its_columns_is_refused_at_its_place(formula, fault):
    with pytest.raises(DataError, match=r"^features\.derive\.made: ") as caught:
        fitted({"city": ["a", "b"], "day": [datetime.date(2024, 1, 1)] * 2}, {}, {"made": formula})
    assert fault in str(caught.value)


def test_the_encoder_looks_at_the_columns_of_the_plan_only():
    rows = {"a": [1.0, 2.0], "churned": [0, 1], "note": ["x", "y"]}
    encoder, rows = fitted(rows, {"a": "number"})
    assert list(encoder.inputs) == ["a"]
    assert encoder.encode(rows).shape == (2, 1)


def test_rare_ngrams_of_a_text_weigh_more_than_common_ones():
    rows = pd.DataFrame({"text": ["좋은 영화", "나쁜 영화", "그냥 영화", "영화"]})
    options = {"kind": "text", "characters": None, "words": (1, 1), "hash_bits": 14}
    encoder = features.fit(rows, Plan({"text": "text"}, {}, {}), Features(**options))
    weight = {word: weight_of(encoder, word) for word in ("영화", "좋은", "처음")}
    assert weight["영화"] == pytest.approx(1)
    assert 1 < weight["좋은"] < weight["처음"] == np.float16(np.log(5) + 1)
    assert encoder.idf.nbytes == 2 * 2**14, "what travels with every model"


def weight_of(encoder, word):
    (place,) = encoder.counts(pd.DataFrame({"text": [word]})).indices
    return encoder.idf[place]


def test_a_text_is_learned_the_same_however_its_hangul_is_stored():
    options = Features(kind="text", hash_bits=12)
    composed = pd.DataFrame({"text": ["재미있는 영화", "지루한 영화"]})
    apart = composed.map(lambda text: unicodedata.normalize("NFD", text))
    one, other = (features.fit(rows, Plan({"text": "text"}, {}, {}), options) for rows in (composed, apart))
    np.testing.assert_array_equal(one.idf, other.idf)
