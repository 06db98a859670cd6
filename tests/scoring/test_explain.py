"""The reasons of an answer add up to its margin, whatever the family, and say what a person can read."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.core.models import dummy, forest, linear
from ratchet.core.models import xgboost as boosting
from ratchet.core.models.sample import Fold, Sample, Setting
from ratchet.scoring import predict
from ratchet.scoring.encode import Column, TableEncoder, TextEncoder, plain
from ratchet.scoring.explain import parts
from ratchet.scoring.margin import SparseDot
from ratchet.scoring.predict import Scorer

CLASSES = {"binary": ("paid", "defaulted"), "multiclass": ("a", "b", "c"), "regression": ()}
ENCODER = TableEncoder(
    (
        Column("income", "number"),
        Column("home", "category", ("own", "rent", "집")),
        Column("grade", "category", (1.0, 2.0, 7.0)),
        Column("share", "number", formula="debt / income"),
    ),
    {"income": "number", "home": "text", "grade": "number", "debt": "number"},
)
FAMILIES = {"linear": linear, "forest": forest, "xgboost": boosting, "dummy": dummy}


def applicants(count=400, seed=1):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "income": rng.normal(50, 15, count),
            "home": rng.choice(np.array(["own", "rent", "집", None], dtype=object), count),
            "grade": rng.choice([1.0, 2.0, 7.0, np.nan], count),
            "debt": rng.normal(20, 9, count),
        }
    )
    rows.loc[rng.random(count) < 0.1, "income"] = np.nan
    return rows


def fitted(family, kind):
    rows = applicants()
    matrix, rng = ENCODER.encode(rows), np.random.default_rng(2)
    risk = (
        np.nan_to_num(matrix[:, 3]) * 3 + (matrix[:, 1] == 1) - np.isnan(matrix[:, 0]) + rng.normal(0, 0.3, len(rows))
    )
    target = {
        "binary": (risk > np.median(risk)).astype(float),
        "multiclass": np.digitize(risk, np.quantile(risk, [0.4, 0.8])).astype(float),
        "regression": risk,
    }[kind]
    outputs = 3 if kind == "multiclass" else 1
    sample = Sample(matrix, target, kind, outputs, (0, 3, 3, 0))
    params = {"forest": {"max_depth": 6, "subsample": 0.6}, "xgboost": {"max_depth": 3}, "linear": {"C": 1.0}}
    setting = Setting(max_rounds=30)
    found = FAMILIES[family].fit(params.get(family, {}), Fold(sample, sample), setting, 30)
    return Scorer(kind, CLASSES[kind], ENCODER, found.model)


SCORERS = {(family, kind): fitted(family, kind) for family in FAMILIES for kind in CLASSES}
every_model = pytest.mark.parametrize("scorer", SCORERS.values(), ids=[" ".join(name) for name in SCORERS])

CELLS = {
    "income": st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
    "home": st.one_of(st.none(), st.sampled_from(["own", "rent", "집", "", "tent"]), st.text(max_size=3)),
    "grade": st.one_of(st.none(), st.sampled_from([1.0, 2.0, 7.0, 3.5, np.nan])),
    "debt": st.one_of(st.none(), st.floats(-1e6, 1e6)),
}


@every_model
@given(st.lists(st.fixed_dictionaries({}, optional=CELLS), min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_the_reasons_of_a_row_and_the_bias_add_up_to_its_margin(scorer, records):
    rows = pd.DataFrame(records, index=range(len(records)))
    margins = scorer.model.margins(scorer.encoder.encode(rows)).reshape(len(rows), -1)
    for row, made in enumerate(parts(scorer.encoder, scorer.model, rows)):
        tolerance = 1e-5 * max(1.0, np.abs(made.contributions).sum())
        np.testing.assert_allclose(made.contributions.sum(axis=0) + made.bias, margins[row], atol=tolerance)


@every_model
@given(st.lists(st.fixed_dictionaries({}, optional=CELLS), max_size=4), st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_an_explained_answer_is_the_plain_one_with_reasons_that_json_can_hold(scorer, records, most):
    rows = pd.DataFrame(records, index=range(len(records)))
    explained = scorer.explain(rows, most)
    assert json.loads(json.dumps(explained, allow_nan=False)) == explained
    assert [{k: v for k, v in answer.items() if k != "reasons"} for answer in explained] == scorer.predict(rows)
    for answer in explained:
        assert len(answer["reasons"]) <= most
        assert all(reason["contribution"] != 0 for reason in answer["reasons"])


def test_many_rows_are_explained_as_each_is_alone():
    rows = applicants(150, seed=9)
    for scorer in SCORERS.values():
        together = scorer.explain(rows)
        for row in (0, 77, 149):
            (alone,) = scorer.explain(rows.iloc[[row]])
            assert [r["column"] for r in alone["reasons"]] == [r["column"] for r in together[row]["reasons"]]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_linear_reason_is_what_sets_the_row_apart_from_the_average_of_those_it_learned_from(kind):
    scorer = SCORERS["linear", kind]
    rows = applicants()
    made = parts(scorer.encoder, scorer.model, rows)
    np.testing.assert_allclose(np.mean([each.contributions for each in made], axis=0), 0, atol=1e-6)
    margins = scorer.model.margins(scorer.encoder.encode(rows)).reshape(len(rows), -1)
    np.testing.assert_allclose(made[0].bias, margins.mean(axis=0), atol=1e-6)


def test_a_linear_model_saved_before_averages_were_kept_explains_by_its_bare_terms(tmp_path):
    SCORERS["linear", "binary"].save(tmp_path)
    spec = json.loads((tmp_path / "scorer.json").read_text(encoding="utf-8"))
    spec["model"]["arrays"].remove("usual")
    del spec["reasons"]
    (tmp_path / "scorer.json").write_text(json.dumps(spec), encoding="utf-8")
    rows = applicants(3)
    old = predict.load(tmp_path)
    assert old.predict(rows) == SCORERS["linear", "binary"].predict(rows)
    assert parts(old.encoder, old.model, rows)[0].bias == old.model.intercept
    assert all("text" not in reason for answer in old.explain(rows) for reason in answer["reasons"])


def shapley(tree, row, count):
    """The Shapley values of a tree's columns for a row, by their definition: over all coalitions of columns.

    A column that is not in the coalition goes both ways, weighed by how many rows went there.
    """

    def value(node, known):
        if "leaf" in node:
            return node["leaf"]
        below = {child["nodeid"]: child for child in node["children"]}
        place = int(node["split"][1:])
        if place in known:
            way = "missing" if np.isnan(row[place]) else "yes" if row[place] < node["split_condition"] else "no"
            return value(below[node[way]], known)
        return sum(child["cover"] * value(child, known) for child in below.values()) / node["cover"]

    found = np.zeros(count)
    for place in range(count):
        others = [other for other in range(count) if other != place]
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for known in itertools.combinations(others, size):
                found[place] += weight * (value(tree, {*known, place}) - value(tree, known))
    return found


def test_the_reasons_of_trees_are_shapley_values_by_their_definition():
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(300, 4)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    target = (np.nan_to_num(matrix[:, 0] * matrix[:, 1]) + matrix[:, 2] > 0).astype(float)
    sample = Sample(matrix, target, "binary", 1, (0, 0, 0, 0))
    model = boosting.fit({"max_depth": 4}, Fold(sample, sample), Setting(max_rounds=5), 5).model
    encoder = TableEncoder(tuple(Column(name, "number") for name in "abcd"), dict.fromkeys("abcd", "number"))
    trees = [json.loads(tree) for tree in model.booster.get_dump(dump_format="json", with_stats=True)]
    for row, made in zip(matrix[:3], parts(encoder, model, pd.DataFrame(matrix[:3], columns=[*"abcd"])), strict=True):
        expected = sum(shapley(tree, row, 4) for tree in trees)
        np.testing.assert_allclose(made.contributions[:, 0], expected, atol=1e-4)


# ---------------------------------------------------------------- what a person reads


def adverse():
    model = SCORERS["linear", "binary"].model
    wording = {"share": "Debt is high beside income", "income": "Income is low"}
    return Scorer("binary", ("paid", "defaulted"), ENCODER, model, wording=wording)


def test_what_speaks_for_the_adverse_answer_comes_first_and_is_worded():
    rows = pd.DataFrame([{"income": 60.0, "home": "rent", "grade": 1, "debt": 90.0}])
    (answer,) = adverse().explain(rows)
    assert answer["label"] == "defaulted"
    signs = [reason["contribution"] > 0 for reason in answer["reasons"]]
    assert signs == sorted(signs, reverse=True)
    assert answer["reasons"][0] == {
        "column": "share", "value": 1.5, "text": "Debt is high beside income",
        "contribution": pytest.approx(answer["reasons"][0]["contribution"]), "toward": "defaulted",
    }  # fmt: skip
    assert {reason["toward"] for reason in answer["reasons"] if reason["contribution"] < 0} <= {"paid"}


def test_the_reasons_of_the_other_answer_come_by_size():
    (answer,) = adverse().explain(pd.DataFrame([{"income": 60.0, "home": "own", "grade": 1, "debt": 1.0}]))
    assert answer["label"] == "paid"
    sizes = [abs(reason["contribution"]) for reason in answer["reasons"]]
    assert sizes == sorted(sizes, reverse=True)


def test_a_value_is_told_as_it_was_sent_and_a_missing_one_as_null():
    row = {"income": 60, "home": "집", "grade": 2.0, "debt": None}
    (answer,) = adverse().explain(pd.DataFrame([row]))
    told = {reason["column"]: reason["value"] for reason in answer["reasons"]}
    assert told == {"income": 60.0, "home": "집", "grade": 2.0, "share": None}


def test_the_reasons_of_several_classes_speak_of_the_chosen_one():
    scorer = SCORERS["xgboost", "multiclass"]
    rows = applicants(20, seed=3)
    for answer, made in zip(scorer.explain(rows), parts(ENCODER, scorer.model, rows), strict=True):
        own = made.contributions[:, scorer.classes.index(answer["label"])]
        largest = answer["reasons"][0]
        assert abs(largest["contribution"]) == np.abs(own).max()
        assert largest["toward"] == (answer["label"] if largest["contribution"] > 0 else None)


def test_a_value_is_pushed_higher_or_lower_and_the_dummy_has_no_reason():
    rows = applicants(20, seed=3)
    reasons = [reason for answer in SCORERS["forest", "regression"].explain(rows) for reason in answer["reasons"]]
    assert {(reason["contribution"] > 0, reason["toward"]) for reason in reasons} == {
        (True, "higher"),
        (False, "lower"),
    }
    assert SCORERS["dummy", "multiclass"].explain(rows)[0]["reasons"] == []


def test_less_than_one_reason_is_refused():
    with pytest.raises(ValueError, match="reasons: 0; ask for 1 or more"):
        adverse().explain(applicants(1), 0)


def test_the_wording_travels_with_the_model(tmp_path):
    adverse().save(tmp_path)
    rows = applicants(5)
    assert predict.load(tmp_path).explain(rows) == adverse().explain(rows)


# ---------------------------------------------------------------- texts


def reader(characters=(1, 4), words=(1, 2), bits=12, outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    width = 2**bits * (bool(characters) + bool(words))
    encoder = TextEncoder("text", characters, words, bits, rng.uniform(1, 9, width).astype(np.float16))
    model = SparseDot(rng.normal(size=(width, outputs)).astype(np.float32), rng.normal(size=outputs))
    kind = "binary" if outputs == 1 else "multiclass"
    return Scorer(kind, ("bad", "good", "fair")[: max(outputs, 2)], encoder, model)


READERS = [
    reader(), reader(words=None), reader(characters=None), reader(characters=(3, 8), words=(2, 3)),
    reader(bits=10, outputs=3), reader(characters=None, words=(3, 4)),
]  # fmt: skip
NFD = "정말"
TEXT = st.one_of(
    st.text(max_size=40),
    st.text(st.sampled_from("좋아 정말 a B Σ\u0301\u0327\t\n\x1c\x85\u2000\u2028👍🏽\ud83d" + NFD), max_size=60),
    st.sampled_from(["정말 재미있는 영화 👍", "A good film, a GOOD film", "İstanbul ΣΑΣ", NFD + " 영화", "", " "]),
)


@pytest.mark.parametrize("scorer", READERS, ids=range(len(READERS)))
@given(st.lists(st.one_of(st.none(), TEXT), min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_the_words_of_a_text_and_the_intercept_add_up_to_its_margin(scorer, texts):
    rows = pd.DataFrame({"text": pd.Series(texts, dtype=object)})
    margins = scorer.model.margins(scorer.encoder.encode(rows)).reshape(len(rows), -1)
    for row, made in enumerate(parts(scorer.encoder, scorer.model, rows)):
        np.testing.assert_allclose(made.contributions.sum(axis=0) + made.bias, margins[row], rtol=1e-4, atol=1e-4)


@given(TEXT)
@settings(deadline=None)
def test_a_word_stands_where_the_reason_says_as_the_caller_wrote_it(text):
    (answer,) = READERS[0].explain(pd.DataFrame({"text": pd.Series([text], dtype=object)}), most=1000)
    for reason in answer["reasons"]:
        written = text[reason["start"] : reason["end"]]
        assert written.encode("utf-8", "replace").decode() == reason["word"]
        assert not any(letter.isspace() for letter in written)
    json.dumps(answer, ensure_ascii=False).encode()


@given(TEXT)
@settings(deadline=None)
def test_words_are_the_same_before_and_after_their_letters_are_composed(text):
    assert plain(text).split() == [plain(word) for word in text.split()]


def test_the_word_that_decides_is_named():
    encoder = TextEncoder("text", None, (1, 1), 12, np.ones(2**12, dtype=np.float16))
    weights = np.zeros((2**12, 1), dtype=np.float32)
    for word, weight in (("최고", 5.0), ("awful", -3.0)):
        weights[encoder.encode(pd.DataFrame({"text": [word]})).indices] = weight
    scorer = Scorer("binary", (0, 1), encoder, SparseDot(weights, np.zeros(1)))
    (answer,) = scorer.explain(pd.DataFrame({"text": ["이 영화는 최고 , not AWFUL"]}))
    first, second = answer["reasons"]
    assert (first["word"], first["start"], first["end"], first["toward"]) == ("최고", 6, 8, 1)
    assert (second["word"], second["toward"]) == ("AWFUL", 0)
    assert first["contribution"] > 0 > second["contribution"]
