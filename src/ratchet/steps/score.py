"""Step 5: a file of rows in, a file of rows with answers out, in one pass of flat memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.adapters import files, registry, sources, tracking
from ratchet.adapters.sources import Table
from ratchet.adapters.tracking import Run
from ratchet.config import Source
from ratchet.errors import DataError, did_you_mean
from ratchet.steps.session import Session

BATCH_ROWS = 50_000
ENDINGS = (".csv", ".parquet")


@dataclass(frozen=True)
class Scored:
    """A scored file."""

    run_id: str
    output: Path
    rows: int
    model_uri: str


class _Writer(Protocol):
    def write(self, rows: pd.DataFrame) -> None: ...

    def close(self) -> None: ...


class _Csv:
    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8", newline="")
        self.fresh = True

    def write(self, rows: pd.DataFrame) -> None:
        rows.to_csv(self.file, index=False, header=self.fresh)
        self.fresh = False

    def close(self) -> None:
        self.file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: pq.ParquetWriter | None = None

    def write(self, rows: pd.DataFrame) -> None:
        if self.writer is None:
            table = pa.Table.from_pandas(rows, preserve_index=False)
            # A column that is empty in the first batch has no type of its own: it is text.
            fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
            self.schema = pa.schema(fields)
            self.writer = pq.ParquetWriter(self.path, self.schema)
        self.writer.write_table(pa.Table.from_pandas(rows, self.schema, preserve_index=False))

    def close(self) -> None:
        if self.writer:
            self.writer.close()


def score(session: Session, source: str, output: Path, stage: str, parent: Run | None = None) -> Scored:
    """Answer each row of a file with the version in a stage; write the rows and the answers to another file.

    The output gets its name only when it is whole. Raises DataError for a column that is missing or no number.
    """
    if output.suffix not in ENDINGS:
        raise DataError(f"{output}: the output is a .csv or a .parquet file")
    if not output.parent.is_dir():
        raise DataError(f"{output}: the folder {output.parent} is not there")
    with tracking.opened(session.client, session.task.name, "score", parent) as run:
        version = registry.behind(session.client, session.task.name, stage)
        scorer = registry.load_scorer(version.uri)
        session.progress.step("score", "running")
        read = next(iter(session.task.data.sources.values())).read
        table = sources.locate(
            "input", Source(uris=(source,), read=read.model_copy(update={"types": {}})), session.settings
        )
        folder = session.settings.home / "work-score"
        partial = output.with_name(f".{output.name}.part")
        rows = 0
        try:
            writer: _Writer = _Parquet(partial) if output.suffix == ".parquet" else _Csv(partial)
            try:
                for batch in _batches(folder, table, scorer.encoder.inputs):
                    answers = pd.json_normalize(scorer.predict(batch)).set_axis(batch.index)
                    writer.write(pd.concat([batch, answers], axis=1))
                    rows += len(batch)
                    session.progress.rows(rows)
            finally:
                writer.close()
            if not rows:
                raise DataError(f"{table.origin}: holds no rows")
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
        run.log_params({"input": table.origin, "output": output, "model_uri": version.uri})
        run.log_metrics({"rows": float(rows)})
        session.progress.step("score", "done")
        return Scored(run.id, output, rows, version.uri)


def _batches(folder: Path, table: Table, inputs: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """Yield the rows with all their columns; those that the model reads have the type that it expects."""
    with files.workspace(folder, [table]) as db:
        columns = [name for name, *_ in db.execute("DESCRIBE input").fetchall()]
        if absent := [name for name in inputs if name not in columns]:
            raise DataError(
                f"{table.origin}: no column {absent[0]!r}, which the model reads{did_you_mean(absent[0], columns)}"
            )
        shown = [f"{_typed(name, inputs.get(name))} AS {files.quoted(name)}" for name in columns]
        try:
            reader = db.execute(f"SELECT {', '.join(shown)} FROM input").to_arrow_reader(BATCH_ROWS)
            for batch in reader:
                yield pa.Table.from_batches([batch]).to_pandas()
        except duckdb.Error as error:
            raise DataError(f"{table.origin}: {str(error).splitlines()[0]}") from None


def _typed(name: str, kind: str | None) -> str:
    column = files.quoted(name)
    return f"{column}::{files.DUCKDB_TYPES[kind]}" if kind else column
