"""The parts of a task that say what a version must show before it comes to a stage, and who has to agree."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ratchet.config.base import METRICS, NOT_BOOL, Column, Formula, MetricName, Section
from ratchet.errors import did_you_mean

FAIRNESS: Mapping[str, str] = {  # name -> how it is told; the figures are fairlearn's
    "demographic_parity_difference": "difference of the shares called positive",
    "demographic_parity_ratio": "ratio of the shares called positive (disparate impact)",
    "equalized_odds_difference": "larger difference of the true and false-positive rates",
    "equalized_odds_ratio": "smaller ratio of the true and false-positive rates",
    "false_positive_rate_difference": "difference of the false-positive rates",
    "equal_opportunity_difference": "difference of the true-positive rates",
    "equal_opportunity_ratio": "ratio of the true-positive rates",
}


def _known_fairness(name: str) -> str:
    if name not in FAIRNESS:
        raise ValueError(f"unknown fairness {name!r}{did_you_mean(name, FAIRNESS)}; one of {', '.join(FAIRNESS)}")
    return name


FairnessName = Annotated[str, AfterValidator(_known_fairness)]

# What a gate is about -> its bounds, of which it has exactly one (none: the subject is one), and what else it may say.
_SLICED = ("slices", "worst", "min_rows")
_GATES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "metric": (("minimum", "maximum", "max_drop", "min_gain", "max_gap"), ("against", "point", *_SLICED)),
    "beats": ((), ("point", *_SLICED)),
    "fairness": (("minimum", "maximum"), ("by", "min_rows", "point")),
    "latency": (("max_ratio",), ("point",)),
    "size_mb": ((), ()),
    "age_days": ((), ()),
    "serves": ((), ()),
    "keeps_up": ((), ()),
}
# What `keeps_up` lets pass, by the bare figures on the same test rows: a drop of a metric that is better when higher; a
# rise of a loss by this share of the champion's, and for a metric of classes at least by the drop.
KEEPS_UP_DROP = 0.02
KEEPS_UP_RISE = 0.05
_A_GATE = (
    "a gate is one of {beats: rule}, {metric: NAME} with one of minimum, maximum, max_drop, min_gain, max_gap,"
    " {fairness: NAME, by: COLUMN} with minimum or maximum, {latency: one_row, max_ratio: 1.5}, {size_mb: 30},"
    " {age_days: 365}, {serves: uv}, {keeps_up: champion}"
)


class Gate(Section):
    """A condition for entering a stage: one subject (`metric`, `beats`, `fairness`, `latency` ...) and its bound."""

    metric: MetricName | None = Field(None, description="The metric on test.")
    minimum: float | None = Field(None, description="At least this.")
    maximum: float | None = Field(None, description="At most this.")
    max_drop: float | None = Field(None, ge=0, description="At most this much worse than `against`, on the same rows.")
    min_gain: float | None = Field(None, ge=0, description="At least this much better than `against`.")
    max_gap: float | None = Field(None, ge=0, description="At most this much worse on test than on train.")
    against: Literal["champion", "rule", "dummy"] | None = Field(
        None, description="What max_drop and min_gain compare with; unset: the champion."
    )
    beats: Literal["rule", "dummy"] | None = Field(
        None, description="Lower expected cost (regression: lower MAE) than the rule or the dummy."
    )
    fairness: FairnessName | None = Field(
        None, description=f"A figure of fairness between the groups `by` (binary): one of {', '.join(FAIRNESS)}."
    )
    by: Formula | None = Field(None, description="The groups of `fairness`: a column, or an expression over columns.")
    latency: Literal["one_row", "thousand_rows"] | None = Field(
        None, description="Time of an answer beside the champion's, measured in the same process."
    )
    max_ratio: float | None = Field(None, gt=0, description="At most this many times the champion's.")
    size_mb: float | None = Field(None, gt=0, description="The model's files weigh at most this.")
    age_days: float | None = Field(None, gt=0, description="The newest row is at most this old.")
    serves: Literal["local", "uv"] | None = Field(
        None,
        description="The model is served by `mlflow models serve`, in this environment or in its own built by uv, and"
        " answers the sample rows with exactly the predictions that evaluate recorded.",
    )
    keeps_up: Literal["champion"] | None = Field(
        None,
        description="On the metric of the search, by the bare figures on the same rows, at most so much worse than the"
        f" champion: {KEEPS_UP_DROP:g}; a loss {KEEPS_UP_RISE:.0%} of the champion's (of classes at least"
        f" {KEEPS_UP_DROP:g}). Passes where the two cannot be compared, and says so.",
    )
    slices: tuple[Formula, ...] = Field(
        (), description="The condition holds in each slice: columns, or expressions over them; a missing value is one."
    )
    worst: Literal[1, 2] | None = Field(
        None,
        description="The condition holds in every slice that is searched: levels of each feature (numbers by quarters),"
        " 2: also of each pair of features. Those under min_rows are left out.",
    )
    min_rows: int = Field(100, ge=10, description="A slice or group with fewer rows is insufficient.")
    point: bool = Field(False, description="Judge by the bare figure, however unsure it is.")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        subjects = [name for name in _GATES if getattr(self, name) is not None]
        if len(subjects) != 1:
            raise ValueError(_A_GATE)
        bounds, options = _GATES[subjects[0]]
        said = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        given = [name for name in bounds if name in said]
        other = sorted(said - {subjects[0], *given, *options})
        if len(given) != bool(bounds) or other:
            raise ValueError(f"{_A_GATE}; {other[0]} does not go with {subjects[0]}" if other else _A_GATE)
        self._can_be_met()
        if self.against and not {"max_drop", "min_gain"} & said:
            raise ValueError("against goes with max_drop or min_gain")
        if self.fairness and not self.by:
            raise ValueError("fairness needs by: the column whose values are the groups")
        if (self.slices or self.worst) and self.max_gap is not None:
            raise ValueError("max_gap is for all rows; slices go with the other bounds")
        if "min_rows" in said and not (self.slices or self.worst or self.fairness):
            raise ValueError("min_rows goes with slices, worst or fairness")
        return self

    def _can_be_met(self) -> None:
        name = self.metric or self.fairness or ""
        is_higher_better = METRICS[name].higher_is_better if self.metric else name.endswith("_ratio")
        if is_higher_better and self.minimum is not None and self.minimum > 1:
            raise ValueError(f"minimum: {self.minimum:g} is never met; {name} is 1 at the most")
        if not is_higher_better and self.maximum is not None and self.maximum < 0:
            raise ValueError(f"maximum: {self.maximum:g} is never met; {name} is 0 at the least")


class Acceptance(Section):
    """Something that a gate of every task refuses, accepted with a reason, which goes on the ledger."""

    gate: Literal["leak", "hypothesis"] = Field(
        description="leak: columns that give the target away, or a metric that is too good; hypothesis: it is refuted."
    )
    column: Column | None = Field(
        None, description='leak: the column as the refusal names it; several are one text, as in "casual + registered".'
    )
    metric: Literal["roc_auc", "r2"] | None = Field(None, description="leak: the metric that is too good, on test.")
    reason: str = Field(description="Why it is accepted; it stands on the ledger.")

    @model_validator(mode="after")
    def _names_what_is_accepted(self) -> Self:
        if not self.reason.strip():
            raise ValueError("reason: say why it is accepted; it is what remains of the decision")
        named = [name for name in ("column", "metric") if getattr(self, name)]
        if self.gate == "leak" and len(named) != 1:
            raise ValueError("a leak is accepted by its column or by its metric: {gate: leak, column: NAME, reason: …}")
        if self.gate == "hypothesis" and named:
            raise ValueError(f"{named[0]} does not go with hypothesis: {{gate: hypothesis, reason: …}}")
        return self

    @property
    def subject(self) -> str:
        """What is accepted: the column, the metric, or `hypothesis`."""
        return self.column or self.metric or self.gate


class Gates(Section):
    """The conditions of each stage. Two more are those of every task: no leak, and a hypothesis that is not refuted."""

    staging: tuple[Gate, ...] = Field((Gate(beats="dummy"),), description="To enter Staging.")
    production: tuple[Gate, ...] = Field(
        (Gate(beats="dummy"), Gate(keeps_up="champion")), description="To enter Production."
    )
    accept: tuple[Acceptance, ...] = Field(
        (), description="What is let pass although a gate of every task, leak or hypothesis, refuses it."
    )


class Approvals(Section):
    """How many people have to approve that a version comes to a stage; never who trained it."""

    staging: Annotated[int, NOT_BOOL] = Field(0, ge=0, le=10, description="To enter Staging.")
    production: Annotated[int, NOT_BOOL] = Field(0, ge=0, le=10, description="To enter Production.")
    trust: Literal["verified", "local"] = Field(
        "verified",
        description="Whose approval counts. verified: of people whom the tracking server knows by their account or"
        " PostgreSQL by a role of their own; local: also of whom only the machine knows, by user and host.",
    )
