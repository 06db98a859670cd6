"""The parts of a task that say which rows there are, and which of them are learned from."""

import re
from datetime import date, datetime
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ratchet.config.base import NOT_BOOL, Column, Fraction, Section
from ratchet.config.numbers import Form

DATE_DIRECTIVES = {
    **dict.fromkeys("Yy", "year"), **dict.fromkeys("mbB", "month"), "d": "day", **dict.fromkeys("HI", "hour"),
    "M": "minute", "S": "second", "f": "fraction", "p": "half of the day", "q": "quarter", "z": "zone",
    **dict.fromkeys("WVU", "week"), **dict.fromkeys("aA", "weekday"), "%": "percent sign",
}  # fmt: skip


def _date_form(form: str) -> str:
    """Refuse a form that tells no date, or tells a part of it twice."""
    if form == "ISO 8601":
        return form
    names = re.findall("%-?(.?)", form)
    if unknown := [name for name in names if name not in DATE_DIRECTIVES]:
        raise ValueError(f"{form!r}: no directive %{unknown[0]}; there are %{', %'.join(DATE_DIRECTIVES)}")
    parts = [DATE_DIRECTIVES[name] for name in names if name != "%"]
    if twice := [part for part in parts if parts.count(part) > 1]:
        raise ValueError(f"{form!r} tells the {twice[0]} twice")
    needs = {"day": ("month",), "minute": ("hour",), "second": ("minute",), "fraction": ("second",), "hour": ("day",)}
    if "year" not in parts or any(part not in parts for name in parts for part in needs.get(name, ())):
        raise ValueError(f"{form!r} does not tell a date; write it as in %d/%m/%Y, %b-%Y or %Y-%m-%d %H:%M")
    if ("I" in names) != ("p" in names):
        raise ValueError(f"{form!r}: an hour of the half day (%I) and AM or PM (%p) belong together")
    return form


class Read(Section):
    """How a file is read; unset: seen from the file."""

    sep: str | None = Field(None, min_length=1, max_length=4, description="Separator; unset: seen.")
    quote: str | None = Field(None, max_length=1, description='Quote character, unset: the double quote; "" for none.')
    sheet: str | None = Field(None, description="Sheet of a workbook of Excel; needed where it has several.")
    encoding: str = Field("utf-8", description="Encoding, by its Python name (cp949, euc-kr, latin-1).")
    header: bool = Field(True, description="Whether the first line holds the names of the columns.")
    names: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Names of all columns of a file without a header, in order."
    )
    na: tuple[str, ...] = Field(("", "NA", "NaN", "null"), description="Cells that mean missing.")
    types: dict[str, Literal["number", "text", "date"]] = Field({}, description="Types that are not seen right.")
    dates: dict[Column, Annotated[str, AfterValidator(_date_form)]] = Field(
        {},
        description='How dates are written, by column, as in {issue_d: "%b-%Y"}: the directives of strptime, %q for the'
        " quarter; of Parquet and databases too. Unset: seen from all rows where the split needs it, and refused where"
        " two readings fit (docs/splits.md).",
    )
    numbers: dict[str, Form] = Field(
        {},
        description="Columns of numbers written for people: how 1234.56 is written in each, as in {price: '1.234,56'}."
        " A blank stands for any kind of blank; currencies and percent signs are left out; (12) and 12- are negative.",
    )

    @model_validator(mode="after")
    def _names_replace_the_header(self) -> Self:
        if self.header and self.names:
            raise ValueError("names are those of a file without a header; with them write header: false")
        if not self.header and not self.names:
            raise ValueError("names is missing: without a header, name all columns in order, as in names: [age, city]")
        if len(set(self.names)) < len(self.names):
            raise ValueError("names has a name twice; give each column a name of its own")
        return self


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
        description="Where the table is; the first that is there is taken. A bare file name is looked up in the folders"
        " of RATCHET_DATA; also file:///PATH, gs://BUCKET/PATH, https://, sklearn://NAME, synthetic://NAME. A name, a"
        " file or gs address may be a folder or a pattern (`*`, `?`, `[12]`, `**` for any folders): files of one"
        " format; folders KEY=VALUE below it become columns. A database that answers data.query: postgresql://HOST/NAME"
        " or another address of SQLAlchemy, bigquery://PROJECT. ${NAME} stands for an environment variable.",
    )
    sha256: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = Field(
        (), description="Accepted digests of the file; none: not checked."
    )
    read: Read = Field(Read(), description="How the file is read.")


class Collected(Section):
    """Where the data come from; what is absent is warned about and shown as unknown."""

    by: str = Field("unknown", description="Who collected them.")
    period: str = Field("unknown", description="When.")
    licence: str = Field("unknown", description="Under which licence they may be used.")
    note: str = Field("", description="What else to know.")


class RareClasses(Section):
    """What becomes of classes with few rows: merged into one class, or left out with their rows."""

    under: int = Field(ge=2, description="A class with fewer rows than this is rare.")
    into: Annotated[str | int, NOT_BOOL] | None = Field(
        None, description="Name of the class that rare ones are merged into; a number where the classes are numbers."
    )
    drop: bool = Field(False, description="Leave the rows of rare classes out instead.")

    @model_validator(mode="after")
    def _merged_or_left_out(self) -> Self:
        if (self.into is None) != self.drop:
            raise ValueError("name either into, as in {under: 10, into: other}, or drop: true")
        return self


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
    rare_classes: RareClasses | None = Field(
        None, description="What becomes of classes with few rows, as in {under: 10, into: other}; unset: nothing."
    )
    id: Column | None = Field(None, description="Column that names a row; never a feature.")
    drop: tuple[Column, ...] = Field((), description="Columns that are not features.")
    truth: Column | None = Field(None, description="Column with the true probability (synthetic data only).")

    @property
    def missing_words(self) -> frozenset[str]:
        """The cells that mean missing in any of the sources."""
        return frozenset(word for source in self.sources.values() for word in source.read.na)

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


STRATIFY = Field(
    None,
    description="Whether each side gets its share of each class; unset: of classes of which a side would hold fewer"
    " than 5 rows by hash alone, which is told. Then a few rows may change sides when the data grow.",
)


class HashSplit(_Shares):
    """By md5 of salt and id (without an id: of the whole row), so a row never changes sides."""

    by: Literal["hash"] = "hash"
    stratify: bool | None = STRATIFY


class GroupSplit(_Shares):
    """Rows that agree in the columns stay on one side."""

    by: Literal["group"]
    columns: tuple[Column, ...] = Field(min_length=1, description="Columns that make the group.")
    stratify: bool | None = STRATIFY


class TimeSplit(_Shares):
    """Oldest rows to train, newest to test; equal times stay on one side."""

    by: Literal["time"]
    column: Column = Field(description="Column with the time.")


class _Official(Section):
    valid: Fraction = Field(0.15, description="Share of the training rows kept for valid, by hash.")
    salt: str = Field("ratchet", description="Changes which rows go to valid.")
    stratify: bool | None = STRATIFY


def _as_plain_value(value: object) -> object:
    """A date that YAML has read as one is the text that stands there; 2022.0 is 2022."""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if isinstance(value, float) and value.is_integer() else value


SideValue = Annotated[str | int | float, NOT_BOOL, BeforeValidator(_as_plain_value)]


class ColumnSplit(_Official):
    """By the values of a column."""

    by: Literal["column"]
    column: Column = Field(description="Column that names the side.")
    train: tuple[SideValue, ...] = Field(
        min_length=1, description="Its values for train; of dates and times also days, months (2024-05) and years."
    )
    test: tuple[SideValue, ...] = Field(min_length=1, description="Its values for test.")

    @model_validator(mode="after")
    def _each_value_has_one_side(self) -> Self:
        if both := sorted({str(value) for value in self.train} & {str(value) for value in self.test}):
            raise ValueError(f"{both[0]!r} is in train and in test")
        return self


class SourceSplit(_Official):
    """Official files: each a source."""

    by: Literal["source"]
    train: tuple[str, ...] = Field(min_length=1, description="Sources for train.")
    test: tuple[str, ...] = Field(min_length=1, description="Sources for test.")


Split = Annotated[HashSplit | GroupSplit | TimeSplit | ColumnSplit | SourceSplit, Field(discriminator="by")]
