"""What forest and boosting share: XGBoost's training with its objectives, on bins that all trials share."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xgboost

from ratchet.core.models.sample import Fitted, Fold, Setting
from ratchet.scoring.margin import Trees

OBJECTIVES = {
    "binary": ("binary:logistic", "logloss"),
    "multiclass": ("multi:softprob", "mlogloss"),
    "regression": ("reg:squarederror", "rmse"),
}
PATIENCE_ROUNDS = 30


class _Checked(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Asks after each round whether to go on; what is raised there ends the fit."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self.check = check

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.check()
        return False


def train(params: Mapping[str, Any], fold: Fold, setting: Setting, max_rounds: int, stop_early: bool) -> Fitted:
    """Train on the fold; with `stop_early`, keep the rounds up to the best loss on the rows to score."""
    objective, loss = OBJECTIVES[fold.fit.kind]
    fit, score = fold.bins
    settings = {
        "objective": objective,
        "eval_metric": loss,
        "tree_method": "hist",
        "seed": setting.seed,
        "nthread": setting.threads,
        "device": setting.device,
        **({"num_class": fold.fit.outputs} if fold.fit.kind == "multiclass" else {}),
        **params,
    }
    curves: dict[str, dict[str, list[float]]] = {}
    watched = [(score, "score")] if stop_early else [(fit, "fit"), (score, "score")]
    booster = xgboost.train(
        settings,
        fit,
        num_boost_round=max_rounds,
        evals=watched,
        early_stopping_rounds=PATIENCE_ROUNDS if stop_early else None,
        evals_result=curves,
        verbose_eval=False,
        callbacks=[_Checked(setting.check)] if setting.check else None,
    )
    booster.set_param({"device": "cpu"})  # where it answers
    if stop_early:
        booster = booster[: booster.best_iteration + 1]
    gains = booster.get_score(importance_type="total_gain")
    weights = np.array([gains.get(f"f{i}", 0.0) for i in range(len(fold.fit.levels))])
    return Fitted(
        Trees(booster),
        booster.num_boosted_rounds(),
        {name: log[loss] for name, log in curves.items()},
        weights,
    )
