"""Whether a version may enter a stage: each gate gives a verdict, its figure and a sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratchet.config import METRICS, Gate

PASS, FAIL, INSUFFICIENT = "pass", "fail", "insufficient"


@dataclass(frozen=True)
class Verdict:
    """What a gate says; only `pass` opens."""

    verdict: str
    sentence: str
    figure: float


@dataclass(frozen=True)
class Evidence:
    """Figures on the test set: of the challenger, and of what it is compared with.

    champion is None while there is none; `incomparable` says why the two cannot be compared, such as a side that
    trained, tuned or calibrated on the test rows.
    """

    challenger: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    champion: Mapping[str, float] | None = None
    incomparable: str | None = None


def judge(gates: Sequence[Gate], evidence: Evidence, kind: str) -> list[Verdict]:
    """Return one verdict per gate, in order."""
    return [_judge(gate, evidence, kind) for gate in gates]


def _judge(gate: Gate, evidence: Evidence, kind: str) -> Verdict:
    if gate.beats:
        return _beats(gate.beats, evidence, "mae" if kind == "regression" else "cost")
    assert gate.metric
    figure = evidence.challenger.get(gate.metric, math.nan)
    if gate.minimum is not None:
        return _verdict(figure >= gate.minimum, gate.metric, figure, ">=", gate.minimum)
    if gate.maximum is not None:
        return _verdict(figure <= gate.maximum, gate.metric, figure, "<=", gate.maximum)
    return _against_champion(gate, gate.metric, figure, evidence)


def _verdict(holds: bool, metric: str, figure: float, sign: str, bound: float, of: str = "") -> Verdict:
    opposite = {">=": "<", "<=": ">", "<": ">="}[sign]
    if math.isnan(figure):
        return Verdict(FAIL, f"{metric} is missing; it has to be {sign} {bound:.4g}{of}", figure)
    shown = sign if holds else opposite
    return Verdict(PASS if holds else FAIL, f"{metric} {figure:.4f} {shown} {bound:.4f}{of}", figure)


def _beats(name: str, evidence: Evidence, metric: str) -> Verdict:
    figure = evidence.challenger.get(metric, math.nan)
    other = evidence.baselines.get(name, {}).get(metric, math.nan)
    if math.isnan(other):
        return Verdict(FAIL, f"beats {name}: the {name}'s {metric} is missing", figure)
    return _verdict(figure < other, metric, figure, "<", other, f" of the {name}")


def _against_champion(gate: Gate, metric: str, figure: float, evidence: Evidence) -> Verdict:
    if math.isnan(figure):
        return Verdict(FAIL, f"{metric} is missing", figure)
    if evidence.champion is None:
        return Verdict(PASS, f"{metric} {figure:.4f}; there is no champion yet", figure)
    if evidence.incomparable:
        return Verdict(INSUFFICIENT, f"{metric}: {evidence.incomparable}", figure)
    champion = evidence.champion.get(metric, math.nan)
    if math.isnan(champion):
        return Verdict(FAIL, f"{metric}: the champion's is missing", figure)
    margin = -gate.max_drop if gate.max_drop is not None else gate.min_gain or 0.0
    word = f"champion {champion:.4f} {'-' if margin < 0 else '+'} {abs(margin):g}"
    if METRICS[metric].higher_is_better:
        return _verdict(figure >= champion + margin, metric, figure, ">=", champion + margin, f" ({word})")
    word = f"champion {champion:.4f} {'+' if margin < 0 else '-'} {abs(margin):g}"
    return _verdict(figure <= champion - margin, metric, figure, "<=", champion - margin, f" ({word})")


def opens(verdicts: Sequence[Verdict]) -> bool:
    """Whether every gate passes."""
    return all(verdict.verdict == PASS for verdict in verdicts)
