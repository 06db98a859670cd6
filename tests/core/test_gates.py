import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.config import METRICS, Gate
from ratchet.core.gates import FAIL, INSUFFICIENT, PASS, Evidence, Verdict, judge, opens

BASELINES = {"dummy": {"cost": 0.4, "mae": 4.0}, "rule": {"cost": 0.3, "mae": 3.0}}


OTHER_SPLIT = "the champion learned from another split"


def verdict(gate, kind="binary", champion=None, comparable=True, baselines=None, **challenger):
    evidence = Evidence(
        challenger, BASELINES if baselines is None else baselines, champion, None if comparable else OTHER_SPLIT
    )
    (found,) = judge([Gate(**gate)], evidence, kind)
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


def test_there_is_one_verdict_per_gate_in_their_order():
    gates = [Gate(**gate) for gate in (FLOOR, {"beats": "rule"}, CEILING)]
    found = judge(gates, Evidence({"roc_auc": 0.9, "cost": 0.9, "log_loss": 0.1}, BASELINES), "binary")
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
        judge([gate], Evidence({gate.metric: figure}, {}, beside, None if comparable else OTHER_SPLIT), "binary")[
            0
        ].verdict
        for figure in (worse, better)
    ]
    assert found != [PASS, FAIL]


@given(st.sampled_from(["rule", "dummy"]), FIGURES, FIGURES, FIGURES, st.sampled_from(["binary", "regression"]))
@settings(deadline=None)
def test_a_cheaper_challenger_beats_whatever_a_dearer_one_beats(name, one, other, baseline, kind):
    figures = [{"cost": figure, "mae": figure} for figure in sorted([one, other])]
    beside = {name: {"cost": baseline, "mae": baseline}}
    cheap, dear = (judge([Gate(beats=name)], Evidence(each, beside), kind)[0].verdict for each in figures)
    assert (cheap, dear) != (FAIL, PASS)


@given(st.sampled_from(list(METRICS)), FIGURES, st.floats(1e-6, 1))
@settings(deadline=None)
def test_a_challenger_as_good_as_the_champion_may_always_drop_a_little_and_gains_nothing(metric, figure, bound):
    evidence = Evidence({metric: figure}, {}, {metric: figure})
    drop, gain = judge([Gate(metric=metric, max_drop=bound), Gate(metric=metric, min_gain=bound)], evidence, "binary")
    assert (drop.verdict, gain.verdict) == (PASS, FAIL)
