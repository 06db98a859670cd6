"""What the linear family serves is what scikit-learn would have said of the one-hot design."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from ratchet.config import Features
from ratchet.core import features
from ratchet.core.features import Plan
from ratchet.core.models import linear
from ratchet.core.models.sample import Fold, Sample, Setting, level_counts

ROWS = 600
PLAN = Plan({"weight": "number", "city": "category", "height": "number", "code": "category"}, {}, {})


def people(cities, rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "weight": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(70, 15, rows)),
            "city": rng.choice(np.array([*(f"city {i}" for i in range(cities)), None], dtype=object), rows),
            "height": rng.normal(1.7, 0.1, rows),
            "code": rng.choice([1.0, 2.0, 9.0, np.nan], rows),
        }
    )


def target(rows, kind):
    score = (rows["weight"].fillna(50) - 65) / 15 + (rows["city"].str.len() == 7) + (rows["code"] == 9)
    score = score.to_numpy() + np.random.default_rng(1).normal(size=len(rows))
    if kind == "regression":
        return score
    return np.digitize(score, [0.3] if kind == "binary" else [-0.5, 1.2])


def one_hot(rows, seen, levels):
    """The design by scikit-learn's and pandas' own means: numbers and their flags, then a column per level."""
    numbers, known = rows[["weight", "height"]], seen[["weight", "height"]]
    standard = ((numbers - known.mean()) / known.std(ddof=0)).fillna(0)
    words = rows[["city", "code"]].astype(object).where(rows[["city", "code"]].notna(), "nothing").astype(str)
    encoder = OneHotEncoder(categories=[["nothing", *map(str, each)] for each in levels], dtype=float)
    hot = encoder.fit_transform(words)
    return np.hstack([standard, numbers.isna(), hot.toarray()])


def model_of(kind):
    return Ridge(alpha=2.0) if kind == "regression" else LogisticRegression(C=0.5, max_iter=300)


@pytest.mark.parametrize("cities", [4, 300], ids=["few-levels", "more-than-200-levels"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_margins_are_those_of_scikit_learn_on_the_one_hot_design(kind, cities):
    seen, asked = people(cities), people(cities, 200, seed=9)
    encoder = features.fit(seen, PLAN, Features(max_levels=400))
    levels = [column.levels for column in encoder.columns if column.kind == "category"]
    outputs = 3 if kind == "multiclass" else 1
    sample = Sample(encoder.encode(seen), target(seen, kind), kind, outputs, level_counts(encoder.columns))
    fitted = linear.fit({"C": 0.5}, Fold(sample, sample), Setting())

    asked.loc[~asked["city"].isin(levels[0]), "city"] = None
    design = [one_hot(rows, seen, levels) for rows in (seen, asked)]
    known = model_of(kind).fit(design[0], sample.target)
    expected = known.predict(design[1]) if kind == "regression" else known.decision_function(design[1])
    assert (design[0].shape[1] > 200) == (cities > 200)
    # Two designs in float32 and float64, two solvers, each exact to its own tolerance.
    np.testing.assert_allclose(fitted.model.margins(encoder.encode(asked)), expected, atol=1e-3)


@pytest.mark.parametrize("cities", [4, 300], ids=["few-levels", "more-than-200-levels"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_margins_are_the_dot_product_of_the_served_weights_with_the_one_hot_design(kind, cities):
    seen, asked = people(cities), people(cities, 200, seed=9)
    encoder = features.fit(seen, PLAN, Features(max_levels=400))
    levels = [column.levels for column in encoder.columns if column.kind == "category"]
    outputs = 3 if kind == "multiclass" else 1
    sample = Sample(encoder.encode(seen), target(seen, kind), kind, outputs, level_counts(encoder.columns))
    served = linear.fit({"C": 0.5}, Fold(sample, sample), Setting()).model

    asked.loc[~asked["city"].isin(levels[0]), "city"] = None
    weights = np.vstack([served.weights, served.missing, served.levels])
    expected = one_hot(asked, seen, levels) @ weights + served.intercept
    expected = expected[:, 0] if outputs == 1 else expected
    np.testing.assert_allclose(served.margins(encoder.encode(asked)), expected, atol=1e-4)


@pytest.mark.parametrize("plan", [
    {"weight": "number", "height": "number"}, {"city": "category"}, {"weight": "number"}, {"code": "category"},
], ids="-".join)  # fmt: skip
def test_a_table_of_numbers_only_or_of_categories_only_is_fine(plan):
    seen = people(3)
    encoder = features.fit(seen, Plan(plan, {}, {}), Features())
    truth = target(seen, "binary")
    sample = Sample(encoder.encode(seen), truth, "binary", 1, level_counts(encoder.columns))
    margins = linear.fit({"C": 1.0}, Fold(sample, sample), Setting()).model.margins(sample.matrix)
    assert margins.shape == (ROWS,)
    assert np.isfinite(margins).all()


def test_the_unit_of_a_number_does_not_matter():
    seen = people(3)
    kilos = margins_of(seen)
    np.testing.assert_allclose(margins_of(seen.assign(weight=seen["weight"] * 1000 + 5)), kilos, atol=1e-3)


def margins_of(rows):
    encoder = features.fit(rows, PLAN, Features())
    truth = target(people(3), "binary")
    sample = Sample(encoder.encode(rows), truth, "binary", 1, level_counts(encoder.columns))
    return linear.fit({"C": 1.0}, Fold(sample, sample), Setting()).model.margins(sample.matrix)


@pytest.mark.parametrize("loss", ["log", "hinge"])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_the_margins_of_texts_are_those_of_scikit_learn_on_the_same_sparse_matrix(loss, kind):
    rng = np.random.default_rng(2)
    matrix = sparse.random(300, 500, 0.05, "csr", dtype=np.float32, random_state=3)
    score = np.asarray(matrix[:, :200].sum(axis=1)).ravel() - np.asarray(matrix[:, 200:400].sum(axis=1)).ravel()
    truth = np.digitize(score + 0.1 * rng.normal(size=300), [0] if kind == "binary" else [-1, 1])
    sample = Sample(matrix, truth, kind, 1 if kind == "binary" else 3)
    fitted = linear.fit({"C": 2.0, "loss": loss, "floor": 1e9}, Fold(sample, sample), Setting(seed=5))
    model = LogisticRegression(C=2.0, max_iter=300) if loss == "log" else LinearSVC(C=2.0, random_state=5)
    expected = model.fit(matrix, truth).decision_function(matrix)
    np.testing.assert_allclose(fitted.model.margins(matrix), expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_word_that_tells_the_classes_apart_weighs_more_the_lower_the_floor(kind):
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 2 if kind == "binary" else 3, 400)
    words = (rng.random((400, 60)) < 0.3).astype(np.float32)
    words[:, 0] = (truth == 1) & (rng.random(400) < 0.5)
    sample = Sample(sparse.csr_matrix(words), truth, kind, 1 if kind == "binary" else 3)

    def share(floor):
        params = {"C": 0.01, "loss": "hinge", "floor": floor}
        weights = np.abs(linear.fit(params, Fold(sample, sample), Setting()).model.weights)
        return weights[0].max() / weights.max(axis=1).sum()

    assert share(0.03) > share(1) > share(10)


def test_texts_of_one_class_only_leave_all_features_alike():
    matrix = sparse.csr_matrix(np.eye(4, dtype=np.float32))
    np.testing.assert_allclose(linear._scale(Sample(matrix, np.ones(4), "binary"), 0.3), np.ones(4))
