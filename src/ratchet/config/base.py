"""What the parts of a task are made of: their base class, the names of metrics, and the types of a field."""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple
from unicodedata import normalize

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ratchet.errors import did_you_mean
from ratchet.scoring.expressions import Expression

Kind = Literal["binary", "multiclass", "regression"]
Family = Literal["dummy", "linear", "forest", "xgboost"]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Metric(NamedTuple):
    """A metric's direction and the kinds of task it is defined for; the formulas are in core/metrics.py."""

    higher_is_better: bool
    kinds: tuple[str, ...]


_CLASSES = ("binary", "multiclass")
METRICS: Mapping[str, Metric] = {
    "roc_auc": Metric(True, _CLASSES),  # multiclass: one against the rest, macro mean
    "average_precision": Metric(True, ("binary",)),
    "accuracy": Metric(True, _CLASSES),
    "balanced_accuracy": Metric(True, _CLASSES),
    "f1": Metric(True, _CLASSES),  # multiclass: macro mean
    "precision": Metric(True, ("binary",)),
    "recall": Metric(True, ("binary",)),
    "log_loss": Metric(False, _CLASSES),
    "brier": Metric(False, ("binary",)),
    "ece": Metric(False, ("binary",)),
    "cost": Metric(False, _CLASSES),  # mean cost of a decision; without decision.cost: the share of errors
    "mae": Metric(False, ("regression",)),
    "rmse": Metric(False, ("regression",)),
    "r2": Metric(True, ("regression",)),
}
SEARCH_METRIC: Mapping[str, str] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}{did_you_mean(name, METRICS)}; one of {', '.join(METRICS)}")
    return name


def _in_grammar(text: str) -> str:
    Expression.parse(text)
    return text


def _composed(name: str) -> str:
    return normalize("NFC", name)


def _yaml_read_yes_as_true(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError('YAML reads Yes, No, on and off as true and false; write it in quotes: "Yes"')
    return value


MetricName = Annotated[str, AfterValidator(_known_metric)]
Formula = Annotated[str, AfterValidator(_in_grammar)]
Column = Annotated[str, AfterValidator(_composed)]  # as columns are named when rows are read
NOT_BOOL = BeforeValidator(_yaml_read_yes_as_true)


class Section(BaseModel):
    """A part of the file: frozen, and a key it does not know is a fault."""

    # A bound that is NaN would never be met, and never be noticed; a default of 600 and a given 600.0 are one value.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
