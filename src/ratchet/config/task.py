"""One task, and how one of its parts is overridden."""

from typing import Self, TypeVar

from pydantic import Field, field_validator, model_validator

from ratchet.config.base import Column, Family, Formula, Kind, MetricName, Section
from ratchet.config.data import Data, HashSplit, SourceSplit, Split
from ratchet.config.gates import Approvals, Gates
from ratchet.config.learning import Decision, Features, Search
from ratchet.config.serving import Rollout, Serving
from ratchet.errors import did_you_mean
from ratchet.scoring.expressions import Expression


class Hypothesis(Section):
    """What the model is expected to bring, as a figure that the test set can refute."""

    text: str = Field("", description="The expectation in words.")
    metric: MetricName = Field(description="The metric that decides.")
    minimum: float = Field(description="The hypothesis holds from this value on (at most it, for a loss).")


class Problem(Section):
    """What is asked, and what has to be beaten."""

    question: str = Field("", description="The question that the model answers, in words.")
    kind: Kind | None = Field(None, description="Kind of target; unset: seen from the target's values.")
    hypothesis: Hypothesis | None = Field(None, description="Checked on the test set by evaluate.")
    rule: Formula | None = Field(
        None,
        description="The simple rule to beat: true for the positive class, a number for regression, a class"
        " name for multiclass; unset: the majority or the mean.",
    )


class Task(Section):
    """One YAML file, one use case."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$",
        description="Name of the registered model and, outside `mlflow run`, of the experiment.",
    )
    problem: Problem = Problem()
    data: Data
    split: Split = HashSplit()
    features: Features = Features()
    search: Search = Search()
    decision: Decision = Decision()
    gates: Gates = Gates()
    approvals: Approvals = Approvals()
    reasons: dict[Column, str] = Field(
        {}, description="How an answer's reasons are worded, by column or derived column; unset: its name."
    )
    serving: Serving = Serving()
    rollout: Rollout = Rollout()

    @field_validator("split", mode="before")
    @classmethod
    def _by_hash_unless_said(cls, split: object) -> object:
        return {"by": "hash", **split} if isinstance(split, dict) else split

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        sources, split = self.data.sources, self.split
        if isinstance(split, SourceSplit):
            if unknown := sorted({*split.train, *split.test} - set(sources)):
                raise ValueError(f"split: no source {unknown[0]!r}{did_you_mean(unknown[0], sources)}")
            if both := sorted(set(split.train) & set(split.test)):
                raise ValueError(f"split: source {both[0]!r} is in train and in test")
        elif len(sources) > 1 and not self.data.query:
            raise ValueError("data.query: several sources need a query that joins them")
        if self.data.query and isinstance(split, SourceSplit):
            raise ValueError("data.query: a split by source reads each source as it is; leave the query out")
        tabular_only = [key for key in ("categorical", "numeric", "derive") if getattr(self.features, key)]
        if self.features.kind == "text" and tabular_only:
            raise ValueError(f"features.{tabular_only[0]}: is for tables; a text has one feature, its words")
        if self.features.kind == "text" and (trees := {"forest", "xgboost"} & set(self.search.models)):
            raise ValueError(f"search.models: {sorted(trees)[0]} is for tables; a text takes linear and dummy")
        if self.features.kind == "text" and any(gate.worst for gate in (*self.gates.staging, *self.gates.production)):
            raise ValueError("gates: worst searches the columns of a table; for a text name slices, as in length(text)")
        return self

    @model_validator(mode="after")
    def _a_fallback_can_answer(self) -> Self:
        if not self.serving.fallback:
            return self
        if self.problem.rule is None:
            raise ValueError("serving.fallback: rule, and there is none; write problem.rule, or leave fallback out")
        unread = {*self.data.drop, self.data.id, self.data.truth, self.data.target}
        if left_out := sorted(Expression.parse(self.problem.rule).names & unread):
            raise ValueError(
                f"serving.fallback: the rule reads {left_out[0]!r}, which is no input of the model, so no request"
                " brings it; write a rule of inputs, or leave fallback out"
            )
        return self

    @property
    def families(self) -> tuple[Family, ...]:
        """The families that the search tries."""
        default: tuple[Family, ...] = ("linear",) if self.features.kind == "text" else ("linear", "xgboost")
        return self.search.models or default


SectionT = TypeVar("SectionT", bound=Section)


def override(section: SectionT, **values: object) -> SectionT:
    """Return the section with the values that are not None put in, validated again."""
    given = {name: value for name, value in values.items() if value is not None}
    return type(section).model_validate(section.model_dump() | given)
