"""What the gateway is held against: the same XGBoost as a scikit-learn pipeline, and behind a bare FastAPI app."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def pipeline(scorer: Any, train: Any, target: Any, place: Path) -> None:
    """Fit a pipeline with as many trees of the same depth; save it in MLflow's flavour for scikit-learn."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from xgboost import XGBClassifier

    booster = scorer.model.booster
    config = json.loads(booster.save_config())["learner"]["gradient_booster"]
    trees = config.get("tree_train_param") or config["gbtree"]["tree_train_param"]
    levels = {column.name for column in scorer.encoder.columns if column.levels}
    texts = [name for name in scorer.encoder.inputs if name in levels]
    numbers = [name for name in scorer.encoder.inputs if name not in levels]
    codes = ColumnTransformer(
        [("levels", OneHotEncoder(handle_unknown="ignore"), texts), ("is", "passthrough", numbers)]
    )
    learner = XGBClassifier(
        n_estimators=booster.num_boosted_rounds(), max_depth=int(trees["max_depth"]),
        learning_rate=float(trees["learning_rate"]), n_jobs=1,
    )  # fmt: skip
    rows = train[[*texts, *numbers]].astype(
        {name: float for name, kind in scorer.encoder.inputs.items() if kind == "number"}
    )
    made = make_pipeline(codes, learner).fit(rows, target)
    mlflow.sklearn.save_model(
        made, place, serialization_format="cloudpickle", signature=infer_signature(rows, made.predict(rows)),
        pip_requirements=["mlflow", "scikit-learn", "xgboost"],
    )  # fmt: skip


def application(state: Path) -> Any:
    """Return a bare FastAPI app on the booster of a scorer's state: a call a request, no validation, no record."""
    from fastapi import FastAPI, Request

    from ratchet.scoring.predict import load

    scorer = load(state)
    booster = scorer.model.booster
    booster.set_param({"nthread": 1})
    columns = [
        (column.name, {level: code for code, level in enumerate(column.levels)} if column.levels else None)
        for column in scorer.encoder.columns
    ]
    calibration, app = scorer.calibration, FastAPI()

    @app.post("/invocations")
    async def answer(request: Request) -> dict[str, Any]:
        rows = (await request.json())["dataframe_records"]
        matrix = np.full((len(rows), len(columns)), np.nan, dtype=np.float32)
        for at, row in enumerate(rows):
            for place, (name, codes) in enumerate(columns):
                value = row.get(name)
                if codes is not None:
                    value = codes.get(value)
                if value is not None:
                    matrix[at, place] = value
        scores = calibration.probabilities(booster.inplace_predict(matrix, predict_type="margin"))
        return {"predictions": [{"probability": float(score)} for score in scores]}

    return app


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(application(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), access_log=False)
