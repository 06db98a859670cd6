"""Who answers: the versions that run, and which entities belong to which of them."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ratchet.config import Read
from ratchet.scoring.encode import Column

CellKind = Literal["number", "text", "boolean", "numeral", "code"]
Arm = Literal["champion", "challenger", "shadow", "rule"]


@dataclass(frozen=True)
class Signature:
    """What a version reads. inputs: column -> (kind of its cells, whether it is required), in the model's order.

    Kinds: as `scoring.encode.TableEncoder.kinds` has them. known: further columns of the data, which a caller may send
    along and the model does not read; outputs: the names of an answer's fields; explains: whether it gives reasons;
    kind, classes: as `scoring.predict.Scorer` has them; missing: cells of a CSV that mean missing; columns: what
    training saw in each column, by its name; numbers: the form of `read.numbers` in which a CSV writes a column.
    """

    inputs: Mapping[str, tuple[CellKind, bool]]
    known: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()
    explains: bool = False
    kind: str = "binary"
    classes: tuple[Any, ...] = ()
    missing: frozenset[str] = frozenset(Read().na)
    columns: Mapping[str, Column] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Backend:
    """A model server that is up and has answered its sample rows as recorded.

    url: without a path; sample: rows as {column: value}; answers: what evaluate recorded for them.
    """

    version: int
    url: str
    signature: Signature
    sample: tuple[Mapping[str, Any], ...] = ()
    answers: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Trial:
    """The challenger's part of the traffic. salt: of this rollout; percent: of the entities; rollout: its number.

    shadow: the challenger gets copies and the champion answers.
    """

    rollout: int
    salt: str
    percent: float
    shadow: bool = False

    def place(self, entity: str) -> float:
        """Return where an entity stands, from 0 to below 100; the same for ever, so a growing share keeps its own."""
        digest = hmac.digest(self.salt.encode(), entity.encode("utf-8", "replace"), hashlib.sha256)
        return int.from_bytes(digest[:8], "big") / 2**64 * 100

    def has(self, entity: str) -> bool:
        """Whether an entity belongs to the challenger."""
        return self.place(entity) < self.percent


@dataclass(frozen=True)
class Withdrawn:
    """A version that left Production, where nothing is since.

    at: UTC, ISO 8601; last: the version as it answered, for its signature and sample rows; None where it is not known.
    """

    version: int
    at: str
    last: Backend | None = None

    @property
    def sentence(self) -> str:
        """What callers are told; why it was withdrawn is not for them."""
        return (
            f"version {self.version} was withdrawn at {self.at}, and no other version is in Production; the reason is"
            " on the ledger"
        )


@dataclass(frozen=True)
class Routes:
    """Who answers now. champion: None while no model answers; challenger and trial: during a rollout.

    withdrawn: the version that was taken out of Production, until another one answers.
    """

    champion: Backend | None = None
    challenger: Backend | None = None
    trial: Trial | None = None
    withdrawn: Withdrawn | None = None


@dataclass(frozen=True)
class Rows(Sequence[Mapping[str, Any]]):
    """Rows by column, made when they are looked at: on the way of a request nobody does."""

    names: tuple[str, ...]
    cells: Sequence[Sequence[Any]]

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, place: Any) -> Any:
        return dict(zip(self.names, self.cells[place], strict=True))


@dataclass(frozen=True)
class Call:
    """What was asked and answered of one version, for the record.

    at: seconds since 1970, when the request came; rows, entities, answers: one each per row (answers: empty where the
    call failed); positions: which rows of the request they are; problem: what the caller was told instead; rollout:
    the number of the one under way.
    """

    request_id: str
    at: float
    version: int
    arm: Arm
    status: int
    latency_ms: float
    rows: Sequence[Mapping[str, Any]] = ()
    entities: Sequence[str | None] = ()
    positions: Sequence[int] = ()
    answers: Sequence[Mapping[str, Any]] = ()
    problem: str = ""
    rollout: int | None = None


class Recorder(Protocol):
    """Who keeps what was asked and answered."""

    def record(self, call: Call) -> None:
        """Keep a call; it takes microseconds, and never fails."""
        ...
