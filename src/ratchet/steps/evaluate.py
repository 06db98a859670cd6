"""Step 3: judge the model on test, once, beside the rule, the dummy and the champion."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ratchet.adapters import models, modelserver, records, registry
from ratchet.adapters.models import Model
from ratchet.adapters.registry import Version
from ratchet.adapters.runs import Run
from ratchet.config import METRICS, Cost, Task
from ratchet.core import baselines, metrics, plots
from ratchet.core.decision import cheapest_threshold
from ratchet.core.gates import Evidence
from ratchet.core.metrics import Judged
from ratchet.errors import DataError
from ratchet.stages import CHAMPION, PRODUCTION
from ratchet.steps import chronicle, describe, predictions, preprocess, train
from ratchet.steps.inputs import code_of, config_of, digest_of
from ratchet.steps.preprocess import Prepared
from ratchet.steps.session import Session, Step
from ratchet.steps.train import Trained

CODE = ("core/baselines.py", "core/bootstrap.py", "core/metrics.py", "steps/evaluate.py", "steps/predictions.py")
BY_HAND = "roll forward by hand: promote once with minimum or maximum instead of max_drop or min_gain"


@dataclass(frozen=True)
class Evaluated:
    """A judged model: its run, the model, and the figures on test."""

    run_id: str
    trained: Trained
    report: Mapping[str, Any]


def evaluate(session: Session, parent: Run | None = None, version: Version | None = None) -> Evaluated:
    """Judge the model of train on test, or that of a version; return the figures.

    Raises DataError if the version learned from another split, so that it may have seen the test rows.
    """
    champion = registry.in_stage(session.client, session.task.name, PRODUCTION)

    def recall(run_id: str) -> Evaluated:
        report = records.read_json(session.client, run_id, "evaluation.json")
        return Evaluated(run_id, Trained(report["train_run_id"], report["model_uri"]), report)

    def work(run: Run) -> None:
        trained = train.of_version(version) if version else train.train(session, parent or run)
        prepared = preprocess.preprocess(session, parent or run)
        if version and version.tags.get("ratchet.split") != prepared.about["split_digest"]:
            raise DataError(
                f"{version.name} version {version.number}: it learned from another split of the data, so it may have"
                " seen the test rows; promote it with the file and the data that it was trained by"
            )
        report = _judge(session, run, prepared, trained, champion)
        describe.evaluate_run(run, session.task, report)
        run.log_json(report, "evaluation.json")

    def told() -> dict[str, str]:
        return inputs(session, champion, version)

    return session.do(Step("evaluate", told(), recall, work, settled=told), parent)


def inputs(session: Session, champion: Version | None, version: Version | None = None) -> dict[str, str]:
    """What evaluate depends on: its code, the problem, the rows, the model, and the champion beside it."""
    told = config_of(session.task.model_dump(include={"problem", "decision"}))
    told |= {"champion": f"version {champion.number}" if champion else "none"}
    if version:
        below = digest_of(preprocess.inputs(session))
        return code_of(CODE) | told | {"step preprocess": below, "model of run": version.run_id}
    below = digest_of(train.inputs(session))
    return code_of(CODE) | told | {"step train": below, "model of run": session.finished("train", below) or "none yet"}


def _judge(
    session: Session, run: Run, prepared: Prepared, trained: Trained, champion: Version | None
) -> dict[str, Any]:
    task, kind, cost = session.task, prepared.kind, session.task.decision.cost
    sides = session.results[run.id] = sides_of(session, prepared, trained, champion)
    judged = sides.answers[predictions.MODEL]
    others = {who: each for who, each in sides.answers.items() if who not in (predictions.MODEL, CHAMPION)}
    found = metrics.usual(kind, judged, cost)
    spread = metrics.intervals(kind, judged, cost, task.search.seed)
    report = {
        "task": task.name,
        "kind": kind,
        "rows": len(judged.truth),
        "train_run_id": trained.run_id,
        "model_uri": trained.model_uri,
        "manifest": session.client.get_run(trained.run_id).data.tags[models.DIGEST],
        "split_digest": prepared.about["split_digest"],
        "metrics": found,
        "intervals": spread,
        "baselines": {name: metrics.usual(kind, other, cost) for name, other in others.items()},
        "champion": sides.champion,
        "hypothesis": hypothesis_of(task, found, spread),
        "answers": _answers(session, sides.scorer, trained.model),
    }
    _record(run, report, prepared, judged, others)
    predictions.keep(session, run, sides.answers)
    return report


@dataclass(frozen=True)
class Sides:
    """What the model, the baselines and the champion say of the test rows; champion: about it, None without one."""

    scorer: Any
    answers: Mapping[str, Judged]
    champion: dict[str, Any] | None

    def evidence(self, kind: str, cost: Cost) -> Evidence:
        """What the gates look at."""
        figures = {who: metrics.usual(kind, each, cost) for who, each in self.answers.items()}
        reason = self.champion["reason"] if self.champion else None
        beside = figures.get(CHAMPION, {}) if self.champion else None
        return Evidence(figures[predictions.MODEL], figures, beside, reason)


def sides_of(session: Session, prepared: Prepared, trained: Trained, champion: Version | None) -> Sides:
    """Return what each side says of the test rows, by its own verified model."""
    rows = prepared.rows("test")
    truth = prepared.target(rows)
    scorer = session.scorer(trained.model)
    answers = {predictions.MODEL: judge_scorer(scorer, rows, truth), **_baselines(session.task, prepared, rows, truth)}
    about, beside = _champion(session, prepared, rows, truth, champion)
    return Sides(scorer, answers | ({CHAMPION: beside} if beside else {}), about)


def _answers(session: Session, scorer: Any, model: Model) -> list[dict[str, Any]]:
    """What the model says of the rows that travel with it, for a server of it to say the same."""
    with session.fetched(model) as folder:
        sample = modelserver.sample_rows(folder)["dataframe_records"]
    answers: list[dict[str, Any]] = scorer.predict(pd.DataFrame(sample, columns=list(scorer.encoder.inputs)))
    return answers


def judge_scorer(scorer: Any, rows: pd.DataFrame, truth: np.ndarray) -> Judged:
    """Return what a scorer says of the rows. truth: (n,) class index or value."""
    scores = scorer.scores(rows)
    return Judged(truth, scores, scores if scorer.kind == "regression" else scorer.decisions(scores))


def _baselines(task: Task, prepared: Prepared, rows: pd.DataFrame, truth: np.ndarray) -> dict[str, Judged]:
    """The dummy, the rule (without one: the dummy again) and, for synthetic data, the truth itself."""
    cost, kind, classes = task.decision.cost, prepared.kind, prepared.classes
    seen = prepared.target(prepared.rows("train", [task.data.target]))
    dummy = baselines.dummy(seen, truth, classes, cost)
    said = task.problem.rule
    found = {"rule": baselines.rule(said, rows, truth, kind, classes) if said else dummy, "dummy": dummy}
    if task.data.truth:
        known = rows[task.data.truth].to_numpy(dtype=float)
        decided = known if kind == "regression" else (known >= cheapest_threshold(cost)).astype(int)
        found["truth"] = Judged(truth, known, decided)
    return found


def _champion(
    session: Session, prepared: Prepared, rows: pd.DataFrame, truth: np.ndarray, champion: Version | None
) -> tuple[dict[str, Any] | None, Judged | None]:
    """The champion on the same rows, with the reason where the two cannot be compared, and its answers."""
    if champion is None:
        return None, None
    about: dict[str, Any] = {"version": champion.number, "reason": None, "metrics": {}}
    if models.DIGEST not in champion.tags:
        return about | {
            "reason": "the champion comes from a release without manifests, so nobody can tell whether it is the model"
            f" that was judged; {BY_HAND}"
        }, None
    scorer = session.scorer(chronicle.model_of(session, champion))
    columns = {name: "number" if kind == "number" else "text" for name, kind in prepared.about["columns"].items()}
    changed = [name for name, kind in scorer.encoder.inputs.items() if columns.get(name) != kind]
    if scorer.kind != prepared.kind or list(scorer.classes) != prepared.classes:
        return about | {"reason": "the champion answers another question: its classes differ"}, None
    if changed:
        gone = f"the champion reads the column {changed[0]!r}, which has gone or changed its kind"
        return about | {"reason": gone}, None
    if champion.tags.get("ratchet.split") != prepared.about["split_digest"]:
        about["reason"] = (
            f"the champion learned from another split of the data, so it may have seen the test rows; {BY_HAND}"
        )
    judged = judge_scorer(scorer, rows, truth)
    return about | {"metrics": metrics.usual(prepared.kind, judged, session.task.decision.cost)}, judged


def hypothesis_of(
    task: Task, found: Mapping[str, float], spread: Mapping[str, tuple[float, float]]
) -> dict[str, Any] | None:
    """Whether the hypothesis holds: yes or no where the whole interval says so, else open."""
    if (stated := task.problem.hypothesis) is None:
        return None
    low, high = spread[stated.metric]
    if not METRICS[stated.metric].higher_is_better:
        low, high, bound = -high, -low, -stated.minimum
    else:
        bound = stated.minimum
    verdict = "holds" if low >= bound else "refuted" if high < bound else "open"
    return {
        **stated.model_dump(),
        "value": found[stated.metric],
        "interval": spread[stated.metric],
        "verdict": verdict,
    }


def _record(
    run: Run, report: Mapping[str, Any], prepared: Prepared, judged: Judged, others: Mapping[str, Judged]
) -> None:
    figures = {f"test_{name}": value for name, value in report["metrics"].items()}
    for name, (low, high) in report["intervals"].items():
        figures |= {f"test_{name}_low": low, f"test_{name}_high": high}
    for who, values in {
        **report["baselines"],
        "champion": (report["champion"] or {}).get("metrics", {}),
    }.items():
        figures |= {f"{who}_{name}": value for name, value in values.items()}
    run.log_metrics(figures)
    run.set_tags({"ratchet.model_uri": report["model_uri"]})
    if report["hypothesis"]:
        run.set_tags({"ratchet.hypothesis": report["hypothesis"]["verdict"]})
    run.log_figures(_plots(prepared, judged, others))


def _plots(prepared: Prepared, judged: Judged, others: Mapping[str, Judged]) -> dict[str, Any]:
    if prepared.kind == "regression":
        return {"residuals": plots.residuals(judged.truth, judged.scores)}
    names = [str(label) for label in prepared.classes]
    shown = np.array(names, dtype=object)
    figures = {"confusion": plots.confusion(shown[judged.truth], shown[judged.decided], names)}
    if prepared.kind == "binary":
        curves = {"model": judged.scores} | {name: other.scores for name, other in others.items()}
        figures["roc"] = plots.roc(judged.truth, curves)
        figures["precision_recall"] = plots.precision_recall(judged.truth, {"model": judged.scores})
        figures["calibration"] = plots.calibration(judged.truth, judged.scores)
    return figures


def as_json(evaluated: Evaluated) -> dict[str, Any]:
    """Return the result as plain values."""
    return {"run_id": evaluated.run_id, **asdict(evaluated.trained), **evaluated.report}
