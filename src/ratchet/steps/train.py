"""Step 2: tune, fit, calibrate and log one model."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import zip_longest
from typing import Any, Literal

from ratchet.adapters import database, gpu, models, registry, schema, search, signatures, study
from ratchet.adapters.models import Model
from ratchet.adapters.registry import Version
from ratchet.adapters.runs import Run
from ratchet.adapters.study import Trial
from ratchet.config import METRICS, Task
from ratchet.core import asked, plots
from ratchet.core.models import FAMILIES
from ratchet.core.models.space import Space, clipped, flat, grid, propose
from ratchet.errors import TrainError
from ratchet.steps import chronicle, describe, fit, package, preprocess, recipe
from ratchet.steps.bench import Bench
from ratchet.steps.inputs import code_of, config_of, digest_of, key_of
from ratchet.steps.session import Session, Step
from ratchet.steps.trials import Recorder

BY = "ratchet.by"  # tag of a run and its version: who trained it, as JSON
ORIGIN = ("ratchet.commit", "ratchet.config", "ratchet.data", "ratchet.lock", "ratchet.split", models.DIGEST, BY)
CODE = ("core/asked.py", "core/models", "core/decision.py", "core/features.py", "core/folds.py", "core/metrics.py",
        "scoring", "serving/model.py", "adapters/search.py", "adapters/study.py", "steps/bench.py", "steps/fit.py",
        "steps/package.py", "steps/recipe.py", "steps/train.py")  # fmt: skip
MADE_BY = tuple(dict.fromkeys((*CODE, *preprocess.CODE)))

WAIT_S, FINISH_WAIT_S = 300, 3600  # for another worker: a trial begun or recorded, a model fitted


@dataclass(frozen=True)
class Trained:
    """A logged model: the run that made it, and its URI `models:/<model id>`."""

    run_id: str
    model_uri: str

    @property
    def model(self) -> Model:
        """What is loaded to judge it."""
        return Model(self.model_uri, self.model_uri, self.run_id, {})


def of_version(version: Version) -> Trained:
    """Return the model that a version is."""
    return Trained(version.run_id, f"models:/{version.tags[registry.MODEL_ID]}")


def inputs(session: Session) -> dict[str, str]:
    """What train depends on: its code, its part of the task, the packages, and preprocess."""
    told = config_of(session.task.model_dump(include={"search", "decision", "reasons"}))
    below = digest_of(preprocess.inputs(session))
    return code_of(CODE) | told | {"lock": recipe.lock_digest(), "step preprocess": below}


def train(session: Session, parent: Run | None = None) -> Trained:
    """Tune, fit and calibrate; return the logged model."""

    def recall(run_id: str) -> Trained:
        tags = session.client.get_run(run_id).data.tags
        return Trained(tags.get("ratchet.reused", run_id), tags[models.MODEL])

    def work(run: Run) -> None:
        gpu.require(session.task.search.device)
        signatures.require_key(session.settings.model_key)
        prepared = preprocess.preprocess(session, parent or run)
        asked.wording(session.task, prepared.plan)
        # Now, since the server that knows may be away when the search is over.
        run.set_tags({BY: json.dumps(asdict(chronicle.who(session.settings)))})
        began = time.monotonic()  # of search.timeout_s
        bench = Bench(session.task, prepared, session.settings.threads)
        if bench.is_sample:
            seen, rows = len(bench.train.target), prepared.about["sides"]["train"]
            session.progress.note(f"trials see {seen:,} of {rows:,} rows (search.max_rows)")
        trials = _tune(session, run, bench, began)
        # Several may have searched together: one fits and logs the model, the others then take it.
        finishing = database.lock(session.settings, f"train-{session.task.name}", FINISH_WAIT_S)
        run.until_closed.enter_context(finishing)
        if other := session.finished_if_known("train", digest_of(own)):
            found = recall(other)
            # The run that made the model: the other one may itself have taken it from a third.
            run.set_tags({"ratchet.reused": found.run_id, models.MODEL: found.model_uri})
            return
        best = study.best(trials, bench.metric)
        if best is None:
            raise TrainError("search: no trial was completed")
        _finish(session, run, bench, trials, best)

    own = inputs(session)
    return session.do(Step("train", own, recall, work), parent)


def _finish(session: Session, run: Run, bench: Bench, trials: list[Trial], best: Trial) -> None:
    """Fit the best configuration, and log what is served and what it is made of."""
    made = fit.fit(bench, best)
    _record(run, bench, trials, best, made)
    describe.train_run(run, session.task, trials, best, bench.metric)
    with session.work_folder() as folder:
        scorer, kept = folder / "scorer", folder / "kept"
        package.write(scorer, made.scorer, bench.prepared)
        kept.mkdir()
        known = recipe.write(kept, bench, best, MADE_BY)
        recipe.write_predictions(kept, scorer, bench.prepared)
        run.log_files(kept, "")
        package.log_model(run, session, bench, scorer)
    # What the model is made of, as tags that its version will carry.
    digests = {f"ratchet.{name}": digest for name, digest in known["digests"].items()}
    run.set_tags({"ratchet.commit": known["commit"], **digests})


def _tune(session: Session, run: Run, bench: Bench, began: float) -> list[Trial]:
    task = session.task
    rows = len(bench.train.target)
    spaces = asked.spaces(task, bench.kind)
    exhaustive = task.search.sampler == "grid" or not any(spaces.values())
    queue = _grid(task, spaces) if exhaustive else _starts(spaces, rows, bench.is_text)
    # A study is one question: other data, folds, metric or space are another study, which starts afresh.
    budget = {"trials", "timeout_s", "jobs"}
    question = task.search.model_dump(exclude=budget), task.decision.model_dump(), bench.metric
    digest = key_of(CODE, digest_of(preprocess.inputs(session)), *question, recipe.lock_digest())
    name = f"{task.name}-{digest[:16]}" + (f"-{run.id[:8]}" if session.force else "")
    ask = partial(propose, spaces)
    plan = study.Plan(name, ask, queue, exhaustive, bench.metric, task.search, session.patience, began,
                      bench.last_fits_s)  # fmt: skip
    run.log_params({"metric": bench.metric, "study": plan.study, **_flat(task.search.model_dump())})
    url = database.url(session.settings)
    claim = partial(database.lock, session.settings, f"search-{task.name}", WAIT_S)
    schema.ready(session.settings)
    recorder = Recorder(session, run, plan)
    ended = search.tune(bench.trial, plan, url, claim, recorder.update)
    recorder.close(ended.trials)
    if ended.early:
        session.progress.note(f"the search ended early: {ended.early}")
        run.set_tags({"ratchet.ended": ended.early})
    trials = ended.trials
    if (best := study.best(trials, plan.metric)) and (shares := study.importance(plan, url, best.family)):
        title = f"How much each parameter of {best.family} moved {plan.metric}"
        run.log_figures({"search_importance": plots.importance(list(shares), list(shares.values()), title)})
    return trials


def _grid(task: Task, spaces: Mapping[str, Space]) -> list[dict[str, Any]]:
    """Return every combination of the values in search.space; what has none stays at the middle of its range."""
    listed = task.search.space
    return [
        flat(family, params)
        for family, space in spaces.items()
        for params in grid(space, listed.get(family, {}))  # type: ignore[call-overload]
    ]


def _starts(spaces: Mapping[str, Space], rows: int, is_text: bool) -> list[dict[str, Any]]:
    """Return the known-good configurations, the families taking turns."""
    each = [
        [flat(family, clipped(space, start)) for start in FAMILIES[family].starts(rows, is_text)]
        for family, space in spaces.items()
    ]
    return [start for turn in zip_longest(*each) for start in turn if start is not None]


def _flat(section: Mapping[str, Any]) -> dict[str, Any]:
    return {f"search.{name}": json.dumps(value) for name, value in section.items() if value not in ((), {}, None)}


def _record(run: Run, bench: Bench, trials: list[Trial], best: Trial, made: fit.Made) -> None:
    fitted = made.fitted
    scored = [trial for trial in trials if trial.score is not None]
    values = [trial.score for trial in scored if trial.score is not None]
    direction: Literal["maximize", "minimize"] = "maximize" if METRICS[bench.metric].higher_is_better else "minimize"
    figures = {
        "search_history": plots.history(values, direction, bench.metric, [trial.family for trial in scored]),
        "search_parallel_coordinates": plots.parallel_coordinates(
            [{"family": t.family, **{f"{t.family}.{n}": v for n, v in t.params.items()}} for t in scored],
            values,
            bench.metric,
        ),
    }
    if made.costs:
        figures["threshold"] = plots.threshold(*made.costs, made.scorer.threshold)
        run.log_metrics({"threshold": made.scorer.threshold, "calibration_slope": made.scorer.calibration.slope})
    if fitted.weights is not None:
        figures["importance"] = plots.importance(bench.names, fitted.weights, "Gain of each feature in the model")
    if "fit" in fitted.curves:  # stopped early by valid, only the loss on valid is known
        figures["loss_curve"] = plots.loss_curve(fitted.curves["fit"], fitted.curves["score"], "loss")
        sides = {"loss_train": fitted.curves["fit"], "loss_valid": fitted.curves["score"]}
        run.log_curves({name: list(enumerate(curve)) for name, curve in sides.items()})
    run.log_figures(figures)
    run.log_params({"best.family": best.family, **{f"best.{n}": v for n, v in best.params.items()}})
    run.log_metrics({f"cv_{bench.metric}": best.score or 0.0, "trials": len(trials), "rounds": fitted.rounds or 0})
    run.log_json([vars(trial) for trial in trials], "trials.json")
