"""What do reasons cost? One row and 300 rows, plain and explained, by family: `python benchmarks/reasons.py`.

Rows as quickstart's (20,000), in one process without a server. For trees the peer is Saabas' approximation, which
XGBoost computes as well (`approx_contribs`): what it costs, and how often it names another first reason.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cells import machine

ONE, MANY = 60, 300
TEXT = "정말 재미있는 영화였어요, 배우들 연기가 훌륭했다 👍 다만 결말은 조금 아쉬웠다. A good film all in all"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("linear", {"C": 0.1}),
    "xgboost, 300 rounds, depth 6": ("xgboost", {"max_depth": 6, "learning_rate": 0.05}),
    "forest, depth 12 (its start)": (
        "forest", {"max_depth": 12, "min_child_weight": 2.0, "subsample": 0.632, "colsample_bynode": 0.4},
    ),
    "forest, depth 16 (its largest)": (
        "forest", {"max_depth": 16, "min_child_weight": 0.5, "subsample": 0.95, "colsample_bynode": 0.4},
    ),
}  # fmt: skip


def scorers(place: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Fit each case on the rows of train; return the scorers and test rows as callers send them."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place / 'mlflow.db'}"
    from ratchet.adapters import tracking
    from ratchet.console import Quiet
    from ratchet.core.models import FAMILIES
    from ratchet.scoring.predict import Scorer
    from ratchet.settings import Settings
    from ratchet.steps import preprocess
    from ratchet.steps.bench import Bench
    from ratchet.steps.session import Session
    from ratchet.taskfile import load

    task = load(str(Path(__file__).parents[1] / "configs" / "quickstart.yaml"))
    settings = Settings.from_env()
    prepared = preprocess.preprocess(Session(task, settings, tracking.client(settings), Quiet()))
    bench = Bench(task, prepared, os.cpu_count() or 1)
    found = {}
    for name, (family, params) in CASES.items():
        model = FAMILIES[family].fit(params, bench.folds[0], bench.last, 300).model
        found[name] = Scorer("binary", tuple(prepared.classes), bench.encoder, model, wording=task.reasons)
    return found, prepared.rows("test")[list(bench.encoder.inputs)].head(MANY)


def reader() -> tuple[Any, pd.DataFrame]:
    """A model of texts as reviews_ko has it, with weights of chance; its cost does not depend on them."""
    from ratchet.scoring.encode import TextEncoder
    from ratchet.scoring.margin import SparseDot
    from ratchet.scoring.predict import Scorer

    rng, width = np.random.default_rng(0), 2 * 2**20
    encoder = TextEncoder("text", (1, 4), (1, 2), 20, rng.uniform(1, 9, width).astype(np.float16))
    model = SparseDot(rng.normal(size=(width, 1)).astype(np.float32), np.zeros(1))
    return Scorer("binary", (0, 1), encoder, model), pd.DataFrame({"text": [TEXT] * MANY})


def median_ms(call: Callable[[], Any], times: int) -> float:
    """The median time of a call, after one to warm up."""
    call()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def measured(scorer: Any, rows: pd.DataFrame) -> dict[str, float]:
    """Milliseconds of one row, plain and explained, and of each of many."""
    found = {
        "plain_ms": median_ms(partial(scorer.predict, rows.head(1)), ONE),
        "explained_ms": median_ms(partial(scorer.explain, rows.head(1)), ONE),
        "explained_of_many_ms": median_ms(partial(scorer.explain, rows), 3) / len(rows),
    }
    return found | (saabas(scorer, rows) if hasattr(scorer.model, "booster") else {})


def saabas(scorer: Any, rows: pd.DataFrame) -> dict[str, float]:
    """What Saabas' approximation costs, and the share of rows in which its largest part is another column."""
    import xgboost

    matrix, booster = scorer.encoder.encode(rows), scorer.model.asked_for(1)
    kinds = booster.feature_types
    cells = xgboost.DMatrix(matrix, feature_types=kinds, enable_categorical=True)
    one = xgboost.DMatrix(matrix[:1], feature_types=kinds, enable_categorical=True, nthread=1)
    near = booster.predict(cells, pred_contribs=True, approx_contribs=True)[:, :-1]
    exact = booster.predict(cells, pred_contribs=True)[:, :-1]
    other = np.abs(near).argmax(axis=1) != np.abs(exact).argmax(axis=1)
    cost = median_ms(partial(booster.predict, one, pred_contribs=True, approx_contribs=True), ONE)
    return {"saabas_ms": cost, "saabas_names_another": float(other.mean())}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    as_json = parser.parse_args().json
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        made, rows = scorers(Path(place))
        found = {name: measured(scorer, rows) for name, scorer in made.items()}
        found["text of 17 words"] = measured(*reader())
    if as_json:
        sys.stdout.write(json.dumps({"machine": machine(), "cases": found}) + "\n")
        return
    sys.stdout.write(
        "ms of: one row plain, explained, each of 300 explained; Saabas, and where it names another first\n"
    )
    for name, figures in found.items():
        sys.stdout.write(f"{name:32}" + "".join(f"{value:10.3g}" for value in figures.values()) + "\n")


if __name__ == "__main__":
    main()
