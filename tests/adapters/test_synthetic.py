from functools import cache

import numpy as np
import pandas as pd
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from ratchet.adapters.synthetic import MAX_ROWS, credit
from ratchet.errors import DataError

DTYPES = {
    "applicant_id": "int64",
    "applied_at": "datetime64[us]",
    "gender": "str",
    "age": "int64",
    "income": "float64",
    "employment_years": "float64",
    "occupation": "str",
    "education": "str",
    "housing": "str",
    "existing_cards": "int64",
    "utilisation": "float64",
    "late_payments": "int64",
    "months_with_bank": "int64",
    "requested_limit": "float64",
    "probability_of_default": "float64",
    "defaulted": "int64",
}
NOT_FEATURES = ["applicant_id", "applied_at", "probability_of_default", "defaulted"]
SEEDS = (7, 1, 2, 3, 4)

few_rows = st.integers(1, 300)
seeds = st.integers(0, 2**63)
periods = st.sampled_from(["first", "later"])


@cache
def sample(seed, period="first"):
    return credit(20_000, seed, period)


@cache
def split(seed):
    shuffled = sample(seed).sample(frac=1, random_state=seed)
    return shuffled[:14_000], shuffled[14_000:]


def encode(applicants, like):
    """Numbers with flags for the missing, words as one-hot over the levels seen in `like`."""
    features = applicants.drop(columns=NOT_FEATURES)
    words = features.select_dtypes("str").columns
    numbers = features.drop(columns=words).astype(float)
    levels = {f"{word}={x}": features[word] == x for word in words for x in sorted(like[word].dropna().unique())}
    flags = features.isna().add_suffix("_missing")
    return pd.concat([numbers, pd.DataFrame(levels), flags], axis=1).astype(float)


def auc(applicants, scores):
    return roc_auc_score(applicants["defaulted"], scores)


def truth_auc(applicants):
    return auc(applicants, applicants["probability_of_default"])


def best_linear_auc(seed):
    train, test = split(seed)
    medians = encode(train, train).median()
    scaler = StandardScaler().fit(encode(train, train).fillna(medians))
    known, unseen = (scaler.transform(encode(part, train).fillna(medians)) for part in (train, test))
    return max(
        auc(test, LogisticRegression(C=c).fit(known, train["defaulted"]).decision_function(unseen))
        for c in (0.001, 0.01, 0.1, 1.0)
    )


def boosted_trees(**more):
    return xgboost.XGBClassifier(
        learning_rate=0.05,
        max_depth=3,
        min_child_weight=5,
        subsample=0.8,
        colsample_bytree=0.8,
        n_jobs=2,
        random_state=0,
        **more,
    )


@cache
def boosted(seed):
    """Early stopping on 2,000 of the training rows finds the rounds; all 14,000 are then fitted."""
    train, _ = split(seed)
    matrix, defaulted = encode(train, train), train["defaulted"]
    trial = boosted_trees(n_estimators=1_000, early_stopping_rounds=40)
    trial.fit(
        matrix[:12_000],
        defaulted[:12_000],
        eval_set=[(matrix[12_000:], defaulted[12_000:])],
        verbose=False,
    )
    return boosted_trees(n_estimators=trial.best_iteration + 1).fit(matrix, defaulted)


def boosted_auc(seed, applicants):
    train, _ = split(seed)
    return auc(applicants, boosted(seed).predict_proba(encode(applicants, train))[:, 1])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_truth_beats_a_tuned_linear_model_by_three_points(seed):
    _, test = split(seed)
    assert truth_auc(test) - best_linear_auc(seed) >= 0.03


def test_boosted_trees_come_within_half_a_point_of_the_truth_on_average():
    shortfalls = [truth_auc(split(seed)[1]) - boosted_auc(seed, split(seed)[1]) for seed in SEEDS]
    assert np.mean(shortfalls) <= 0.005


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_of_the_first_period_loses_two_points_in_the_later_one(seed):
    _, test = split(seed)
    later = sample(seed, "later")
    assert boosted_auc(seed, test) - boosted_auc(seed, later) >= 0.02
    assert truth_auc(later) - boosted_auc(seed, later) >= 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fifth_of_the_applicants_default(seed):
    assert 0.15 <= sample(seed)["defaulted"].mean() <= 0.25


def test_the_later_applicants_are_younger_richer_and_deeper_in_debt():
    first, later = sample(7), sample(7, "later")
    assert later["age"].mean() < first["age"].mean() - 3
    assert later["income"].median() > first["income"].median() * 1.02
    assert later["utilisation"].mean() > first["utilisation"].mean() + 0.05


def test_only_the_later_period_knows_the_gig_worker():
    assert set(sample(7, "later")["occupation"].dropna()) - set(sample(7)["occupation"].dropna()) == {"gig"}


def test_gender_is_felt_only_through_the_other_columns():
    applicants = credit(60_000, 7)
    risk = applicants.groupby("gender")["probability_of_default"].mean()
    assert 0.005 < risk["F"] - risk["M"] < 0.03
    features = encode(applicants, applicants).filter(regex="^(?!gender)")
    known, unseen = applicants[:50_000], applicants[50_000:]
    tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
    tree.fit(features[:50_000], known["probability_of_default"])
    rest = unseen["probability_of_default"] - tree.predict(features[50_000:])
    assert rest.std() < 0.03
    assert abs(rest[unseen["gender"] == "F"].mean() - rest[unseen["gender"] == "M"].mean()) < 0.002


def test_cells_are_missing_as_documented():
    applicants = sample(7)
    share = applicants.isna().mean()
    assert share["income"] == pytest.approx(0.06, abs=0.01)
    assert share["occupation"] == pytest.approx(0.05, abs=0.01)
    assert share["utilisation"] == pytest.approx(0.04, abs=0.01)
    jobless = applicants["occupation"].isin(["unemployed", "pensioner"])
    assert applicants.loc[jobless, "employment_years"].isna().all()
    complete = applicants.columns.difference(["income", "employment_years", "occupation", "utilisation"])
    assert not share[complete].any()


def test_defaults_come_as_often_as_their_probability_says():
    applicants = credit(200_000, 7)
    bands = applicants.groupby(pd.qcut(applicants["probability_of_default"], 10, duplicates="drop"))
    observed, expected = bands["defaulted"].mean(), bands["probability_of_default"].mean()
    assert observed.to_numpy() == pytest.approx(expected.to_numpy(), abs=0.015)


@settings(deadline=None, max_examples=40)
@given(rows=few_rows, seed=seeds, period=periods)
def test_every_frame_has_the_same_columns_and_stays_in_bounds(rows, seed, period):
    applicants = credit(rows, seed, period)
    assert {name: str(dtype) for name, dtype in applicants.dtypes.items()} == DTYPES
    assert list(applicants.columns) == list(DTYPES)
    assert len(applicants) == rows
    assert applicants["probability_of_default"].between(0, 1, inclusive="neither").all()
    assert applicants["defaulted"].isin([0, 1]).all()
    assert applicants["age"].between(18, 80).all()
    assert applicants["late_payments"].between(0, 6).all()
    assert applicants["utilisation"].dropna().between(0, 1.5).all()
    assert not (applicants["employment_years"] > applicants["age"] - 17).any()
    assert (applicants[["income", "requested_limit"]].min().dropna() > 0).all()


@settings(deadline=None, max_examples=20)
@given(rows=few_rows, seed=seeds, period=periods)
def test_the_same_arguments_give_the_same_frame(rows, seed, period):
    pd.testing.assert_frame_equal(credit(rows, seed, period), credit(rows, seed, period))


@settings(deadline=None, max_examples=20)
@given(rows=st.integers(50, 300), seed=st.integers(0, 1000))
def test_another_seed_gives_another_frame(rows, seed):
    assert not credit(rows, seed)["income"].equals(credit(rows, seed + 1)["income"])


@settings(deadline=None, max_examples=20)
@given(rows=few_rows, seed=seeds)
def test_ids_are_unique_within_and_across_the_periods(rows, seed):
    ids = pd.concat([credit(rows, seed, "first")["applicant_id"], credit(rows, seed, "later")["applicant_id"]])
    assert ids.is_unique
    assert ids.iloc[0] == 1
    assert ids.iloc[rows] > MAX_ROWS


@settings(deadline=None, max_examples=20)
@given(rows=few_rows, seed=seeds)
def test_applications_come_in_order_and_within_their_period(rows, seed):
    first, later = credit(rows, seed)["applied_at"], credit(rows, seed, "later")["applied_at"]
    for days in (first, later):
        assert days.is_monotonic_increasing
        assert (days == days.dt.normalize()).all()
    assert set(first.dt.year) <= {2023, 2024}
    assert set(later.dt.year) == {2025}


def test_an_unknown_period_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match=r"^synthetic://credit: period 'x' is unknown; use first or later$"):
        credit(10, 7, "x")


@pytest.mark.parametrize("rows", [0, -1, MAX_ROWS + 1])
def test_a_number_of_rows_out_of_bounds_is_refused(rows):
    with pytest.raises(DataError, match=rf"^synthetic://credit: rows is {rows}; use 1 to 100000000$"):
        credit(rows, 7)


def test_a_negative_seed_is_refused():
    with pytest.raises(DataError, match=r"^synthetic://credit: seed is -1; use 0 or more$"):
        credit(10, -1)
