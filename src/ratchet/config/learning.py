"""The parts of a task that say how it is learned: features, search and decision."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ratchet.config.base import Column, Family, Formula, MetricName, Section

WARNINGS = ("unseen", "range")  # what may be odd about a cell, as `scoring.encode.Column.warning` says it


class Definitions(Section):
    """Features that several tasks share: a file named in `features.use`."""

    categorical: tuple[Column, ...] = Field((), description="Columns whose numbers are names.")
    numeric: tuple[Column, ...] = Field((), description="Columns that are numbers.")
    derive: dict[Column, Formula] = Field({}, description="New numeric columns, by expression.")


class Features(Definitions):
    """How rows become numbers; what is not named is inferred and shown."""

    kind: Literal["tabular", "text"] = Field("tabular", description="A table or texts.")
    text: Column | None = Field(None, description="Column with the text; unset: the only one left.")
    characters: tuple[int, int] | None = Field((1, 4), description="Lengths of character n-grams within words.")
    words: tuple[int, int] | None = Field((1, 2), description="Lengths of word n-grams.")
    hash_bits: int = Field(20, ge=10, le=24, description="n-grams are hashed into 2^hash_bits features.")
    max_levels: int = Field(200, ge=2, le=10_000, description="Levels kept of a category, most frequent first.")
    unseen: Literal["pass", "warn", "refuse"] = Field(
        "warn",
        description="A level that training never saw: pass (answered like a missing one), warn (the same, counted and"
        " told on request), refuse (400, and no scored file).",
    )
    range: Literal["pass", "warn", "refuse"] = Field(
        "warn", description="The same for a number outside the range of train by more than half its width."
    )
    use: tuple[str, ...] = Field((), description="Files with definitions, relative to this file.")

    @property
    def refused(self) -> frozenset[str]:
        """The warnings that are refusals: unseen, range."""
        return frozenset(name for name in WARNINGS if getattr(self, name) == "refuse")

    @property
    def counted(self) -> frozenset[str]:
        """The warnings that are looked for at all."""
        return frozenset(name for name in WARNINGS if getattr(self, name) != "pass")

    @model_validator(mode="after")
    def _one_role_each(self) -> Self:
        if both := sorted(set(self.categorical) & set(self.numeric)):
            raise ValueError(f"{both[0]!r} is named both categorical and numeric")
        return self

    @model_validator(mode="after")
    def _text_needs_ngrams(self) -> Self:
        if self.kind == "text" and not (self.characters or self.words):
            raise ValueError("characters and words are both null: a text needs one of them")
        for lengths in (self.characters, self.words):
            if lengths and not 1 <= lengths[0] <= lengths[1] <= 8:
                raise ValueError(f"n-gram lengths {list(lengths)} are not within 1 to 8, lowest first")
        return self


class Search(Section):
    """The search for the best model."""

    models: tuple[Family, ...] = Field((), description="Families to try; none: linear and xgboost, text: linear.")
    space: dict[Family, dict[str, tuple[float | int | str, ...]]] = Field(
        {}, description="Overrides ranges: [low, high], or a list of choices; the grid for sampler: grid."
    )
    trials: int = Field(40, ge=1, le=100_000, description="Finished trials, complete or pruned.")
    timeout_s: float = Field(
        600,
        gt=0,
        le=604_800,
        description="Train as a whole ends by then: the search ends early enough for the last fits of the best"
        " configuration. One fold of one trial and its last fits are done in any case.",
    )
    sampler: Literal["tpe", "random", "grid"] = Field("tpe", description="How the next trial is chosen.")
    folds: int = Field(5, ge=2, le=20, description="Folds of cross-validation within train.")
    metric: MetricName | None = Field(None, description="What is tuned; unset: roc_auc, log_loss or rmse by kind.")
    seed: int = Field(7, ge=0, le=2**31 - 1, description="Seed of folds, search and models.")
    jobs: int = Field(1, ge=1, le=64, description="Trials at a time.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where XGBoost trains: cuda needs an NVIDIA GPU.")
    max_rows: int = Field(
        200_000,
        ge=1_000,
        description="Rows of train that trials see, a sample of more; trees are then fitted on all of them by"
        " batches, linear models on the sample.",
    )
    max_rounds: int = Field(1_000, ge=1, le=20_000, description="Boosting rounds at the most (early stopping).")


class Cost(Section):
    """What a wrong decision costs, in any unit."""

    false_positive: float = Field(1, ge=0, description="A negative called positive.")
    false_negative: float = Field(1, ge=0, description="A positive called negative.")


class Decision(Section):
    """How a probability becomes a decision: the threshold is chosen on valid, by cost."""

    cost: Cost = Field(Cost(), description="What wrong decisions cost.")
