"""What was asked, answered and came true, as a Parquet file: one row a prediction, in flat memory."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.adapters import captured, joined
from ratchet.adapters.joined import Prediction
from ratchet.errors import DataError
from ratchet.operate.ledger import written
from ratchet.settings import Settings

TIME = pa.timestamp("us", "UTC")
BEFORE = {"request_id": pa.string(), "row": pa.int32(), "at": TIME, "entity": pa.string(), "version": pa.int32(),
          "arm": pa.string(), "rollout": pa.int32(), "status": pa.int32(), "latency_ms": pa.float64(),
          "problem": pa.string()}  # fmt: skip
RAW = pa.schema([*BEFORE.items(), *((name, pa.string()) for name in ("inputs", "answer", "outcome", "outcome_at"))])
TYPES = {"whole": pa.int64(), "number": pa.float64(), "truth": pa.bool_(), "text": pa.string()}
LARGEST = 2**63


@dataclass(frozen=True)
class Exported:
    """A file of predictions. known: of how many something came true; lost: rows that are not on record at all."""

    output: Path
    rows: int
    known: int
    lost: int


@dataclass
class Columns:
    """The columns that inputs, answers and outcomes need, by their name in the file, as they are met."""

    kinds: dict[str, str] = field(default_factory=dict)

    def meet(self, values: Mapping[str, Any]) -> None:
        """Note what is in a row."""
        for name, value in values.items():
            if value is not None:
                kind, known = _kind(value), self.kinds.get(name, "")
                if known in ("", "none"):
                    self.kinds[name] = kind
                elif known != kind:
                    self.kinds[name] = "number" if {known, kind} == {"whole", "number"} else "text"
            else:
                self.kinds.setdefault(name, "none")

    def array(self, name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Array:
        """Return a column of some rows."""
        kind, values = self.kinds[name], [row.get(name) for row in rows]
        if kind == "number":
            values = [None if value is None else float(value) for value in values]
        if kind in ("text", "none"):
            values = [value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                      for value in values]  # fmt: skip
        return pa.array(values, TYPES.get(kind, pa.string()))


def export(
    settings: Settings, task: str, output: Path, since: str | None, until: str | None, only_known: bool
) -> Exported:
    """Write the predictions of a task to a Parquet file, which gets its name when it is whole.

    since, until: ISO 8601, from the one to before the other; only_known: those of which something came true. Raises
    ConfigError for a time that is none, DataError for an output that cannot be, ServerError for the database.
    """
    if output.suffix != ".parquet":
        raise DataError(f"{output}: the output is a .parquet file")
    if not output.parent.is_dir():
        raise DataError(f"{output}: the folder {output.parent} is not there")
    first, last = written(since, "--since") if since else "", written(until, "--until") if until else "~"
    engine = captured.engine(settings)
    raw, partial = (output.with_name(f".{output.name}.{os.getpid()}.{part}") for part in ("raw", "part"))
    try:
        found = joined.between(engine, task, first, last, only_known)
        inputs, others, rows, known = _gather(found, raw)
        _write(raw, partial, inputs, others)
        partial.replace(output)
        lost = sum(each["lost"] for each in captured.losses(engine, task) if first <= each["at"] < last)
        return Exported(output, rows, known, lost)
    finally:
        engine.dispose()
        for path in (raw, partial):
            path.unlink(missing_ok=True)


def _gather(found: Iterator[list[Prediction]], raw: Path) -> tuple[Columns, Columns, int, int]:
    """Keep predictions as they are, and see of which types their values are: only then the columns are known."""
    inputs, others, rows, known = Columns(), Columns(), 0, 0
    with pq.ParquetWriter(raw, RAW) as writer:
        for batch in found:
            for each in batch:
                inputs.meet(each.inputs or {})
                others.meet(_answered(each.answer))
                others.meet({"outcome": each.outcome})
                known += each.outcome_at is not None
            columns = {name: [getattr(each, name) for each in batch] for name in RAW.names}
            columns["at"] = [_time(text) for text in columns["at"]]
            for name in ("inputs", "answer", "outcome"):
                columns[name] = [json.dumps(value, ensure_ascii=False) for value in columns[name]]
            writer.write_table(pa.table(columns, RAW))
            rows += len(batch)
    return inputs, others, rows, known


def _write(raw: Path, partial: Path, inputs: Columns, others: Columns) -> None:
    """Write the columns; an input whose name is another column's is called `input_…`."""
    taken = {*BEFORE, *others.kinds, "outcome", "outcome_at"}
    names = {name: f"input_{name}" if name in taken else name for name in inputs.kinds}
    with ExitStack() as opened:
        writer = None
        file = opened.enter_context(pq.ParquetFile(raw))
        for batch in file.iter_batches(joined.MOST_ROWS) if file.metadata.num_rows else [_empty()]:
            rows = batch.to_pylist()
            columns = {name: batch.column(name) for name in BEFORE}
            given = [json.loads(row["inputs"]) or {} for row in rows]
            columns |= {names[name]: inputs.array(name, given) for name in inputs.kinds}
            told = [_answered(json.loads(row["answer"])) | {"outcome": json.loads(row["outcome"])} for row in rows]
            columns |= {name: others.array(name, told) for name in others.kinds}
            columns["outcome_at"] = pa.array([_time(row["outcome_at"]) for row in rows], TIME)
            table = pa.table(columns)
            writer = writer or opened.enter_context(pq.ParquetWriter(partial, table.schema))
            writer.write_table(table)


def _empty() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], RAW)


def _answered(answer: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of an answer as columns: predicted_label, predicted_probabilities.CLASS."""
    found: dict[str, Any] = {}
    for name, value in (answer or {}).items():
        if isinstance(value, dict):
            found |= {f"predicted_{name}.{inner}": each for inner, each in value.items()}
        else:
            found[f"predicted_{name}"] = value
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int) and -LARGEST <= value < LARGEST:
        return "whole"
    return "number" if isinstance(value, int | float) else "text"


def _time(text: str | None) -> Any:
    return datetime.fromisoformat(text) if text else None
