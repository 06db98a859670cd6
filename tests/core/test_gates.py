import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from ratchet.config import METRICS, Gate
from ratchet.core.bootstrap import Estimate
from ratchet.core.gates import (
    FAIL,
    INSUFFICIENT,
    PASS,
    Asked,
    Evidence,
    Slice,
    Verdict,
    as_json,
    judge_one,
    keeps_up,
    opens,
    weigh,
    weigh_slices,
)

BASELINES = {"dummy": {"cost": 0.4, "mae": 4.0}, "rule": {"cost": 0.3, "mae": 3.0}}


OTHER_SPLIT = "the champion learned from another split"


def verdict(gate, kind="binary", champion=None, comparable=True, baselines=None, **challenger):
    evidence = Evidence(
        challenger, BASELINES if baselines is None else baselines, champion, None if comparable else OTHER_SPLIT
    )
    found = judge_one(Gate(**gate), evidence, kind)
    return found


def said(*arguments, **keywords):
    found = verdict(*arguments, **keywords)
    return found.verdict, found.sentence


# ---------------------------------------------------------------- each kind of gate

FLOOR, CEILING = {"metric": "roc_auc", "minimum": 0.8}, {"metric": "log_loss", "maximum": 0.5}
DROP, GAIN = {"metric": "roc_auc", "max_drop": 0.05}, {"metric": "roc_auc", "min_gain": 0.05}
LOSS_DROP, LOSS_GAIN = {"metric": "log_loss", "max_drop": 0.05}, {"metric": "log_loss", "min_gain": 0.05}
AUC, LOSS = {"roc_auc": 0.75}, {"log_loss": 0.5}

CASES = [
    (FLOOR, {"roc_auc": 0.8}, None, PASS, "roc_auc 0.8000 >= 0.8000"),
    (FLOOR, {"roc_auc": 0.79}, None, FAIL, "roc_auc 0.7900 < 0.8000"),
    (CEILING, {"log_loss": 0.5}, None, PASS, "log_loss 0.5000 <= 0.5000"),
    (CEILING, {"log_loss": 0.51}, None, FAIL, "log_loss 0.5100 > 0.5000"),
    (DROP, {"roc_auc": 0.71}, AUC, PASS, "roc_auc 0.7100 >= 0.7000 (champion 0.7500 - 0.05)"),
    (DROP, {"roc_auc": 0.69}, AUC, FAIL, "roc_auc 0.6900 < 0.7000 (champion 0.7500 - 0.05)"),
    (GAIN, {"roc_auc": 0.81}, AUC, PASS, "roc_auc 0.8100 >= 0.8000 (champion 0.7500 + 0.05)"),
    (GAIN, {"roc_auc": 0.79}, AUC, FAIL, "roc_auc 0.7900 < 0.8000 (champion 0.7500 + 0.05)"),
    (LOSS_DROP, {"log_loss": 0.54}, LOSS, PASS, "log_loss 0.5400 <= 0.5500 (champion 0.5000 + 0.05)"),
    (LOSS_DROP, {"log_loss": 0.56}, LOSS, FAIL, "log_loss 0.5600 > 0.5500 (champion 0.5000 + 0.05)"),
    (LOSS_GAIN, {"log_loss": 0.44}, LOSS, PASS, "log_loss 0.4400 <= 0.4500 (champion 0.5000 - 0.05)"),
    (LOSS_GAIN, {"log_loss": 0.46}, LOSS, FAIL, "log_loss 0.4600 > 0.4500 (champion 0.5000 - 0.05)"),
    ({"beats": "dummy"}, {"cost": 0.39}, None, PASS, "cost 0.3900 < 0.4000 of the dummy"),
    ({"beats": "dummy"}, {"cost": 0.4}, None, FAIL, "cost 0.4000 >= 0.4000 of the dummy"),
    ({"beats": "rule"}, {"cost": 0.29}, None, PASS, "cost 0.2900 < 0.3000 of the rule"),
    ({"beats": "rule"}, {"cost": 0.39}, None, FAIL, "cost 0.3900 >= 0.3000 of the rule"),
]


@pytest.mark.parametrize(("gate", "challenger", "champion", "expected", "sentence"), CASES)
def test_a_gate_says_whether_it_opens_with_its_figure_and_its_bound(gate, challenger, champion, expected, sentence):
    assert said(gate, champion=champion, **challenger) == (expected, sentence)
    assert verdict(gate, champion=champion, **challenger).figure == next(iter(challenger.values()))


def test_a_regression_beats_a_baseline_by_its_mean_absolute_error():
    assert said({"beats": "rule"}, "regression", mae=2.5, cost=9.0) == (PASS, "mae 2.5000 < 3.0000 of the rule")
    assert said({"beats": "rule"}, "regression", mae=3.5, cost=0.0)[0] == FAIL


def test_several_classes_beat_a_baseline_by_cost():
    assert said({"beats": "dummy"}, "multiclass", cost=0.1)[0] == PASS


# ---------------------------------------------------------------- what is missing

EVERY_GATE = [FLOOR, CEILING, DROP, GAIN, LOSS_DROP, LOSS_GAIN, {"beats": "dummy"}, {"beats": "rule"}]


@pytest.mark.parametrize("gate", EVERY_GATE, ids=str)
@pytest.mark.parametrize("champion", [None, {"roc_auc": 0.1, "log_loss": 0.9}], ids=["first", "with-champion"])
@pytest.mark.parametrize("figures", [{}, dict.fromkeys(METRICS, math.nan)], ids=["missing", "nan"])
def test_a_challenger_missing_a_gated_metric_is_refused(gate, champion, figures):
    found = verdict(gate, champion=champion, **figures)
    assert found.verdict == FAIL
    assert f"{gate.get('metric', 'cost')} is missing" in found.sentence
    assert "nan" not in found.sentence


@pytest.mark.parametrize("gate", [DROP, GAIN, LOSS_DROP, LOSS_GAIN], ids=str)
@pytest.mark.parametrize("champion", [{}, {"roc_auc": math.nan, "log_loss": math.nan}], ids=["missing", "nan"])
def test_a_champion_without_the_metric_opens_nothing(gate, champion):
    found = verdict(gate, champion=champion, roc_auc=0.99, log_loss=0.01)
    assert (found.verdict, found.sentence) == (FAIL, f"{gate['metric']}: the champion's is missing")


@pytest.mark.parametrize("baselines", [{}, {"dummy": {}}, {"dummy": {"cost": math.nan}}])
def test_a_baseline_without_the_metric_is_not_beaten(baselines):
    found = said({"beats": "dummy"}, cost=0.0, baselines=baselines)
    assert found == (FAIL, "beats dummy: the dummy's cost is missing")


@pytest.mark.parametrize("gate", [DROP, GAIN, LOSS_DROP, LOSS_GAIN], ids=str)
def test_without_a_champion_there_is_nothing_to_fall_behind(gate):
    figures = {"roc_auc": 0.2, "log_loss": 0.2}
    assert said(gate, **figures) == (PASS, f"{gate['metric']} 0.2000; there is no champion yet")


@pytest.mark.parametrize("gate", [DROP, GAIN, LOSS_DROP, LOSS_GAIN], ids=str)
def test_a_champion_that_may_have_seen_the_test_rows_is_no_comparison(gate):
    found, sentence = said(gate, champion=AUC | LOSS, comparable=False, roc_auc=0.99, log_loss=0.01)
    assert found == INSUFFICIENT
    assert "another split" in sentence


@pytest.mark.parametrize("gate", [FLOOR, CEILING, {"beats": "dummy"}], ids=str)
def test_gates_that_ask_for_no_champion_do_not_mind_which_one_there_is(gate):
    figures = {"roc_auc": 0.9, "log_loss": 0.1, "cost": 0.1}
    assert said(gate, champion=AUC, comparable=False, **figures) == said(gate, **figures)


# ---------------------------------------------------------------- together


def test_one_gate_that_does_not_pass_keeps_a_stage_shut():
    gates = [Gate(**gate) for gate in (FLOOR, {"beats": "rule"}, CEILING)]
    evidence = Evidence({"roc_auc": 0.9, "cost": 0.9, "log_loss": 0.1}, BASELINES)
    found = [judge_one(gate, evidence, "binary") for gate in gates]
    assert [verdict.verdict for verdict in found] == [PASS, FAIL, PASS]
    assert not opens(found)


@given(st.lists(st.sampled_from([PASS, FAIL, INSUFFICIENT])))
@settings(deadline=None)
def test_a_stage_opens_only_if_every_gate_passes(verdicts):
    assert opens([Verdict(each, "", 0.0) for each in verdicts]) == (set(verdicts) <= {PASS})


FIGURES = st.floats(0, 1)


@st.composite
def gates(draw):
    bound = draw(st.sampled_from(["minimum", "maximum", "max_drop", "min_gain"]))
    return Gate(metric=draw(st.sampled_from(list(METRICS))), **{bound: draw(FIGURES)})


@given(gates(), FIGURES, FIGURES, st.none() | FIGURES, st.booleans())
@settings(deadline=None)
def test_a_better_challenger_never_fails_where_a_worse_one_passes(gate, one, other, champion, comparable):
    # A ceiling on a metric of which more is better (or the reverse) asks for less of it, by its own word.
    higher = METRICS[gate.metric].higher_is_better
    rises = gate.maximum is None if gate.minimum is not None or gate.maximum is not None else higher
    worse, better = sorted([one, other], reverse=not rises)
    beside = None if champion is None else {gate.metric: champion}
    found = [
        judge_one(gate, Evidence({gate.metric: figure}, {}, beside, None if comparable else OTHER_SPLIT), "binary")
        for figure in (worse, better)
    ]
    assert [each.verdict for each in found] != [PASS, FAIL]


@given(st.sampled_from(["rule", "dummy"]), FIGURES, FIGURES, FIGURES, st.sampled_from(["binary", "regression"]))
@settings(deadline=None)
def test_a_cheaper_challenger_beats_whatever_a_dearer_one_beats(name, one, other, baseline, kind):
    figures = [{"cost": figure, "mae": figure} for figure in sorted([one, other])]
    beside = {name: {"cost": baseline, "mae": baseline}}
    cheap, dear = (judge_one(Gate(beats=name), Evidence(each, beside), kind).verdict for each in figures)
    assert (cheap, dear) != (FAIL, PASS)


@given(st.sampled_from(list(METRICS)), FIGURES, st.floats(1e-6, 1))
@settings(deadline=None)
def test_a_challenger_as_good_as_the_champion_may_always_drop_a_little_and_gains_nothing(metric, figure, bound):
    evidence = Evidence({metric: figure}, {}, {metric: figure})
    both = (Gate(metric=metric, max_drop=bound), Gate(metric=metric, min_gain=bound))
    drop, gain = (judge_one(gate, evidence, "binary") for gate in both)
    assert (drop.verdict, gain.verdict) == (PASS, FAIL)


# ---------------------------------------------------------------- how sure


def spread(figure, error=0.02):
    """A figure whose draws are a normal distribution."""
    levels = (np.arange(1, 2_000) / 2_000).astype(float)
    return Estimate(figure, figure + error * ndtri(levels))


def sure(gate, figure, champion=None, error=0.02, **baselines):
    metric = gate.get("metric", "cost")
    beside = {metric: champion} if champion is not None else None
    evidence = Evidence({metric: figure}, {name: {metric: value} for name, value in baselines.items()}, beside,
                        sure=lambda *_: spread(figure, error), rows=1_000)  # fmt: skip
    return judge_one(Gate(**gate), evidence, "binary")


@pytest.mark.parametrize(
    ("gate", "figure", "expected"),
    [
        (FLOOR, 0.84, PASS), (FLOOR, 0.83, INSUFFICIENT), (FLOOR, 0.77, INSUFFICIENT), (FLOOR, 0.76, FAIL),
        (CEILING, 0.46, PASS), (CEILING, 0.49, INSUFFICIENT), (CEILING, 0.54, FAIL),
        (DROP, 0.74, PASS), (DROP, 0.72, INSUFFICIENT), (DROP, 0.66, FAIL),
        (GAIN, 0.84, PASS), (GAIN, 0.81, INSUFFICIENT), (GAIN, 0.75, FAIL),
        (LOSS_DROP, 0.51, PASS), (LOSS_DROP, 0.56, INSUFFICIENT), (LOSS_GAIN, 0.41, PASS), (LOSS_GAIN, 0.5, FAIL),
        ({"beats": "dummy"}, 0.36, PASS), ({"beats": "dummy"}, 0.39, INSUFFICIENT), ({"beats": "dummy"}, 0.44, FAIL),
        ({**GAIN, "against": "dummy"}, 0.5, PASS), ({**GAIN, "against": "dummy"}, 0.4, FAIL),
    ],
)  # fmt: skip
def test_a_bound_that_meets_the_threshold_opens_and_one_that_straddles_it_does_not(gate, figure, expected):
    champion = 0.5 if gate.get("metric") == "log_loss" else 0.75
    assert sure(gate, figure, champion, dummy=0.4).verdict == expected


@pytest.mark.parametrize("gate", [FLOOR, CEILING, DROP, LOSS_GAIN], ids=str)
@given(figure=FIGURES, one=st.floats(0.001, 0.2), other=st.floats(0.001, 0.2))
@settings(deadline=None, max_examples=40)
def test_with_less_chance_in_a_figure_a_verdict_is_never_less_sure(gate, figure, one, other):
    small, large = sorted([one, other])
    narrow, wide = (sure(gate, figure, 0.6, error).verdict for error in (small, large))
    assert wide in (narrow, INSUFFICIENT)


@given(figure=st.floats(0.801, 0.83))
@settings(deadline=None)
def test_so_many_more_rows_would_open_the_gate_if_the_figure_stayed(figure):
    found = sure(FLOOR, figure)
    grown = (1_000 + found.more_rows) / 1_000
    assert sure(FLOOR, figure, error=0.02 / math.sqrt(grown)).verdict == PASS
    fewer = (1_000 + 0.85 * found.more_rows) / 1_000
    assert sure(FLOOR, figure, error=0.02 / math.sqrt(fewer)).verdict == INSUFFICIENT or found.more_rows < 20


def test_no_number_of_rows_helps_a_figure_on_the_wrong_side():
    found = sure(FLOOR, 0.79)
    assert (found.verdict, found.more_rows) == (INSUFFICIENT, None)
    assert "no number of rows would open it" in found.sentence


def test_a_gate_may_go_back_to_the_bare_figure():
    assert sure(FLOOR, 0.801).verdict == INSUFFICIENT
    assert sure({**FLOOR, "point": True}, 0.801).verdict == PASS
    assert sure({**FLOOR, "point": True}, 0.799).verdict == FAIL


def test_a_figure_without_bounds_opens_nothing():
    evidence = Evidence({"roc_auc": 0.9}, {}, sure=lambda *_: Estimate(0.9, np.array([np.nan])), rows=12)
    found = judge_one(Gate(**FLOOR), evidence, "binary")
    assert (found.verdict, found.sentence) == (INSUFFICIENT, "roc_auc: too few rows for bounds (12)")


# ---------------------------------------------------------------- slices


def part(name, figure, error=0.02, **more):
    return Slice(name, spread(figure, error), Asked("roc_auc", ">=", 0.7), 500, **more)


def test_a_slice_that_misses_closes_the_gate_and_is_named():
    found = weigh_slices([part("a", 0.9), part("b", 0.6), part("c", 0.8)])
    assert found.verdict == FAIL
    assert "roc_auc where b 0.6000" in found.sentence
    assert "1 of 3 slices" in found.sentence


def test_the_more_slices_are_looked_at_the_less_one_of_them_says():
    assert weigh_slices([part("a", 0.66)]).verdict == FAIL
    assert weigh_slices([part("a", 0.66), *(part(str(i), 0.9) for i in range(19))]).verdict == INSUFFICIENT


def test_a_slice_with_too_few_rows_leaves_the_gate_closed_though_the_others_pass():
    found = weigh_slices([part("a", 0.9), part("b", 0.9, too_few="12 rows, fewer than min_rows", more_rows=88)])
    assert (found.verdict, found.more_rows) == (INSUFFICIENT, 88)
    assert weigh_slices([part("a", 0.9)]).verdict == PASS
    assert weigh_slices([]).verdict == INSUFFICIENT


@given(st.integers(1, 40), st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_slices_that_just_meet_their_bound_are_seldom_called_bad(many, seed):
    rng = np.random.default_rng(seed)
    called = [
        weigh_slices([part(str(i), 0.7 + 0.02 * rng.normal()) for i in range(many)]).verdict == FAIL for _ in range(20)
    ]
    assert sum(called) <= 6  # 1 is due, over all slices together


def test_the_report_of_a_gate_is_plain_and_complete():
    (found,) = as_json({"Staging": [sure(FLOOR, 0.83)]})
    assert list(found) == [
        "stage",
        "verdict",
        "sentence",
        "figure",
        "kind",
        "low",
        "high",
        "threshold",
        "rows",
        "more_rows",
        "subject",
        "accepted",
    ]
    assert (found["kind"], found["threshold"], found["rows"]) == ("minimum", 0.8, 1_000)
    (unknown,) = as_json({"Staging": [sure(FLOOR, math.nan)]})
    assert unknown["figure"] is None


# ---------------------------------------------------------------- beside the champion by default


def beside_champion(metric, own, champion, reason=None):
    others = None if champion is None else {metric: champion}
    return keeps_up(metric, Evidence({metric: own}, {}, others, reason, rows=500))


@pytest.mark.parametrize(
    ("metric", "own", "champion", "verdict"),
    [
        ("roc_auc", 0.785, 0.8, "pass"),
        ("roc_auc", 0.775, 0.8, "fail"),
        ("rmse", 52, 50, "pass"),
        ("rmse", 53, 50, "fail"),
        ("log_loss", 0.025, 0.01, "pass"),  # of a tiny loss a few hundredths are nothing
        ("log_loss", 0.46, 0.40, "fail"),
        ("roc_auc", math.nan, 0.8, "fail"),
        ("roc_auc", 0.6, None, "pass"),
    ],
)
def test_by_default_a_version_is_hardly_worse_than_the_champion(metric, own, champion, verdict):
    assert beside_champion(metric, own, champion).verdict == verdict


def test_where_the_champion_cannot_be_compared_the_default_gate_says_so_and_lets_pass():
    found = beside_champion("roc_auc", 0.6, 0.9, OTHER_SPLIT)
    assert (found.verdict, found.sentence) == ("pass", f"roc_auc 0.6000, beside no champion: {OTHER_SPLIT}")


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_none_opens_no_gate(figure):
    for sign in (">=", "<=", "<"):
        assert weigh(Asked("rmse", sign, 1.0), Estimate(figure), 100).verdict == "fail"
    champion = Evidence({"rmse": 5.0}, {"dummy": {"mae": figure}}, {"rmse": figure})
    assert judge_one(Gate(metric="rmse", max_drop=1), champion, "regression").verdict == "fail"
    assert judge_one(Gate(beats="dummy"), champion, "regression").verdict == "fail"
