"""Step 2: tune, fit, calibrate and log one model."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ratchet.adapters import database, files, registry, search, tracking
from ratchet.adapters.search import Outcome, Trial
from ratchet.adapters.tracking import Run
from ratchet.config import METRICS, SEARCH_METRIC, Task, TimeSplit
from ratchet.core import decision, features, folds, metrics, plots
from ratchet.core.models import FAMILIES
from ratchet.core.models.sample import Fitted, Fold, Sample, Setting, level_counts, scores
from ratchet.core.models.space import clipped, narrow
from ratchet.errors import ConfigError, TrainError
from ratchet.scoring.encode import Encoder, TextEncoder
from ratchet.scoring.predict import Scorer
from ratchet.steps import preprocess
from ratchet.steps.preprocess import Prepared
from ratchet.steps.session import PACKAGE, Session, key_of

CODE = ("core/models", "core/decision.py", "core/features.py", "core/folds.py", "core/metrics.py", "scoring",
        "serving/model.py", "adapters/search.py", "steps/train.py")  # fmt: skip
SAMPLE_ROWS = 5


@dataclass(frozen=True)
class Trained:
    """A logged model: the run that made it, and its URI `models:/<model id>`."""

    run_id: str
    model_uri: str


def key(session: Session) -> str:
    """What train depends on: its code, its part of the task, and preprocess."""
    parts = session.task.model_dump(include={"search", "decision"}), preprocess.key(session)
    return key_of(CODE, *parts)


def train(session: Session, parent: Run | None = None) -> Trained:
    """Tune, fit and calibrate; return the logged model."""

    def recall(run_id: str) -> Trained:
        return Trained(run_id, session.client.get_run(run_id).data.tags["ratchet.model_uri"])

    def work(run: Run) -> Trained:
        prepared = preprocess.preprocess(session, parent or run)
        bench = Bench(session.task, prepared)
        trials = _tune(session, run, bench)
        best = search.best(trials, bench.metric)
        if best is None:
            raise TrainError("search: no trial was completed")
        fitted = bench.fit(best)
        scorer = _finish(run, bench, fitted)
        _record(run, bench, trials, best, fitted)
        uri = _log_model(run, session, bench, scorer)
        run.set_tags({"ratchet.model_uri": uri, "ratchet.split": prepared.about["split_digest"]})
        return Trained(run.id, uri)

    return session.step("train", key(session), parent, recall, work)


class Bench:
    """The encoded rows of train and valid, cut into folds once for all trials."""

    def __init__(self, task: Task, prepared: Prepared) -> None:
        self.task, self.prepared, self.kind = task, prepared, prepared.kind
        self.metric = metric_of(task, self.kind)
        rows = prepared.rows("train")
        self.encoder: Encoder = features.fit(rows, prepared.plan, task.features)
        self.train, self.valid = self.encode(rows), self.encode(prepared.rows("valid"))
        groups = rows[files.GROUP].to_numpy() if files.GROUP in rows else None
        by_time = isinstance(task.split, TimeSplit)
        cuts = folds.assign(
            self.train.target, self.kind, task.search.folds, task.search.seed, groups, by_time
        )
        self.folds = [Fold(self.train.take(fit), self.train.take(score)) for fit, score in cuts]
        threads = max(1, (os.cpu_count() or 1) // task.search.jobs)
        self.setting = Setting(task.search.seed, threads, task.search.max_rounds)

    @property
    def is_text(self) -> bool:
        """Whether the rows are texts."""
        return isinstance(self.encoder, TextEncoder)

    @cached_property
    def names(self) -> list[str]:
        """Names of the matrix's columns; a text has none."""
        return [] if isinstance(self.encoder, TextEncoder) else self.encoder.names

    def encode(self, rows: pd.DataFrame) -> Sample:
        """Return the rows as numbers with their target."""
        outputs = len(self.prepared.classes) if self.kind == "multiclass" else 1
        levels = () if isinstance(self.encoder, TextEncoder) else level_counts(self.encoder.columns)
        return Sample(self.encoder.encode(rows), self.prepared.target(rows), self.kind, outputs, levels)

    def trial(self, family: str, params: Mapping[str, Any], report: Callable[[int, float], bool]) -> Outcome:
        """Score one configuration fold by fold; stop where the report says so."""
        figures: list[float] = []
        rounds: list[int] = []
        for number, fold in enumerate(self.folds):
            fitted = FAMILIES[family].fit(params, fold, self.setting)  # type: ignore[index]
            figures.append(self.score(fitted, fold.score))
            rounds += [fitted.rounds] if fitted.rounds else []
            if not np.isfinite(figures[-1]):
                raise ValueError(f"{self.metric} of fold {number + 1} is not a number")
            if report(number, float(np.mean(figures))) and number + 1 < len(self.folds):
                return Outcome(float(np.mean(figures)), figures, rounds, pruned=True)
        return Outcome(float(np.mean(figures)), figures, rounds)

    def score(self, fitted: Fitted, sample: Sample) -> float:
        """Return the tuned metric of a fit on some rows; decisions are the cheapest for its own probabilities."""
        found = scores(fitted.model, sample.matrix, self.kind)
        cost = self.task.decision.cost
        even = 0.5 if self.metric != "cost" else cheapest_threshold(self.task)
        decided = found.argmax(axis=1) if found.ndim > 1 else (found >= even).astype(int)
        return metrics.value(self.metric, metrics.Judged(sample.target, found, decided), cost)

    def fit(self, best: Trial) -> Fitted:
        """Fit the best configuration on all of train, with the mean number of rounds that its folds needed."""
        rounds = round(float(np.mean(best.rounds))) if best.rounds else None
        return FAMILIES[best.family].fit(  # type: ignore[index,no-any-return]
            best.params, Fold(self.train, self.valid), self.setting, rounds
        )


def metric_of(task: Task, kind: str) -> str:
    """Return the metric that is tuned.

    Raises ConfigError if a metric of the task is not defined for the kind of target.
    """
    found = task.search.metric or SEARCH_METRIC[kind]
    gates = [("staging", gate) for gate in task.gates.staging] + [
        ("production", g) for g in task.gates.production
    ]
    named = [(f"gates.{stage}", gate.metric) for stage, gate in gates]
    named += [("search.metric", found)]
    named += [("problem.hypothesis", task.problem.hypothesis.metric)] if task.problem.hypothesis else []
    for place, name in named:
        if name and kind not in METRICS[name].kinds:
            known = ", ".join(metric for metric in METRICS if kind in METRICS[metric].kinds)
            raise ConfigError(f"{place}: {name} is not defined for a {kind} target; one of {known}")
    return found


def cheapest_threshold(task: Task) -> float:
    """Return the probability above which calling a row positive is the cheaper decision."""
    cost = task.decision.cost
    total = cost.false_positive + cost.false_negative
    return cost.false_positive / total if total else 0.5


def _tune(session: Session, run: Run, bench: Bench) -> list[Trial]:
    task = session.task
    rows = len(bench.train.target)
    if unused := sorted(set(task.search.space) - set(task.families)):
        raise ConfigError(f"search.space.{unused[0]}: not among search.models ({', '.join(task.families)})")
    spaces, starts = {}, {}
    for family in task.families:
        module = FAMILIES[family]
        spaces[family] = narrow(
            family, module.space(bench.kind, bench.is_text), task.search.space.get(family, {})
        )
        starts[family] = [clipped(spaces[family], start) for start in module.starts(rows, bench.is_text)]
    # A study is one question: other data, folds, metric or space are another study, which starts afresh.
    budget = {"trials", "timeout_s", "jobs"}
    digest = key_of(CODE, preprocess.key(session), task.search.model_dump(exclude=budget), bench.metric)
    plan = search.Plan(f"{task.name}-{digest[:16]}", spaces, starts, bench.metric, task.search)
    run.log_params({"metric": bench.metric, "study": plan.study, **_flat(task.search.model_dump())})
    recorder = _Recorder(session, run, plan)
    return search.tune(bench.trial, plan, database.url(session.settings), recorder.update)


class _Recorder:
    """Puts each finished trial on record once, and shows how far the search is."""

    def __init__(self, session: Session, run: Run, plan: search.Plan) -> None:
        self.session, self.run, self.plan, self.began = session, run, plan, time.monotonic()
        self.recorded: set[int] = set()
        for run_id, number, owner in tracking.find_study(session.client, plan.study):
            self.recorded.add(number)
            if owner != run.id:
                tracking.adopt_trial(run, run_id)
        self.before: int | None = None

    def update(self, trials: list[Trial]) -> None:
        """Record what is new of the finished trials."""
        for trial in trials:
            if trial.number not in self.recorded and trial.family != "?":
                self.recorded.add(trial.number)
                self._record(trial)
        done = sum(trial.status != "failed" for trial in trials)
        if self.before is None:
            self.before = done
            if done:
                self.session.progress.note(f"the search goes on after {done} finished trials")
        fresh = done - self.before
        pace_s = (time.monotonic() - self.began) / fresh if fresh else 0.0
        best = search.best(trials, self.plan.metric)
        shown = f"{self.plan.metric} {best.score:.4f} ({best.family})" if best else ""
        total = self.plan.search.trials
        left_s = max(self.plan.search.timeout_s - (time.monotonic() - self.began), 0.0)
        self.session.progress.trial(done, total, shown, min((total - done) * pace_s, left_s))

    def _record(self, trial: Trial) -> None:
        found = [(f"fold_{self.plan.metric}", step, value) for step, value in enumerate(trial.folds)]
        if trial.score is not None:
            found.append((self.plan.metric, 0, trial.score))
        found.append(("seconds", 0, (trial.times_ms[1] - trial.times_ms[0]) / 1000))
        found += [("rounds", step, rounds) for step, rounds in enumerate(trial.rounds)]
        entries = {
            "params": {"family": trial.family, **trial.params},
            "metrics": found,
            "tags": {
                tracking.TASK: self.session.task.name,
                tracking.STUDY: self.plan.study,
                tracking.TRIAL: str(trial.number),
                "ratchet.status": trial.status,
            },
        }
        status = "FAILED" if trial.status == "failed" else "FINISHED"
        tracking.record_trial(
            self.run, f"trial {trial.number} {trial.family}", trial.times_ms, status, entries
        )


def _flat(section: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"search.{name}": json.dumps(value) for name, value in section.items() if value not in ((), {}, None)
    }


def _finish(run: Run, bench: Bench, fitted: Fitted) -> Scorer:
    """Calibrate and choose the threshold on valid."""
    valid, cost = bench.valid, bench.task.decision.cost
    scorer = Scorer(bench.kind, tuple(bench.prepared.classes), bench.encoder, fitted.model)
    if bench.kind == "regression":
        return scorer
    calibration = decision.calibrate(fitted.model.margins(valid.matrix), valid.target)
    if bench.kind == "multiclass":
        return Scorer(scorer.kind, scorer.classes, scorer.encoder, scorer.model, calibration)
    probabilities = calibration.probabilities(fitted.model.margins(valid.matrix))
    threshold, candidates, costs = decision.choose_threshold(probabilities, valid.target, cost)
    run.log_figures({"threshold": plots.threshold(candidates, costs, threshold)})
    run.log_metrics({"threshold": threshold, "calibration_slope": calibration.slope})
    return Scorer(scorer.kind, scorer.classes, scorer.encoder, scorer.model, calibration, threshold)


def _record(run: Run, bench: Bench, trials: list[Trial], best: Trial, fitted: Fitted) -> None:
    scored = [trial for trial in trials if trial.score is not None]
    values = [trial.score for trial in scored if trial.score is not None]
    direction = "maximize" if METRICS[bench.metric].higher_is_better else "minimize"
    figures = {
        "search_history": plots.history(values, direction, bench.metric, [trial.family for trial in scored]),
        "search_parallel_coordinates": plots.parallel_coordinates(
            [{"family": t.family, **{f"{t.family}.{n}": v for n, v in t.params.items()}} for t in scored],
            values,
            bench.metric,
        ),
    }
    if fitted.weights is not None:
        figures["importance"] = plots.importance(
            bench.names, fitted.weights, "Gain of each feature in the model"
        )
    if fitted.curves:
        figures["loss_curve"] = plots.loss_curve(fitted.curves["fit"], fitted.curves["score"], "loss")
        sides = {"loss_train": fitted.curves["fit"], "loss_valid": fitted.curves["score"]}
        run.log_curves({name: list(enumerate(curve)) for name, curve in sides.items()})
    run.log_figures(figures)
    run.log_params({"best.family": best.family, **{f"best.{n}": v for n, v in best.params.items()}})
    run.log_metrics(
        {f"cv_{bench.metric}": best.score or 0.0, "trials": len(trials), "rounds": fitted.rounds or 0}
    )
    run.log_json([vars(trial) for trial in trials], "trials.json")


def _log_model(run: Run, session: Session, bench: Bench, scorer: Scorer) -> str:
    prepared = bench.prepared
    inputs = scorer.encoder.inputs
    # Every numeric field is a double: 2.5 in a long would silently be cut to 2.
    kinds = {name: "double" if kind == "number" else "string" for name, kind in inputs.items()}
    required = set(prepared.about["required"])
    sample = prepared.rows("valid")[list(inputs)].head(SAMPLE_ROWS)
    about = {
        "inputs": {name: (kind, name in required) for name, kind in kinds.items()},
        "outputs": _outputs(scorer),
        "requirements": requirements(bench),
        "metadata": {"task": session.task.name, "ratchet": version("ratchet")},
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "scorer"
        scorer.save(folder / "state")
        shutil.copytree(PACKAGE / "scoring", folder / "scoring", ignore=shutil.ignore_patterns("__pycache__"))
        records = json.loads(sample.to_json(orient="records", force_ascii=False))
        (folder / "sample.json").write_text(json.dumps({"dataframe_records": records}, ensure_ascii=False))
        run.log_metrics(
            {"model_bytes": float(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()))}
        )
        return registry.log_model(run, folder, PACKAGE / "serving" / "model.py", about)


def _outputs(scorer: Scorer) -> dict[str, tuple[str, bool]]:
    if scorer.kind == "regression":
        return {"value": ("double", True)}
    label = scorer.classes[0]
    kind = "string" if isinstance(label, str) else "long" if isinstance(label, int) else "double"
    found = {"label": (kind, True)}
    names = (
        ["probability"] if scorer.kind == "binary" else [f"probabilities.{name}" for name in scorer.classes]
    )
    return found | {name: ("double", True) for name in names}


def requirements(bench: Bench) -> list[str]:
    """Return what the model needs to run, at the versions that are installed here."""
    packages = ["mlflow", "numpy", "pandas"]
    packages += ["scikit-learn", "scipy"] if bench.is_text else ["xgboost"]
    return [f"{name}=={version(name)}" for name in packages]
