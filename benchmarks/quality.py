"""The shipped tasks over ten seeds of the split: mean and spread on test, beside the published figures.

`python benchmarks/quality.py [--seeds 10] [TASK …]`; the table of all of them goes into the README. No seed is chosen
for its score: they are 0 to 9. Where there is an official split its test rows are kept, and the seed moves only valid
and the search. Budgets are those of the YAML. Cells are kept in results/quality.json with the digest of what they hang
on, so an interrupted benchmark goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from cells import ROOT, engine, measured, once, publish
from tasks import PUBLISHED

GOALS = {
    "quickstart": "within 0.005 of the truth",
    "credit_default": "0.782",
    "credit_approval": "0.60, by group",
    "german_credit": "at most 0.005 below plain logistic regression",
    "churn": "0.845",
    "reviews_ko": "0.872",
    "reviews_en": "0.785",
}


def task_of(name: str, seed: int) -> Any:
    """Return a shipped task whose split and search have another seed; rt-polarity as 90 / 10."""
    from ratchet.config import override
    from ratchet.taskfile import load

    task = load(str(ROOT / "configs" / f"{name}.yaml"))
    shares = {"train": 0.8, "valid": 0.1, "test": 0.1} if name == "reviews_en" else {}
    split = override(task.split, salt=f"seed {seed}", **shares)
    search = override(task.search, seed=seed, jobs=1 if task.features.kind == "text" else os.cpu_count())
    return task.model_copy(update={"split": split, "search": search})


def plain_logistic(prepared: Any, encoder: Any) -> float:
    """AUC on test of scikit-learn's logistic regression as it comes, on one-hot levels and scaled numbers."""
    import pandas as pd
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    fit = pd.concat([prepared.rows("train"), prepared.rows("valid")])
    test, names = prepared.rows("test"), list(encoder.inputs)
    columns = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(fit[names], prepared.target(fit))
    return float(roc_auc_score(prepared.target(test), model.predict_proba(test[names])[:, 1]))


def cell(name: str, seed: int) -> dict[str, Any]:
    """Preprocess, train and judge in a fresh store."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{Path(place) / 'mlflow.db'}"
        from ratchet.adapters import tracking
        from ratchet.console import Quiet
        from ratchet.core import metrics
        from ratchet.settings import Settings
        from ratchet.steps import preprocess, train
        from ratchet.steps.evaluate import judge_scorer
        from ratchet.steps.session import Session

        settings = Settings.from_env()
        session = Session(task_of(name, seed), settings, tracking.client(settings), Quiet())
        trained = train.train(session)
        prepared = preprocess.preprocess(session)
        rows = prepared.rows("test")
        truth, scorer = prepared.target(rows), session.scorer(trained.model)
        metric, cost = PUBLISHED[name][0], session.task.decision.cost
        logged = session.client.get_run(trained.run_id).data
        found = {
            "value": metrics.value(metric, judge_scorer(scorer, rows, truth), cost),
            "family": logged.params["best.family"],
            "model_mb": logged.metrics["model_bytes"] / 1e6,
            "leaks": [finding for finding in prepared.about["findings"] if finding.startswith("leak")],
        }
        if session.task.data.truth:
            known = rows[session.task.data.truth].to_numpy(dtype=float)
            found["truth"] = metrics.value(metric, metrics.Judged(truth, known, (known >= 0.5).astype(int)), cost)
        if name == "german_credit":
            found["logistic"] = plain_logistic(prepared, scorer.encoder)
        return found


def measure(name: str, seed: int) -> dict[str, Any]:
    """Return a cell, measured in a process of its own."""

    def run() -> dict[str, Any]:
        done = subprocess.run([sys.executable, __file__, "--cell", name, str(seed)], capture_output=True, text=True,
                              check=False)  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{name}, seed {seed}: {done.stderr[-2000:]}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    return once("quality", (name, seed), engine(name, Path(__file__)), run)


def summary(name: str, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and spread over the seeds, and what the goal compares with."""
    values = np.array([found["value"] for found in cells])
    result = {
        "metric": PUBLISHED[name][0],
        "mean": float(values.mean()),
        "spread": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "seeds": len(values),
        "model_mb": max(found["model_mb"] for found in cells),
        "families": sorted({found["family"] for found in cells}),
    }
    for peer in ("truth", "logistic"):
        if peer in cells[0]:
            result[f"minus_{peer}"] = float(np.mean(values - [found[peer] for found in cells]))
    return result


def row(name: str, found: dict[str, Any]) -> str:
    """Return a task's line of the table."""
    spread = f" ± {found['spread']:.4f}" if found["seeds"] > 1 else ""
    against = "".join(f"; {found[k]:+.4f} to the {k[6:]}" for k in found if k.startswith("minus_"))
    published = PUBLISHED[name][1].format(truth="see left")
    return (
        f"| [`{name}`](configs/{name}.yaml) | {found['metric']}"
        f" | **{found['mean']:.4f}**{spread}{against}"
        f" | {found['seeds']} | {found['model_mb']:.1f} MB | {GOALS[name]} | {published} |"
    )


def main() -> None:
    """Measure what is missing; print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=list(GOALS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cell", nargs=2, metavar=("TASK", "SEED"))
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(cell(options.cell[0], int(options.cell[1]))))
        return
    cells: dict[str, list[dict[str, Any]]] = {name: [] for name in options.tasks}
    for seed in range(options.seeds):
        for name in options.tasks:
            cells[name].append(measure(name, seed))
            print(f"{name} {seed}: {cells[name][-1]['value']:.4f}", file=sys.stderr)
    found = {name: summary(name, each) for name, each in cells.items()}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    where = measured(each for seeds in cells.values() for each in seeds)
    table = "\n".join(
        [
            "| task | metric on test | ours: mean ± spread | seeds | model | goal | published |",
            "| --- | --- | --- | --: | --: | --- | --- |",
            *(row(name, each) for name, each in found.items()),
            "",
            f"Seeds of split and search; {where}: `python benchmarks/quality.py`.",
        ]
    )
    print(table)
    if options.tasks == list(GOALS):
        publish(table, ROOT / "README.md", "figures")


if __name__ == "__main__":
    main()
