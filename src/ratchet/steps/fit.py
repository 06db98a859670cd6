"""A configuration becomes a model: fitted, calibrated, and fitted once more as it is served."""

from dataclasses import dataclass, replace

import numpy as np

from ratchet.adapters.study import Trial
from ratchet.core import decision
from ratchet.core.models.sample import Fitted
from ratchet.scoring.predict import Scorer
from ratchet.steps.bench import Bench


@dataclass(frozen=True)
class Made:
    """A model. scorer: what is served; fitted: the fit on train alone, by which it is calibrated.

    costs: of a binary task, each threshold that was tried and its cost on valid.
    """

    scorer: Scorer
    fitted: Fitted
    costs: tuple[np.ndarray, np.ndarray] | None = None


def fit(bench: Bench, best: Trial) -> Made:
    """Fit a configuration on train, calibrate it and choose the threshold on valid, and fit what is served.

    Of the same bench and configuration, in the same number of threads, it makes the same model bit for bit.
    """
    made = _calibrated(bench, bench.fit(best))
    if bench.is_sample:
        return made
    return replace(made, scorer=replace(made.scorer, model=bench.refit(best).model))


def _calibrated(bench: Bench, fitted: Fitted) -> Made:
    valid, cost = bench.valid, bench.task.decision.cost
    wording = bench.task.reasons
    scorer = Scorer(bench.kind, tuple(bench.prepared.classes), bench.encoder, fitted.model, wording=wording)
    if bench.kind == "regression":
        return Made(scorer, fitted)
    margins = fitted.model.margins(valid.matrix)
    scorer = replace(scorer, calibration=decision.calibrate(margins, valid.target))
    if bench.kind == "multiclass":
        return Made(scorer, fitted)
    probabilities = scorer.calibration.probabilities(margins)
    threshold, candidates, costs = decision.choose_threshold(probabilities, valid.target, cost)
    return Made(replace(scorer, threshold=threshold), fitted, (candidates, costs))
