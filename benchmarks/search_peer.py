"""One cell of a peer: `search_peer.py SYSTEM FOLDER SECONDS SEED` prints one JSON object.

FOLDER holds fit.parquet and test.parquet: the features as Ratchet sees them, categories as such, and the target `y`.
It reads nothing of Ratchet, since FLAML runs in an environment of its own.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

TIMES_S = (3, 6, 12, 20, 30, 45, 60)  # when the best so far is looked at
Frames = tuple[pd.DataFrame, pd.Series, pd.DataFrame, pd.Series]


def read(folder: Path) -> Frames:
    """Return features and target to fit, and to judge on."""
    fit, test = (pd.read_parquet(folder / f"{side}.parquet") for side in ("fit", "test"))
    return fit.drop(columns="y"), fit["y"], test.drop(columns="y"), test["y"]


def naive(frames: Frames, seconds: float, seed: int) -> dict[str, Any]:
    """Optuna's TPE over `cross_val_score` of a scikit-learn pipeline with XGBoost, 5 folds; refitted on all rows."""
    import optuna
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from xgboost import XGBClassifier

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows, target, test, truth = frames
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)

    def pipeline(params: dict[str, Any]) -> Any:
        hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10, sparse_output=False)
        columns = make_column_transformer(
            (hot, make_column_selector(dtype_include=["category", "object"])), remainder="passthrough"
        )
        return make_pipeline(columns, XGBClassifier(**params, tree_method="hist", n_jobs=-1, random_state=seed))

    def objective(trial: optuna.Trial) -> float:
        params = {
            "n_estimators": trial.suggest_int("n_estimators", 50, 1000, log=True),
            "max_depth": trial.suggest_int("max_depth", 2, 9),
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
            "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 64, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 50, log=True),
            "reg_alpha": trial.suggest_float("reg_alpha", 1e-3, 10, log=True),
        }
        return float(cross_val_score(pipeline(params), rows, target, cv=folds, scoring="roc_auc").mean())

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))
    began = time.time()
    study.optimize(objective, timeout=seconds)
    wall_s = time.time() - began
    done = [(t.datetime_complete.timestamp() - began, t.value, t.params) for t in study.trials]

    def judge(params: dict[str, Any]) -> float:
        return float(roc_auc_score(truth, pipeline(params).fit(rows, target).predict_proba(test)[:, 1]))

    return {"test_auc": judge(study.best_params), "wall_s": wall_s, "trials": len(done), "curve": curve(done, judge)}


def flaml(frames: Frames, seconds: float, seed: int, only: list[str] | str) -> dict[str, Any]:
    """FLAML's AutoML with its own defaults but for the metric and the budget."""
    from flaml import AutoML

    rows, target, test, truth = frames
    log = Path(sys.argv[2]) / f"flaml-{seed}-{'free' if only == 'auto' else 'xgboost'}.log"
    common = {"task": "classification", "metric": "roc_auc", "seed": seed, "verbose": 0, "n_jobs": -1}
    began = time.time()
    model = AutoML()
    model.fit(rows, target, time_budget=seconds, estimator_list=only, log_file_name=str(log), **common)
    wall_s = time.time() - began
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    records = [entry for entry in lines if "record_id" in entry]
    done = [(entry["wall_clock_time"], -entry["validation_loss"], entry["record_id"]) for entry in records]

    def judge(record: int) -> float:
        again = AutoML()
        again.retrain_from_log(
            log_file_name=str(log), X_train=rows, y_train=target, task="classification", train_full=True,
            record_id=record, n_jobs=-1,
        )  # fmt: skip
        return float(roc_auc_score(truth, again.predict_proba(test)[:, 1]))

    found = {"test_auc": float(roc_auc_score(truth, model.predict_proba(test)[:, 1])), "wall_s": wall_s}
    return found | {"trials": len(done), "family": model.best_estimator, "curve": curve(done, judge)}


def curve(done: list[tuple[float, float, Any]], judge: Any) -> list[tuple[float, float]]:
    """Return (seconds, AUC on test of the best so far), refitted afterwards, off the clock."""
    found: list[tuple[float, float]] = []
    known: dict[str, float] = {}
    for at in TIMES_S:
        so_far = [entry for entry in done if entry[0] <= at]
        if so_far:
            best = so_far[int(np.argmax([score for _, score, _ in so_far]))][2]
            name = json.dumps(best, sort_keys=True)
            known[name] = known[name] if name in known else judge(best)
            found.append((at, known[name]))
    return found


def main() -> None:
    """Measure one cell."""
    system, folder, seconds, seed = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    frames = read(folder)
    if system == "naive":
        found = naive(frames, seconds, seed)
    else:
        found = flaml(frames, seconds, seed, "auto" if system == "flaml" else ["xgboost"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
