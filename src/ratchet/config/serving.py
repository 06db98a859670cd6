"""The parts of a task that say how requests are answered, what is kept of them, and how a new version is let in."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ratchet.config.base import NOT_BOOL, Column, Section


class Serving(Section):
    """How the gateway answers."""

    max_rows: int = Field(512, ge=1, le=100_000, description="Rows that travel to a model server in one call.")
    max_body_mb: float = Field(16, gt=0, le=1_024, description="A larger body is refused with 413.")
    max_waiting: int = Field(2_048, ge=1, le=100_000, description="Requests that wait; one more is refused with 429.")
    timeout_s: float = Field(30, gt=0, le=600, description="An answer that takes longer is a 504.")
    standby: bool = Field(
        True,
        description="A second process of the champion is kept up; it answers at once where the first is killed.",
    )
    fallback: Literal["rule"] | None = Field(
        None,
        description="What answers while the version in Production is withdrawn (`ratchet withdraw`) and no other one is"
        " there: rule, `problem.rule`, each answer marked `fallback: rule`; unset: callers get a 503.",
    )
    warnings: bool = Field(
        False,
        description="Each answer tells of cells that training gives no ground for (features.unseen, features.range);"
        " false: where the caller sends the header X-Warnings: true.",
    )
    capture: bool = Field(True, description="Requests and answers are kept in the `ratchet` database.")
    sensitive: dict[Column, Literal["drop", "hash"]] = Field(
        {}, description="Fields that are kept as a keyed hash, or not at all."
    )
    retention_days: float = Field(90, gt=0, description="What is kept of requests is deleted after this time.")


class Rollout(Section):
    """How a challenger is let in on live traffic, and by what it is judged; frozen on the ledger at the start."""

    metric: Literal["accuracy", "cost", "loss_of_approved", "absolute_error"] | None = Field(
        None,
        description="What outcomes are turned into: the share of right decisions, their cost (decision.cost), the share"
        " of positives among those called negative (a credit that was granted and lost), or, for regression,"
        " |value - outcome| up to `largest_error`; unset: cost, for regression absolute_error.",
    )
    margin: float = Field(
        0.02, gt=0, description="The challenger may be worse by less than this, in the metric's unit."
    )
    largest_error: float | None = Field(None, gt=0, description="Regression: errors count as this at the most.")
    minimum_rows: int = Field(200, ge=1, description="Rows with an outcome that each arm needs before a step.")
    bake_s: float = Field(3_600, ge=0, description="A share stays at least this long.")
    percents: tuple[Annotated[float, NOT_BOOL], ...] = Field(
        (5, 10, 20, 50, 100), description="The challenger's shares of the entities, one after the other."
    )
    key: Column | None = Field(
        None,
        description="Column that names the entity, which stays with its arm; unset: data.id; without it: the request.",
    )
    alpha: float = Field(0.05, gt=0, lt=0.5, description="How often a wrong step, or a wrong abort, may happen at all.")
    max_error_share: float = Field(0.01, ge=0, lt=1, description="The challenger's model errors beyond the champion's.")
    max_latency_ratio: float = Field(2.0, gt=1, description="The challenger's time of an answer beside the champion's.")
    silence_s: float = Field(86_400, gt=0, description="Without any outcome for this long nothing is stepped up.")
    shadow: bool = Field(False, description="The challenger gets copies, and never answers.")

    @model_validator(mode="after")
    def _shares_grow(self) -> Self:
        if not self.percents or list(self.percents) != sorted({*self.percents}) or self.percents[-1] != 100:
            raise ValueError("percents: shares grow and end with 100, as in [5, 10, 20, 50, 100]")
        if self.percents[0] <= 0:
            raise ValueError(f"percents: {self.percents[0]:g} is not above 0")
        if (self.metric == "absolute_error") and self.largest_error is None:
            raise ValueError("largest_error: missing; absolute_error counts errors up to it")
        return self
