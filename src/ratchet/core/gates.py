"""Whether a version may enter a stage: each gate gives a verdict, its figure with bounds, and a sentence."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ratchet.config import KEEPS_UP_DROP, KEEPS_UP_RISE, METRICS, Gate
from ratchet.core.bootstrap import ALPHA, Estimate, holm

PASS, FAIL, INSUFFICIENT = "pass", "fail", "insufficient"
OPPOSITE = {">=": "<", "<=": ">", "<": ">="}
NEVER = "no number of rows would open it while the figure stays"


@dataclass(frozen=True)
class Verdict:
    """What a gate says; only `pass` opens.

    low, high: the one-sided 95 % bounds of the figure, on its scale, as is the threshold; rows: how many it rests on;
    more_rows: about how many more of them it would take to pass, None where they would not help or are not needed.
    subject, accepted: of a leak the column or the metric, and the reason for which the task lets it pass.
    """

    verdict: str
    sentence: str
    figure: float
    kind: str = ""
    low: float = math.nan
    high: float = math.nan
    threshold: float = math.nan
    rows: int = 0
    more_rows: int | None = None
    subject: str = ""
    accepted: str = ""


@dataclass(frozen=True)
class Asked:
    """What is asked of a figure. sign: >=, <= or <; of: where the bound comes from; unit: what more of would tell."""

    name: str
    sign: str
    bound: float
    of: str = ""
    unit: str = "rows like these"


@dataclass(frozen=True)
class Evidence:
    """Figures on the test set: of the challenger, and of what it is compared with.

    champion is None while there is none; `incomparable` says why the two cannot be compared, such as a side that
    trained, tuned or calibrated on the test rows. sure: metric, against whom (or None) -> the challenger's figure with
    what is known of its chance, against another on the same rows; without it the bare figures count. rows: of test.
    """

    challenger: Mapping[str, float]
    baselines: Mapping[str, Mapping[str, float]]
    champion: Mapping[str, float] | None = None
    incomparable: str | None = None
    sure: Callable[[str, str | None], Estimate] | None = None
    rows: int = 0


def judge_one(gate: Gate, evidence: Evidence, kind: str) -> Verdict:
    """Return the verdict of a gate about a metric or a rival."""
    metric = gate.metric or ("mae" if kind == "regression" else "cost")
    asked = asked_of(gate, metric, evidence)
    if isinstance(asked, Verdict):
        return replace(asked, kind=kind_of(gate))
    figure = evidence.challenger.get(metric, math.nan)
    rival = rival_of(gate)
    bare = gate.point or evidence.sure is None
    found = Estimate(figure) if bare or evidence.sure is None else evidence.sure(metric, rival)
    return replace(weigh(asked, found, evidence.rows), kind=kind_of(gate))


def keeps_up(metric: str, evidence: Evidence) -> Verdict:
    """Return whether the challenger is at most a little worse than the champion, by the bare figures.

    Where the two cannot be compared it passes and says why: nobody asked for this gate by name, and a task whose split
    changes with its data would never have a second version.
    """
    figure = evidence.challenger.get(metric, math.nan)
    if evidence.champion is None:
        return Verdict(PASS, f"{metric} {figure:.4f}; there is no champion yet", figure)
    other = evidence.champion.get(metric, math.nan)
    if evidence.incomparable or not math.isfinite(other):
        reason = evidence.incomparable or f"the champion's {metric} is missing"
        return Verdict(PASS, f"{metric} {figure:.4f}, beside no champion: {reason}", figure)
    rises = METRICS[metric].higher_is_better
    margin = KEEPS_UP_DROP if rises else max(KEEPS_UP_RISE * abs(other), _least_rise(metric))
    bound = other - margin if rises else other + margin
    of = f" (champion {other:.4f} {'-' if rises else '+'} {margin:.4g})"
    return weigh(Asked(metric, ">=" if rises else "<=", bound, of), Estimate(figure), evidence.rows)


def _least_rise(metric: str) -> float:
    return 0.0 if METRICS[metric].kinds == ("regression",) else KEEPS_UP_DROP


def kind_of(gate: Gate) -> str:
    """Return what a gate is about, in one word of the YAML file."""
    subjects = ("beats", "fairness", "latency", "size_mb", "age_days", "serves", "keeps_up")
    bounds = ("minimum", "maximum", "max_drop", "min_gain", "max_gap")
    named = [name for name in (*subjects, *bounds) if getattr(gate, name) is not None]
    return f"{named[0]} by slice" if gate.slices or gate.worst else named[0]


def rival_of(gate: Gate) -> str | None:
    """Return whom a gate compares the challenger with: champion, rule, dummy, or None."""
    if gate.max_drop is None and gate.min_gain is None:
        return gate.beats
    return gate.against or "champion"


def asked_of(gate: Gate, metric: str, evidence: Evidence) -> Asked | Verdict:
    """Return what the gate asks on the metric's own scale, or the verdict where nothing can be compared."""
    figure = evidence.challenger.get(metric, math.nan)
    if gate.minimum is not None:
        return Asked(metric, ">=", gate.minimum)
    if gate.maximum is not None:
        return Asked(metric, "<=", gate.maximum)
    rival = rival_of(gate)
    if gate.beats is None and math.isnan(figure):
        return Verdict(FAIL, f"{metric} is missing", figure)
    if rival == "champion" and evidence.champion is None:
        return Verdict(PASS, f"{metric} {figure:.4f}; there is no champion yet", figure)
    if rival == "champion" and evidence.incomparable:
        return Verdict(INSUFFICIENT, f"{metric}: {evidence.incomparable}", figure)
    others = evidence.champion if rival == "champion" else evidence.baselines.get(rival or "")
    other = (others or {}).get(metric, math.nan)
    if gate.beats:
        if not math.isfinite(other):
            return Verdict(FAIL, f"beats {rival}: the {rival}'s {metric} is {_not_there(other)}", figure)
        return Asked(metric, "<", other, f" of the {rival}")
    if not math.isfinite(other):
        return Verdict(FAIL, f"{metric}: the {rival}'s is {_not_there(other)}", figure)
    rises = METRICS[metric].higher_is_better
    margin = -gate.max_drop if gate.max_drop is not None else gate.min_gain or 0.0
    up = margin if rises else -margin
    sign = "-" if math.copysign(1, up) < 0 else "+"
    return Asked(metric, ">=" if rises else "<=", other + up, f" ({rival} {other:.4f} {sign} {abs(margin):g})")


def weigh(asked: Asked, found: Estimate, rows: int, alpha: float = ALPHA, where: str = "") -> Verdict:
    """Return whether a figure surely meets its bound, surely misses it, or neither.

    alpha: the chance of each of the two errors that is allowed; where: the rows that are meant, in words.
    """
    name = f"{asked.name}{where}"
    if not math.isfinite(found.figure):
        text = f"{name} is {_not_there(found.figure)}; it has to be {asked.sign} {asked.bound:.4g}{asked.of}"
        return Verdict(FAIL, text, found.figure, "", threshold=asked.bound, rows=rows)
    low, high = found.bound(alpha), found.bound(1 - alpha)
    said = {">=": (low >= asked.bound, high < asked.bound), "<=": (high <= asked.bound, low > asked.bound),
            "<": (high < asked.bound, low >= asked.bound)}[asked.sign]  # fmt: skip
    verdict = PASS if said[0] else FAIL if said[1] else INSUFFICIENT
    shown = asked.sign if verdict == PASS else OPPOSITE[asked.sign]
    bounds = "" if low == high else f" [{low:.4f}, {high:.4f}]"
    text = f"{name} {found.figure:.4f}{bounds} {shown} {asked.bound:.4f}{asked.of}"
    more = None
    if verdict == INSUFFICIENT:
        more = _more_rows(asked, found.figure, (low, high), rows)
        hint = NEVER if more is None else f"about {more:,} more {asked.unit} would tell"
        unsure = f"{name} {found.figure:.4f}{bounds} is not surely {asked.sign} {asked.bound:.4f}{asked.of}"
        text = f"{unsure}: {hint}" if not math.isnan(low) else f"{name}: too few rows for bounds ({rows:,})"
    return Verdict(verdict, text, found.figure, "", low, high, asked.bound, rows, more)


def _not_there(figure: float) -> str:
    return "missing" if math.isnan(figure) else "infinite"


def _more_rows(asked: Asked, figure: float, ends: tuple[float, float], rows: int) -> int | None:
    """How many more rows until the bound meets the threshold, if the figure stays: a bound nears as 1 / sqrt(rows)."""
    rises = asked.sign == ">="
    room = figure - asked.bound if rises else asked.bound - figure
    half = figure - ends[0] if rises else ends[1] - figure
    if room <= 0 or math.isnan(half) or rows <= 0:
        return None
    return rounded_up(max(rows * ((half / room) ** 2 - 1), 1))


def rounded_up(rows: float) -> int:
    """Return a number of rows as one says it, at two figures, never fewer."""
    step = 10 ** max(0, len(str(math.ceil(rows))) - 2)
    return int(math.ceil(rows / step) * step)


@dataclass(frozen=True)
class Slice:
    """Some of the rows. name: as a condition in words; found: the figure there; rows: how many they are.

    too_few: what is lacking for a figure, in words, or empty.
    """

    name: str
    found: Estimate
    asked: Asked
    rows: int
    more_rows: int = 0
    too_few: str = ""


def weigh_slices(slices: Sequence[Slice]) -> Verdict:
    """Return one verdict over all slices: the worst of theirs, held against Holm's levels for so many.

    Whether any slice misses its bound, and whether all meet it, are each a family of as many questions as there are
    slices. (For the second an uncorrected test would do, Berger 1982; each slice's own `pass` would then not hold.)
    """
    enough = [each for each in slices if not each.too_few]
    judged = _judged(enough)
    lacking = [Verdict(INSUFFICIENT, f"{each.asked.name} where {each.name}: {each.too_few}", math.nan, "",
                       threshold=each.asked.bound, rows=each.rows, more_rows=each.more_rows)
               for each in slices if each.too_few]  # fmt: skip
    order = {FAIL: 0, INSUFFICIENT: 1, PASS: 2}
    found = sorted([*lacking, *judged], key=lambda verdict: order[verdict.verdict])  # the worst of equals stays first
    if not found:
        return Verdict(INSUFFICIENT, "there is no slice with enough rows", math.nan)
    worst = found[0]
    same = sum(verdict.verdict == worst.verdict for verdict in found)
    count = f"{len(found)} slice{'s' if len(found) > 1 else ''}"
    told = f"worst of {count}" if worst.verdict == PASS else f"{same} of {count}"
    return replace(worst, sentence=f"{worst.sentence} ({told})")


def _judged(slices: Sequence[Slice]) -> list[Verdict]:
    """Return a verdict for each slice, the worst first."""
    meets, misses = [], []
    for each in slices:
        below = each.found.level(each.asked.bound)
        meets.append(below if each.asked.sign == ">=" else 1 - below)
        misses.append(1 - meets[-1])
    verdicts = []
    levels = list(zip(slices, meets, holm(meets), holm(misses), strict=True))
    for each, raw, met, missed in sorted(levels, key=lambda level: -level[1]):
        # The level at which Holm judges this slice, so that its bounds say what its verdict says.
        used, adjusted = (1 - raw, missed) if raw > 0.5 else (raw, met)
        alpha = ALPHA * min(1.0, used / adjusted) if adjusted > 0 and used > 0 else ALPHA / len(slices)
        verdict = weigh(each.asked, each.found, each.rows, min(alpha, ALPHA), f" where {each.name}")
        verdicts.append(verdict)
    return verdicts


def as_json(verdicts: Mapping[str, Sequence[Verdict]]) -> list[dict[str, Any]]:
    """Return the verdicts of each stage as plain values, in their order; what is not known is None."""
    return [
        {"stage": stage, **{n: None if isinstance(v, float) and math.isnan(v) else v for n, v in vars(verdict).items()}}
        for stage, judged in verdicts.items()
        for verdict in judged
    ]


def opens(verdicts: Sequence[Verdict]) -> bool:
    """Whether every gate passes."""
    return all(verdict.verdict == PASS for verdict in verdicts)
