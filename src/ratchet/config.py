"""What a task may say: every key of the YAML file with its default, its bounds and its meaning.

The one home of defaults and bounds. `taskfile.py` reads a file into these models; `docs/config.md` and
`configs/task.schema.json` are generated from them.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, Self, TypeVar
from unicodedata import normalize
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

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
FairnessName = Annotated[str, AfterValidator(_known_fairness)]
Formula = Annotated[str, AfterValidator(_in_grammar)]
Column = Annotated[str, AfterValidator(_composed)]  # as columns are named when rows are read
NOT_BOOL = BeforeValidator(_yaml_read_yes_as_true)


class Section(BaseModel):
    """A part of the file: frozen, and a key it does not know is a fault."""

    # A bound that is NaN would never be met, and never be noticed; a default of 600 and a given 600.0 are one value.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


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


class Read(Section):
    """How a delimited file is read; unset: seen from the file."""

    sep: str | None = Field(None, min_length=1, max_length=4, description="Separator; unset: seen.")
    quote: str | None = Field(None, max_length=1, description='Quote character, unset: the double quote; "" for none.')
    encoding: str = Field("utf-8", description="Encoding, by its Python name (cp949, euc-kr, latin-1).")
    na: tuple[str, ...] = Field(("", "NA", "NaN", "null"), description="Cells that mean missing.")
    types: dict[str, Literal["number", "text", "date"]] = Field({}, description="Types that are not seen right.")


DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite", "oracle", "mssql", "bigquery")


def is_database(uri: str) -> bool:
    """Whether a source is a database, which answers data.query itself: one that SQLAlchemy knows, or BigQuery."""
    scheme = uri.partition("://")[0] if "://" in uri else ""
    return "+" in scheme or scheme in DATABASES


def _without_password(uri: str) -> str:
    try:
        parts = urlsplit(uri) if "://" in uri else None
        given = dict(parse_qsl(parts.query)).get("password") or parts.password if parts else None
    except ValueError:  # no address at all: told where it is looked for
        return uri
    if given and not given.startswith("${"):
        raise ValueError(
            "an address with a password in it would be on record with every run; write ${NAME} in its place, and set"
            " NAME in the environment"
        )
    return uri


class Source(Section):
    """One table."""

    uris: tuple[Annotated[str, AfterValidator(_without_password)], ...] = Field(
        min_length=1,
        description="Where the table is; the first that is there is taken. A bare file name is looked up in"
        " the folders of RATCHET_DATA; also gs://BUCKET/PATH, https://, sklearn://NAME, synthetic://NAME; a folder or"
        " a glob of Parquet files. A database that answers data.query: postgresql://HOST/NAME or another address of"
        " SQLAlchemy, bigquery://PROJECT. ${NAME} stands for an environment variable.",
    )
    sha256: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = Field(
        (), description="Accepted digests of the file; none: not checked."
    )
    read: Read = Field(Read(), description="How a delimited file is read.")


class Collected(Section):
    """Where the data come from; what is absent is warned about and shown as unknown."""

    by: str = Field("unknown", description="Who collected them.")
    period: str = Field("unknown", description="When.")
    licence: str = Field("unknown", description="Under which licence they may be used.")
    note: str = Field("", description="What else to know.")


class Data(Section):
    """The rows and the target."""

    sources: dict[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]{0,62}$")], Source] = Field(
        min_length=1, description="Named tables."
    )
    query: str | None = Field(
        None,
        description="SQL (DuckDB) over the named sources; needed with several. Where the source is a database: its own"
        " SQL, which runs there.",
    )
    max_gb: float = Field(10, gt=0, description="BigQuery: a query that would scan more is refused.")
    collected: Collected = Field(Collected(), description="Collection: by whom, when, under which licence.")
    target: Column = Field(min_length=1, description="Column to predict.")
    positive: Annotated[str | int | float, NOT_BOOL] | None = Field(
        None, description="The positive class of a binary target."
    )
    id: Column | None = Field(None, description="Column that names a row; never a feature.")
    drop: tuple[Column, ...] = Field((), description="Columns that are not features.")
    truth: Column | None = Field(None, description="Column with the true probability (synthetic data only).")

    @property
    def asks_database(self) -> bool:
        """Whether a database answers the query."""
        return any(is_database(uri) for source in self.sources.values() for uri in source.uris)

    @model_validator(mode="after")
    def _a_database_is_asked_something(self) -> Self:
        if self.asks_database and len(self.sources) > 1:
            raise ValueError("a database answers data.query where the data is, so it is the only source")
        if self.asks_database and not self.query:
            raise ValueError("query is missing: what is the database asked?")
        return self

    @model_validator(mode="after")
    def _the_target_is_nothing_else(self) -> Self:
        for role, names in (("id", (self.id,)), ("drop", self.drop), ("truth", (self.truth,))):
            if self.target in names:
                raise ValueError(f"{role} names {self.target!r}, which is the target")
        return self


class _Shares(Section):
    train: Fraction = Field(0.7, description="Share of rows to learn from.")
    valid: Fraction = Field(0.15, description="Share to calibrate and to choose the threshold on.")
    test: Fraction = Field(0.15, description="Share to judge on.")
    salt: str = Field("ratchet", description="Changes which rows go where.")

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = self.train + self.valid + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + valid + test is {total:g}; it has to be 1")
        return self


class HashSplit(_Shares):
    """By md5 of salt and id (without an id: of the whole row), so a row never changes sides."""

    by: Literal["hash"] = "hash"


class GroupSplit(_Shares):
    """Rows that agree in the columns stay on one side."""

    by: Literal["group"]
    columns: tuple[Column, ...] = Field(min_length=1, description="Columns that make the group.")


class TimeSplit(_Shares):
    """Oldest rows to train, newest to test; equal times stay on one side."""

    by: Literal["time"]
    column: Column = Field(description="Column with the time.")


class _Official(Section):
    valid: Fraction = Field(0.15, description="Share of the training rows kept for valid, by hash.")
    salt: str = Field("ratchet", description="Changes which rows go to valid.")


class ColumnSplit(_Official):
    """By the values of a column."""

    by: Literal["column"]
    column: Column = Field(description="Column that names the side.")
    train: tuple[Annotated[str | int, NOT_BOOL], ...] = Field(min_length=1, description="Its values for train.")
    test: tuple[Annotated[str | int, NOT_BOOL], ...] = Field(min_length=1, description="Its values for test.")


class SourceSplit(_Official):
    """Official files: each a source."""

    by: Literal["source"]
    train: tuple[str, ...] = Field(min_length=1, description="Sources for train.")
    test: tuple[str, ...] = Field(min_length=1, description="Sources for test.")


Split = Annotated[HashSplit | GroupSplit | TimeSplit | ColumnSplit | SourceSplit, Field(discriminator="by")]


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
    use: tuple[str, ...] = Field((), description="Files with definitions, relative to this file.")

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
    timeout_s: float = Field(600, gt=0, le=604_800, description="The search ends after this time.")
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
}
_A_GATE = (
    "a gate is one of {beats: rule}, {metric: NAME} with one of minimum, maximum, max_drop, min_gain, max_gap,"
    " {fairness: NAME, by: COLUMN} with minimum or maximum, {latency: one_row, max_ratio: 1.5}, {size_mb: 30},"
    " {age_days: 365}, {serves: uv}"
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
        if self.against and not {"max_drop", "min_gain"} & said:
            raise ValueError("against goes with max_drop or min_gain")
        if self.fairness and not self.by:
            raise ValueError("fairness needs by: the column whose values are the groups")
        if (self.slices or self.worst) and self.max_gap is not None:
            raise ValueError("max_gap is for all rows; slices go with the other bounds")
        if "min_rows" in said and not (self.slices or self.worst or self.fairness):
            raise ValueError("min_rows goes with slices, worst or fairness")
        return self


class Gates(Section):
    """The conditions of each stage."""

    staging: tuple[Gate, ...] = Field((Gate(beats="dummy"),), description="To enter Staging.")
    production: tuple[Gate, ...] = Field((Gate(beats="dummy"),), description="To enter Production.")


class Approvals(Section):
    """How many people have to approve that a version comes to a stage; never who trained it."""

    staging: Annotated[int, NOT_BOOL] = Field(0, ge=0, le=10, description="To enter Staging.")
    production: Annotated[int, NOT_BOOL] = Field(0, ge=0, le=10, description="To enter Production.")


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
