"""What the gateway was asked and has answered is put on record, beside the event loop and by way of files here."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ratchet.adapters import captured
from ratchet.adapters.capturekey import capture_key
from ratchet.adapters.capturesender import Sink
from ratchet.adapters.capturespool import FLUSH_S, MOST_BYTES, Spool
from ratchet.config import Task
from ratchet.serving.routes import Call
from ratchet.serving.sensitive import Sensitive
from ratchet.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy

FOLDER = "captured"  # below the home folder, with one of the task's name in it


class Recorder:
    """Keeps calls in the `ratchet` database, unless the task says `serving.capture: false`: then it only counts.

    Counts, of scored rows: seen; recorded: of those, kept or on their way; waiting: on their way; sent: in the
    database; lost: not kept, which is on record in `capture_losses` too.
    """

    def __init__(
        self, task: Task, settings: Settings, tell: Callable[[str], None] = lambda text: None,
        flush_s: float = FLUSH_S, most_bytes: int = MOST_BYTES,
    ) -> None:  # fmt: skip
        """Begin, also with what earlier processes left.

        Raises ConfigError or ServerError if the key of sensitive fields, or the folder of the files, is not to be had;
        the database may be away. tell: hears what people ought to know, in one line, from another thread.
        """
        self.task, self.settings = task, settings
        key = capture_key(settings.home) if task.serving.sensitive else b""
        self.sensitive = Sensitive(task.serving.sensitive, key, task.rollout.key or task.data.id)
        self._engine: sqlalchemy.Engine | None = None
        self._opening = threading.Lock()
        self._uncaptured = 0
        self.spool: Spool | None = None
        if task.serving.capture:
            sink = Sink(self.lines, self._append, self._lose, self._forget, tell)
            self.spool = Spool(settings.home / FOLDER / task.name, sink, flush_s, most_bytes)

    def record(self, call: Call) -> None:
        """Keep a call; this takes microseconds and never fails. On one thread only."""
        if self.spool is None:
            self._uncaptured += len(call.rows) or 1
        else:
            self.spool.append(call, len(call.rows) or 1)

    def entity_is(self, column: str | None) -> None:
        """From now on that column names the entity."""
        if column != self.sensitive.entity:
            self.sensitive = replace(self.sensitive, entity=column)

    @property
    def seen(self) -> int:
        """Rows that were handed in."""
        return self.spool.seen if self.spool else self._uncaptured

    @property
    def recorded(self) -> int:
        """Rows of this process that are in the database or on their way there."""
        return self.spool.seen - self.spool.too_many - self.spool.thrown if self.spool else 0

    @property
    def waiting(self) -> int:
        """Rows on their way to the database, also those that earlier processes left."""
        return self.spool.waiting if self.spool else 0

    @property
    def sent(self) -> int:
        """Rows that came to the database, also those that earlier processes left."""
        return self.spool.sent if self.spool else 0

    @property
    def lost(self) -> int:
        """Rows that will never be there, also those that earlier processes had not written down."""
        return self.spool.lost if self.spool else 0

    def close(self, limit_s: float = 10) -> None:
        """Write down what is there and send for so long; the rest waits here for the next process."""
        if self.spool:
            self.spool.close(limit_s)
        if self._engine is not None:
            self._engine.dispose()

    def engine(self) -> "sqlalchemy.Engine":
        """Return the engine of the database.

        Raises Away or ServerError if it is not to be had now.
        """
        with self._opening:
            if self._engine is None:
                self._engine = captured.engine(self.settings)
            return self._engine

    def lines(self, call: Call) -> Iterator[bytes]:
        """Yield the lines of a call, one a row, as `captured.append` takes them; a call without rows has one."""
        begin = captured.beginning({
            "task": self.task.name, "request_id": call.request_id, "version": call.version, "arm": call.arm,
            "at": captured.written(datetime.fromtimestamp(call.at, UTC)), "rollout": call.rollout,
            "status": call.status, "latency_ms": call.latency_ms,
        })  # fmt: skip
        for n in range(len(call.rows) or 1):
            yield captured.line(self._row(call, n), begin)

    def _row(self, call: Call, n: int) -> dict[str, Any]:
        row = call.rows[n] if call.rows else None
        entity = (call.entities[n] if n < len(call.entities) else None) or call.request_id
        hidden = self.sensitive
        return {
            "row": call.positions[n] if n < len(call.positions) else n,
            "entity": hidden.entity_of(entity),
            "inputs": None if row is None else hidden.inputs(row),
            "answer": hidden.answer(call.answers[n]) if n < len(call.answers) else None,
            "problem": hidden.problem(call.problem, row or {}, entity),
        }

    def _append(self, lines: Sequence[bytes]) -> None:
        captured.append(self.engine(), lines)

    def _lose(self, lost: int, why: str, source: str) -> None:
        captured.append_loss(self.engine(), self.task.name, lost, why, source)

    def _forget(self) -> None:
        days = timedelta(days=self.task.serving.retention_days)
        captured.forget(self.engine(), self.task.name, datetime.now(UTC) - days)
