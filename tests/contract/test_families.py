"""One contract for every family of models, on every kind of target, on tables and on texts."""

import json
import math
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ratchet.scoring
from ratchet.config import Features
from ratchet.core import features
from ratchet.core.features import Plan
from ratchet.core.models import FAMILIES
from ratchet.core.models.sample import Fold, Sample, Setting, level_counts
from ratchet.core.models.space import Choice, clipped, middle, narrow
from ratchet.scoring import predict
from ratchet.scoring.predict import Calibration, Scorer

KINDS = ("binary", "multiclass", "regression")
CLASSES = {"binary": ("아니오", "예"), "multiclass": ("낮음", "보통", "높음"), "regression": ()}
ROWS = 240
TABLE = Plan(
    dict.fromkeys(["income", "age", "blank"], "number") | dict.fromkeys(["city", "grade", "gone"], "category"),
    {"income_per_year": "income / age", "from_seoul": "city == '서울'"},
    {},
)
WORDS = {  # from the worst to the best
    0: ["bad", "boring", "지루하다", "최악", "dull 👎"],
    1: ["fine", "so-so", "보통", "그저", "ok 😐"],
    2: ["great", "lovely", "재미있다", "최고", "fun 👍"],
}


@dataclass(frozen=True)
class Case:
    family: str
    kind: str
    is_text: bool = False
    loss: str | None = None

    def __str__(self):
        return "-".join(filter(None, (self.family, self.kind, "text" if self.is_text else "table", self.loss)))


TABLES = [Case(family, kind) for family in FAMILIES for kind in KINDS]
TEXTS = [Case("dummy", kind, True) for kind in KINDS] + [
    Case("linear", "binary", True, "log"),
    Case("linear", "binary", True, "hinge"),
    Case("linear", "multiclass", True, "log"),
    Case("linear", "multiclass", True, "hinge"),
    Case("linear", "regression", True),
]


def each(cases):
    return pytest.mark.parametrize("case", cases, ids=str)


# ---------------------------------------------------------------- rows from which there is something to learn


def target_of(kind, strength, rng):
    """The class index, or the value, of rows whose strength lies around 0."""
    noisy = strength + 0.3 * rng.normal(size=len(strength))
    if kind == "regression":
        return 100 + 20 * noisy
    return np.digitize(noisy, [0] if kind == "binary" else [-0.6, 0.6])


@cache
def table(kind, seed):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "income": rng.lognormal(10, 0.5, ROWS),
            "age": np.where(rng.random(ROWS) < 0.2, np.nan, rng.integers(20, 70, ROWS)),
            "city": rng.choice(np.array(["서울", "부산", "Jeju", None], dtype=object), ROWS, p=[0.4, 0.3, 0.2, 0.1]),
            "grade": rng.choice([1.0, 2.0, 7.5, np.nan], ROWS),
            "blank": np.full(ROWS, np.nan),
            "gone": np.full(ROWS, None, dtype=object),
        }
    )
    strength = 1.6 * (np.log(rows["income"]) - 10) + 0.8 * (rows["city"] == "서울") - 0.7 * (rows["grade"] == 7.5)
    return rows, target_of(kind, strength.to_numpy() - 0.2, rng)


@cache
def texts(kind, seed):
    rng = np.random.default_rng(seed)
    mood = rng.integers(0, 3, ROWS)
    said = [" ".join(rng.choice(WORDS[m], 3)) + " " + rng.choice(["영화", "film", "🎬"]) for m in mood]
    return pd.DataFrame({"text": said}), target_of(kind, 1.2 * (mood - 1) - 0.1, rng)


def make(case, seed=3, params=None, rounds=None):
    """Fit the case on the one half, with the other half to stop early on; return (scorer, fitted, samples)."""
    data = (texts if case.is_text else table)(case.kind, 0)
    options = {"kind": "text", "hash_bits": 12} if case.is_text else {}
    plan = Plan({"text": "text"}, {}, {}) if case.is_text else TABLE
    half = ROWS // 2
    encoder = features.fit(data[0][:half], plan, Features(**options))
    outputs = len(CLASSES[case.kind]) if case.kind == "multiclass" else 1
    levels = () if case.is_text else level_counts(encoder.columns)
    fit, score = (
        Sample(encoder.encode(data[0][side]), data[1][side], case.kind, outputs, levels)
        for side in (slice(half), slice(half, None))
    )
    family = FAMILIES[case.family]
    start = clipped(family.space(case.kind, case.is_text), family.starts(half, case.is_text)[0])
    chosen = start | ({"loss": case.loss} if case.loss else {}) | (params or {})
    fitted = family.fit(chosen, Fold(fit, score), Setting(seed, 1, max_rounds=40), rounds)
    calibration = Calibration() if case.kind == "regression" else Calibration(1.1, 0.1)
    return Scorer(case.kind, CLASSES[case.kind], encoder, fitted.model, calibration, 0.4), fitted, (fit, score)


@cache
def scorer_of(case):
    return make(case)[0]


def unseen(case):
    """Rows that the model has not seen, with their target."""
    return (texts if case.is_text else table)(case.kind, 1)


def odd_rows(case):
    """Rows that hold all sorts of nothing."""
    if case.is_text:
        return pd.DataFrame(
            {"text": [None, np.nan, pd.NA, "", " \t\n", "🤷🏽‍♀️", "처음 보는 말", "half \ud83d", 5.0, "a" * 9000]}
        )
    return pd.DataFrame(
        {
            "income": [None, np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, 5e-324],
            "age": [0.0, np.nan, 30.0, 1e39, -1e39, 3.4e38, -0.0, None],
            "city": ["대구", None, np.nan, "", "서울 ", pd.NA, "서울", "🏙"],
            "grade": [3.0, np.nan, None, np.inf, -1.0, 1.0, 2.0, 1e300],
            "blank": [1.0] * 8,
            "gone": ["back"] * 8,
        }
    )


def loss(kind, scores, truth):
    """Log loss, or the root of the mean square error."""
    if kind == "regression":
        return float(np.sqrt(((scores - truth) ** 2).mean()))
    columns = np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores
    return float(-np.log(np.maximum(columns[np.arange(len(truth)), truth], 1e-9)).mean())


# ---------------------------------------------------------------- the contract


@each(TABLES + TEXTS)
def test_there_is_one_margin_per_row_or_one_per_row_and_class(case):
    scorer, (rows, truth) = scorer_of(case), unseen(case)
    margins = scorer.model.margins(scorer.encoder.encode(rows))
    assert margins.shape == ((ROWS, 3) if case.kind == "multiclass" else (ROWS,))
    assert np.isfinite(margins).all()
    assert len(truth) == len(scorer.predict(rows)) == ROWS


@each([case for case in TABLES + TEXTS if case.family != "dummy"])
def test_it_beats_the_dummy_by_far_on_rows_that_it_has_not_seen(case):
    rows, truth = unseen(case)
    dummy = loss(case.kind, scorer_of(Case("dummy", case.kind, case.is_text)).scores(rows), truth)
    assert loss(case.kind, scorer_of(case).scores(rows), truth) < 0.8 * dummy


@each([case for case in TABLES + TEXTS if case.family == "dummy"])
def test_the_dummy_gives_the_shares_or_the_mean_of_its_rows_whatever_the_row(case):
    scorer, _, (fit, _) = make(case)
    plain = Scorer(scorer.kind, scorer.classes, scorer.encoder, scorer.model)
    scores = plain.scores(unseen(case)[0])
    assert (scores == scores[0]).all()
    seen = fit.target.mean() if case.kind != "multiclass" else np.bincount(fit.target) / len(fit.target)
    np.testing.assert_allclose(scores[0], seen, atol=0.01)


@each(TABLES + TEXTS)
def test_the_same_seed_gives_the_same_model(case):
    scorer = scorer_of(case)
    matrix = scorer.encoder.encode(unseen(case)[0])
    np.testing.assert_array_equal(make(case)[0].model.margins(matrix), scorer.model.margins(matrix))


@pytest.fixture(scope="session")
def packaged():
    """The scoring package as a served model loads it: by path, under a name of its own."""
    from ratchet.serving.model import load_package

    return load_package(Path(ratchet.scoring.__file__).parent)


@each(TABLES + TEXTS)
def test_a_saved_model_answers_bit_for_bit_as_before_here_and_served(case, tmp_path, packaged):
    scorer = scorer_of(case)
    scorer.save(tmp_path / "state")
    shutil.move(tmp_path / "state", tmp_path / "moved")
    for rows in (unseen(case)[0], odd_rows(case)):
        for again in (predict.load(tmp_path / "moved"), packaged.load(tmp_path / "moved")):
            np.testing.assert_array_equal(again.scores(rows), scorer.scores(rows))
            assert again.predict(rows) == scorer.predict(rows)
    assert type(packaged.load(tmp_path / "moved")) is not type(scorer)


@each(TABLES + TEXTS)
def test_the_state_is_plain_data_and_a_pickle_in_it_is_refused_unopened(case, tmp_path):
    state = tmp_path / "state"
    scorer_of(case).save(state)
    assert {file.suffix for file in state.iterdir()} <= {".json", ".npy", ".ubj"}
    assert json.loads((state / "scorer.json").read_text(encoding="utf-8"))["kind"] == case.kind
    for file in state.glob("*.npy"):
        np.load(file, allow_pickle=False)
        before, trace = file.read_bytes(), tmp_path / "opened"
        np.save(file, np.array([Traced(trace)], dtype=object), allow_pickle=True)
        with pytest.raises(ValueError, match="allow_pickle"):
            predict.load(state)
        assert not trace.exists()
        file.write_bytes(before)
    predict.load(state)


class Traced:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@each(TABLES + TEXTS)
def test_missing_unseen_and_enormous_values_get_an_answer(case):
    answers = scorer_of(case).predict(odd_rows(case))
    figures = [answer.get("value", answer.get("probability", answer.get("probabilities"))) for answer in answers]
    for figure in figures:
        values = list(figure.values()) if isinstance(figure, dict) else [figure]
        assert all(map(math.isfinite, values))
        assert case.kind == "regression" or all(0 <= value <= 1 for value in values)
    json.dumps(answers, allow_nan=False)


@each(TABLES)
def test_a_level_that_training_never_saw_counts_as_missing(case):
    rows = unseen(case)[0]
    strange, missing = rows.assign(city="평양", grade=-99.0), rows.assign(city=None, grade=np.nan)
    np.testing.assert_array_equal(scorer_of(case).scores(strange), scorer_of(case).scores(missing))


@each(TABLES + TEXTS)
def test_one_row_at_a_time_gives_what_all_rows_at_once_give(case):
    scorer = scorer_of(case)
    for rows in (unseen(case)[0][:90], odd_rows(case)):
        alone = np.concatenate([scorer.scores(rows[i : i + 1]) for i in range(len(rows))])
        np.testing.assert_allclose(alone, scorer.scores(rows), rtol=1e-12)


@each(TABLES + TEXTS)
def test_the_order_of_the_rows_and_of_the_columns_does_not_matter(case):
    rows = unseen(case)[0]
    order = np.random.default_rng(5).permutation(len(rows))
    turned = rows.iloc[order, ::-1].assign(stranger="not asked for")
    np.testing.assert_allclose(scorer_of(case).scores(turned), scorer_of(case).scores(rows)[order], rtol=1e-12)


@each(TABLES + TEXTS)
def test_an_absent_column_counts_as_missing_in_every_row(case):
    rows, scorer = unseen(case)[0], scorer_of(case)
    for name in scorer.encoder.inputs:
        absent, empty = rows.drop(columns=name), rows.assign(**{name: None})
        np.testing.assert_array_equal(scorer.scores(absent), scorer.scores(empty))
    bare = pd.DataFrame(index=range(3))
    assert len({str(answer) for answer in scorer.predict(bare)}) == 1
    assert len(scorer.predict(bare)) == 3


@each(TABLES + TEXTS)
def test_no_rows_give_no_answers(case):
    assert scorer_of(case).predict(unseen(case)[0][:0]) == []


@each(TABLES + TEXTS)
def test_starts_and_middles_lie_within_the_space_also_where_a_task_narrows_it(case):
    family = FAMILIES[case.family]
    space = family.space(case.kind, case.is_text)
    narrowed = narrow(case.family, space, {
        name: dimension.options[-1:] if isinstance(dimension, Choice) else [dimension.high * 0.75 // 1, dimension.high]
        for name, dimension in space.items() if isinstance(dimension, Choice) or dimension.high >= 4
    })  # fmt: skip
    for rows in (100, 1_000_000):
        for start in family.starts(rows, case.is_text):
            known = {name: value for name, value in start.items() if name in space}
            assert clipped(space, start) | known == clipped(space, start)
            assert within(clipped(narrowed, start), narrowed)
    assert within({name: middle(dimension) for name, dimension in space.items()}, space)


def within(params, space):
    return set(params) == set(space) and all(
        params[name] in dimension.options
        if isinstance(dimension, Choice)
        else dimension.low <= params[name] <= dimension.high
        for name, dimension in space.items()
    )


# ---------------------------------------------------------------- classes that are rare, rounds of boosting


@each([case for case in TABLES + TEXTS if case.kind == "multiclass"])
@pytest.mark.parametrize("absent", [0, 1, 2])
def test_a_class_that_the_rows_do_not_hold_keeps_its_place_and_is_not_called(case, absent):
    _, _, (fit, score) = make(case, params={"max_depth": 3} if case.family in ("forest", "xgboost") else None)
    fold = Fold(fit.take(np.flatnonzero(fit.target != absent)), score)
    family = FAMILIES[case.family]
    start = clipped(family.space(case.kind, case.is_text), family.starts(100, case.is_text)[0])
    chosen = start | ({"loss": case.loss} if case.loss else {})
    margins = family.fit(chosen, fold, Setting(3, 1, max_rounds=10), 10).model.margins(score.matrix)
    assert margins.shape == (len(score.target), 3)
    assert not (margins.argmax(axis=1) == absent).any()
    if case.family == "linear":
        assert Calibration().probabilities(margins)[:, absent].max() < 1e-6
    if case.family != "dummy":
        known = score.target != absent
        assert (margins.argmax(axis=1) == score.target)[known].mean() > 0.6


@each([case for case in TABLES + TEXTS if case.kind == "multiclass"])
def test_two_classes_can_be_asked_for_as_multiclass(case):
    two = Case(case.family, "binary", case.is_text, case.loss)
    scorer, _, (fit, score) = make(two)
    as_two = [Sample(s.matrix, s.target, "multiclass", 2, s.levels) for s in (fit, score)]
    family = FAMILIES[case.family]
    start = clipped(family.space("multiclass", case.is_text), family.starts(100, case.is_text)[0])
    chosen = start | ({"loss": case.loss} if case.loss else {})
    fitted = family.fit(chosen, Fold(*as_two), Setting(3, 1, max_rounds=10), 10)
    answers = Scorer("multiclass", CLASSES["binary"], scorer.encoder, fitted.model).predict(unseen(two)[0])
    assert all(math.isclose(sum(answer["probabilities"].values()), 1) for answer in answers)
    if case.family == "linear":
        plain = Scorer("binary", CLASSES["binary"], scorer.encoder, scorer.model).scores(unseen(two)[0])
        np.testing.assert_allclose([answer["probabilities"]["예"] for answer in answers], plain, rtol=1e-6)


@each([case for case in TABLES if case.family in ("forest", "xgboost")])
def test_trees_say_how_much_each_column_weighs(case):
    scorer, fitted, _ = make(case)
    weights = dict(zip(scorer.encoder.names, fitted.weights, strict=True))
    assert max(weights, key=weights.get) == "income"
    assert weights["blank"] == weights["gone"] == 0


@each([case for case in TABLES if case.family == "xgboost"])
def test_boosting_stops_early_or_after_the_rounds_that_it_is_told(case):
    told = make(case, rounds=7)[1]
    assert told.rounds == 7
    assert len(told.curves["fit"]) == len(told.curves["score"]) == 7
    early = make(case, params={"learning_rate": 0.3, "max_depth": 9, "min_child_weight": 0.5})[1]
    losses = early.curves["score"]
    assert early.rounds == int(np.argmin(losses)) + 1 <= 40
