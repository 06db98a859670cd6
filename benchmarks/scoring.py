"""How fast is an answer? Ratchet beside the same trees in a scikit-learn pipeline: `python benchmarks/scoring.py`.

One row in this process; one row and 1,000 rows over REST, each under `mlflow models serve` with one worker. The peer is
a ColumnTransformer with an OrdinalEncoder before the very same booster, logged with MLflow's scikit-learn flavour and a
signature; both answer the same rows, and their probabilities are held against each other.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import requests
from cells import ROOT, head, machine

WARM_UP, ONE, MANY = 20, 300, 30


def trained(place: Path) -> tuple[Any, Path, pd.DataFrame]:
    """Train churn with trees only; return the loaded scorer, the model's folder and test rows as callers send them."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place / 'mlflow.db'}"
    from ratchet.adapters import models, tracking
    from ratchet.config import override
    from ratchet.console import Quiet
    from ratchet.settings import Settings
    from ratchet.steps import preprocess, train
    from ratchet.steps.session import Session
    from ratchet.taskfile import load

    task = load(str(ROOT / "configs" / "churn.yaml"))
    task = task.model_copy(update={"search": override(task.search, models=["xgboost"], trials=6)})
    settings = Settings.from_env()
    session = Session(task, settings, tracking.client(settings), Quiet())
    model = train.train(session).model
    scorer = session.scorer(model)
    rows = preprocess.preprocess(session).rows("test")[list(scorer.encoder.inputs)]
    return scorer, models.fetched(session.client, model, place), rows


def pipeline(scorer: Any, model: Path, rows: pd.DataFrame) -> Any:
    """The same trees behind scikit-learn's preprocessing, columns in the same order."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
    from xgboost import XGBClassifier

    every = scorer.encoder.columns
    levels = [column for column in every if column.kind == "category"]
    numbers = [column.name for column in every if column.kind != "category"]
    codes = OrdinalEncoder(
        categories=[list(column.levels) for column in levels], handle_unknown="use_encoded_value", unknown_value=np.nan
    )
    parts = [("codes", codes, [column.name for column in levels]), ("numbers", "passthrough", numbers)]
    now = [column.name for column in levels] + numbers
    order = [now.index(column.name) for column in every]  # the trees know the columns by their places
    trees = XGBClassifier()
    trees.load_model(model / "artifacts" / "scorer" / "state" / "booster.ubj")
    in_order = FunctionTransformer(lambda matrix: matrix[:, order])
    return make_pipeline(ColumnTransformer(parts).fit(rows), in_order, trees)


def save_peer(peer: Any, rows: pd.DataFrame, folder: Path) -> None:
    """Log the pipeline as people do, with a signature; its pickle is what the flavour needs for XGBoost."""
    import mlflow
    from mlflow.models import infer_signature

    signature = infer_signature(rows, peer.predict_proba(rows)[:, 1])
    mlflow.sklearn.save_model(peer, folder, signature=signature, serialization_format="cloudpickle",
                              pyfunc_predict_fn="predict_proba", pip_requirements=["scikit-learn"])  # fmt: skip


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run `mlflow models serve` with one worker; yield its address."""
    from ratchet.adapters.servers import answers, free_port, running

    port = free_port()
    words = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "-h", "127.0.0.1", "-p", str(port),
             "--env-manager", "local", "--workers", "1"]  # fmt: skip
    env = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true"}
    url = f"http://127.0.0.1:{port}"
    with running("mlflow models serve", words, folder.with_suffix(".log"), env=env) as server:
        server.require(partial(answers, f"{url}/ping"), 120)
        yield f"{url}/invocations"


def median_ms(call: Callable[[int], Any], times: int) -> float:
    """Return the median of so many calls, after a few to warm up."""
    for number in range(min(WARM_UP, times)):
        call(number)
    spent = []
    for number in range(times):
        began = time.perf_counter()
        call(number)
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent)


def measure() -> dict[str, float]:
    """Return the medians in ms, and the largest difference of a probability."""
    with tempfile.TemporaryDirectory() as place:
        scorer, model, rows = trained(Path(place))
        peer = pipeline(scorer, model, rows)
        odds = peer.named_steps["xgbclassifier"].get_booster()
        margins = odds.inplace_predict(peer[:-1].transform(rows).astype(np.float32), predict_type="margin")
        apart = float(np.abs(scorer.calibration.probabilities(margins) - scorer.scores(rows)).max())
        one = [rows.iloc[[number]] for number in range(100)]
        found = {
            "largest_difference": apart,
            "one_row_ratchet_ms": median_ms(lambda n: scorer.predict(one[n % 100]), ONE),
            "one_row_sklearn_ms": median_ms(lambda n: peer.predict_proba(one[n % 100]), ONE),
        }
        save_peer(peer, rows, Path(place) / "peer")
        bodies = [json.loads(row.to_json(orient="records", force_ascii=False)) for row in one]
        many = json.loads(rows.head(1000).to_json(orient="records", force_ascii=False))
        for who, folder in (("ratchet", model), ("sklearn", Path(place) / "peer")):
            with served(folder) as url, requests.Session() as http:

                def ask(records: Any, url: str = url, http: requests.Session = http) -> None:
                    http.post(url, json={"dataframe_records": records}, timeout=60).raise_for_status()

                found[f"rest_one_row_{who}_ms"] = median_ms(lambda n, ask=ask: ask(bodies[n % 100]), ONE)
                found[f"rest_1000_rows_{who}_ms"] = median_ms(lambda n, ask=ask: ask(many), MANY)
        return found


def main() -> None:
    """Measure; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure()
    if options.json:
        print(json.dumps(found))
        return
    print("| churn, median | Ratchet | scikit-learn | ratio |\n| --- | --: | --: | --: |")
    for name, key in (("one row, in process", "one_row"), ("one row, REST", "rest_one_row"),
                      ("1,000 rows, REST", "rest_1000_rows")):  # fmt: skip
        ours, theirs = found[f"{key}_ratchet_ms"], found[f"{key}_sklearn_ms"]
        print(f"| {name} | {ours:.2f} ms | {theirs:.2f} ms | {ours / theirs:.2f} |")
    print(f"\nProbabilities differ by at most {found['largest_difference']:.1e}. {machine()}, commit `{head()}`.")


if __name__ == "__main__":
    main()
