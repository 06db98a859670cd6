"""What each gate of a stage says of a judged model: from the answers that evaluate kept, and from the model itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ratchet.adapters import registry
from ratchet.adapters.runs import Run
from ratchet.adapters.sides import GROUP
from ratchet.config import METRICS, Gate, GroupSplit, HashSplit, Kind, Task, TimeSplit
from ratchet.core import asked as asking
from ratchet.core import bootstrap, fairness, findings, gates, metrics, slices
from ratchet.core.bootstrap import Estimate, How, Plan
from ratchet.core.findings import Finding
from ratchet.core.gates import INSUFFICIENT, Asked, Evidence, Slice, Verdict
from ratchet.core.leaks import PERFECT_METRICS
from ratchet.core.metrics import Judged
from ratchet.core.slices import Part
from ratchet.stages import CHAMPION, PRODUCTION, STAGING
from ratchet.steps import evaluate, preprocess, probe
from ratchet.steps.evaluate import Evaluated, Sides
from ratchet.steps.predictions import MODEL
from ratchet.steps.preprocess import Prepared
from ratchet.steps.session import Session

WAY = {"staging": (STAGING,), "production": (STAGING, PRODUCTION)}
TRAIN_ROWS = 20_000  # of train that the gap to test is seen from
CLASS_ROWS = 10  # of each class, for a metric that looks at each class by itself
CELLS = 400_000_000  # weights that the slices of one gate are drawn with; of many slices each has fewer draws
FEWEST_DRAWS = 200


def judge(
    session: Session, run: Run | None, evaluated: Evaluated, stages: Sequence[str]
) -> Mapping[str, list[Verdict]]:
    """Return what each gate of the stages says, in order; with a run they are logged there as gates.json."""
    asking.metric(session.task, evaluated.report["kind"])  # gates may have come after the search that checks them
    case = _Case(session, evaluated)
    of_every_task = findings.verdicts(case.findings, case.hypothesis, session.task.gates.accept)
    found = {
        stage: [*(case.verdict(gate, place) for place, gate in _placed(session.task, stage)), *of_every_task]
        for stage in stages
    }
    for text in findings.unmatched(case.findings, session.task.gates.accept):
        session.progress.note(text)
    if run:
        run.log_json(gates.as_json(found), "gates.json")
    return found


def check(session: Session, prepared: Prepared) -> None:
    """Raise DataError if a gate's slices or groups do not fit the rows: before a search is waited for."""
    for stage in (STAGING, PRODUCTION):
        for place, gate in _placed(session.task, stage):
            said = {f"{place}.slices[{number}]": text for number, text in enumerate(gate.slices)}
            said |= {f"{place}.by": gate.by} if gate.by else {}
            for where, text in said.items():
                slices.grouped(text, _columns(prepared, [text]), where)


def _placed(task: Task, stage: str) -> list[tuple[str, Gate]]:
    """The gates of a stage by their place in the YAML file."""
    name = stage.lower()
    return [(f"gates.{name}[{number}]", gate) for number, gate in enumerate(getattr(task.gates, name))]


def _columns(prepared: Prepared, expressions: Sequence[str]) -> pd.DataFrame:
    """The columns of test that expressions read; where one is not there, all, for the error to say what is."""
    known = prepared.about["columns"]
    names = slices.names_in(expressions)
    return prepared.rows("test", names if names and set(names) <= set(known) else None)


@dataclass(frozen=True)
class _Case:
    """One judged model before its gates; what several of them look at is looked up once."""

    session: Session
    evaluated: Evaluated

    @cached_property
    def sides(self) -> Sides:
        """What each side says: as evaluate saw it in this session, else asked again, since what it kept is a file."""
        if self.evaluated.run_id in self.session.results:
            seen: Sides = self.session.results[self.evaluated.run_id]
            return seen
        told = self.evaluated.report["champion"]
        champion = registry.numbered(self.session.client, self.session.task.name, told["version"]) if told else None
        return evaluate.sides_of(self.session, self.prepared, self.evaluated.trained, champion)

    @property
    def answers(self) -> Mapping[str, Judged]:
        return self.sides.answers

    @cached_property
    def evidence(self) -> Evidence:
        found = self.sides.evidence(self.kind, self.session.task.decision.cost)
        return replace(found, sure=self.sure, rows=len(self.answers[MODEL].truth))

    @cached_property
    def prepared(self) -> Prepared:
        return preprocess.preprocess(self.session)

    @cached_property
    def plan(self) -> Plan:
        return self._plan("test", len(self.answers[MODEL].truth))

    @cached_property
    def found(self) -> dict[tuple[str, str | None], Estimate]:
        return {}

    @property
    def kind(self) -> Kind:
        return self.prepared.kind

    @cached_property
    def findings(self) -> list[Finding]:
        """What closes every stage of any task: what gives the target away to this model, a refuted hypothesis."""
        encoder = self.session.scorer(self.evaluated.trained.model).encoder
        columns = getattr(encoder, "columns", ())  # a text has none, and no column is looked at
        kinds = {column.name: column.kind for column in columns if not column.formula}
        formulas = {column.name: column.formula for column in columns if column.formula}
        model = self.answers[MODEL]
        figures = {name: metrics.value(name, model, self.session.task.decision.cost)
                   for name in PERFECT_METRICS if self.kind in METRICS[name].kinds}  # fmt: skip
        rows = {name: metrics.units(name, model) for name in figures}
        leaks = preprocess.leaks_of(self.prepared, kinds, formulas)
        return [*findings.leaks_found(leaks, figures, rows), *findings.hypothesis_found(self.hypothesis)]

    @cached_property
    def hypothesis(self) -> dict[str, Any] | None:
        """What becomes of the hypothesis; not as evaluate's file has it, which somebody may have changed."""
        task = self.session.task
        if task.problem.hypothesis is None or self.evaluated.run_id in self.session.results:
            told: dict[str, Any] | None = self.evaluated.report["hypothesis"]
            return told
        judged, cost = self.answers[MODEL], task.decision.cost
        spread = metrics.intervals(self.kind, judged, cost, task.search.seed)
        return evaluate.hypothesis_of(task, metrics.usual(self.kind, judged, cost), spread)

    def verdict(self, gate: Gate, place: str) -> Verdict:
        """Return what one gate says. place: of it in the YAML file."""
        if gate.fairness:
            verdict = self._fairness(gate, place)
        elif gate.latency:
            verdict = probe.latency(self.session, self.evaluated, self.prepared, gate)
        elif gate.size_mb is not None:
            verdict = probe.size(self.session, self.evaluated, gate.size_mb)
        elif gate.age_days is not None:
            verdict = probe.age(self.session.task, self.prepared, gate.age_days)
        elif gate.serves:
            verdict = probe.serves(self.session, self.evaluated, gate.serves)
        elif gate.keeps_up:
            verdict = gates.keeps_up(asking.metric(self.session.task, self.kind), self.evidence)
        elif gate.max_gap is not None:
            verdict = self._gap(gate)
        elif gate.slices or gate.worst:
            verdict = self._by_slice(gate, place)
        else:
            verdict = gates.judge_one(gate, self.evidence, self.kind)
        return replace(self._told(verdict), kind=gates.kind_of(gate))

    def sure(self, metric: str, rival: str | None) -> Estimate:
        """Return a figure on test, alone or beside a rival on the same rows, with its chance."""
        if (metric, rival) not in self.found:
            self.found[metric, rival] = self._estimate(metric, rival, None, self.plan)
        return self.found[metric, rival]

    def _estimate(self, metric: str, rival: str | None, rows: np.ndarray | None, plan: Plan) -> Estimate:
        cost = self.session.task.decision.cost
        sides = [self.answers[who] for who in (MODEL, rival) if who]
        sides = sides if rows is None else [side.take(rows) for side in sides]
        each = [metrics.statistic(metric, side, cost) for side in sides]
        reach = max(cost.false_positive, cost.false_negative) if metric == "cost" and self.kind == "binary" else 1.0
        units = 0 if self.kind == "regression" else min(plan.units, metrics.units(metric, sides[0]))
        if rival:
            alike = np.array_equal(sides[0].scores, sides[1].scores)  # then nothing is left to chance
            paired = bootstrap.estimate(bootstrap.difference(*each), plan, "paired", 0 if alike else units, reach)
            return paired.shifted(metrics.value(metric, sides[1], cost))
        how: How = "one-sided" if metric == "ece" else "bca"
        return bootstrap.estimate(each[0], plan, how, units, reach)

    def _plan(self, side: str, rows: int, most: int | None = None) -> Plan:
        """How rows of a side are drawn: one by one, or by the groups that the split keeps together."""
        groups = None
        if isinstance(self.session.task.split, GroupSplit):
            groups = np.unique(self.prepared.rows(side, [GROUP], most)[GROUP].to_numpy(), return_inverse=True)[1]
        # Not by search.seed, which --seed sets: else one could ask again until the draws come out well.
        return Plan(rows, int(self.prepared.about["split_digest"][:8], 16), groups)

    def _told(self, verdict: Verdict) -> Verdict:
        """Add to how many more rows it takes how many that are in all."""
        split = self.session.task.split
        if not (verdict.more_rows and verdict.rows and isinstance(split, HashSplit | GroupSplit | TimeSplit)):
            return verdict
        everything = len(self.answers[MODEL].truth) / split.test
        total = gates.rounded_up(verdict.more_rows * everything / verdict.rows)
        return replace(verdict, sentence=f"{verdict.sentence} (at this split some {total:,} more labelled rows)")

    def _gap(self, gate: Gate) -> Verdict:
        metric, cost = str(gate.metric), self.session.task.decision.cost
        rows = self.prepared.rows("train", most=TRAIN_ROWS)
        scorer = self.session.scorer(self.evaluated.trained.model)
        seen = evaluate.judge_scorer(scorer, rows, self.prepared.target(rows))
        plan = self._plan("train", len(rows), TRAIN_ROWS)
        train = bootstrap.estimate(metrics.statistic(metric, seen, cost), plan, "paired")
        test = self.sure(metric, None)
        sides = (train, test) if METRICS[metric].higher_is_better else (test, train)
        gap = bootstrap.independent(*sides, self.plan.seed)
        of = f" (train {train.figure:.4f}, test {test.figure:.4f})"
        asked = Asked(f"{metric}, train to test:", "<=", gate.max_gap or 0.0, of)
        return gates.weigh(asked, Estimate(gap.figure) if gate.point else gap, self.plan.rows)

    def _fairness(self, gate: Gate, place: str) -> Verdict:
        name, by, judged = str(gate.fairness), str(gate.by), self.answers[MODEL]
        codes, labels = slices.grouped(by, _columns(self.prepared, [by]), f"{place}.by")
        sign, bound = (">=", gate.minimum) if gate.minimum is not None else ("<=", gate.maximum)
        asked = Asked(f"{name} by {by}", sign, bound or 0.0, f" ({len(labels)} groups)")
        for code, label in enumerate(labels):
            rows = np.flatnonzero(codes == code)
            by_class = "" if name.startswith("demographic") else "recall"
            if lacking := _lacking(judged.take(rows), by_class, gate.min_rows):
                text = f"{asked.name}, group {label}: {lacking[1]}"
                return Verdict(INSUFFICIENT, text, np.nan, threshold=asked.bound, rows=len(rows), more_rows=lacking[0])
        figure = fairness.figure(name, judged.truth, judged.decided, codes)
        if gate.point:
            return gates.weigh(asked, Estimate(figure), self.plan.rows)
        statistic = fairness.statistic(name, judged.truth, judged.decided, codes)
        found = bootstrap.estimate(statistic, self.plan, "one-sided", int(np.bincount(codes).min()))
        return gates.weigh(asked, replace(found, figure=figure), self.plan.rows)

    def _by_slice(self, gate: Gate, place: str) -> Verdict:
        metric = gate.metric or ("mae" if self.kind == "regression" else "cost")
        asked = gates.asked_of(gate, metric, self.evidence)
        if isinstance(asked, Verdict):
            return asked
        parts = self._parts(gate, metric, place)
        drawn = sum(len(part.rows) for part in parts)
        draws = max(FEWEST_DRAWS, min(bootstrap.DRAWS, CELLS // max(drawn, 1)))
        return gates.weigh_slices([self._slice(gate, metric, part, draws) for part in parts])

    def _parts(self, gate: Gate, metric: str, place: str) -> list[Part]:
        found = [
            part
            for number, text in enumerate(gate.slices)
            for part in slices.by_expression(text, _columns(self.prepared, [text]), f"{place}.slices[{number}]")
        ]
        if gate.worst:
            kinds = {name: kind for name, kind in self.prepared.plan.kinds.items() if kind in ("number", "category")}
            parts = slices.searched(self.prepared.rows("test", list(kinds)), kinds, gate.worst, gate.min_rows)
            model = self.answers[MODEL]
            found += [part for part in parts if not _lacking(model.take(part.rows), metric, gate.min_rows)]
        return found

    def _slice(self, gate: Gate, metric: str, part: Part, draws: int) -> Slice:
        """One slice with its figure, and with its own bound where that is another side's figure there."""
        cost, rival = self.session.task.decision.cost, gates.rival_of(gate)
        there = {who: {metric: metrics.value(metric, judged.take(part.rows), cost)}
                 for who, judged in self.answers.items() if who in (MODEL, rival)}  # fmt: skip
        asked = gates.asked_of(gate, metric, Evidence(there[MODEL], there, there.get(CHAMPION)))
        lacking = _lacking(self.answers[MODEL].take(part.rows), metric, gate.min_rows)
        if isinstance(asked, Verdict):
            lacking, asked = lacking or (0, asked.sentence), Asked(metric, "", np.nan)
        if lacking:
            return Slice(part.name, Estimate(np.nan), asked, len(part.rows), *lacking)
        if gate.point:
            return Slice(part.name, Estimate(there[MODEL][metric]), asked, len(part.rows))
        found = self._estimate(metric, rival, part.rows, self.plan.take(part.rows, draws))
        return Slice(part.name, found, asked, len(part.rows))


def _lacking(judged: Judged, metric: str, least: int) -> tuple[int, str] | None:
    """What some rows lack for a figure: how many more it takes, and in words; None if they are enough."""
    rows, rarest = len(judged.truth), metrics.units(metric, judged)
    if rows < least:
        return least - rows, f"{rows:,} rows, fewer than min_rows ({least:,}); join it to another, or lower min_rows"
    if rarest < CLASS_ROWS:
        more = gates.rounded_up(rows * (CLASS_ROWS / max(rarest, 1) - 1))
        return more, f"{rarest} rows of its rarest class; {metric} takes {CLASS_ROWS}"
    return None
