"""Step 5: a file of rows in, a file of rows with answers out, in one pass of flat memory."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from ratchet.adapters import delimited, files, registry, sources
from ratchet.adapters.runs import Run
from ratchet.adapters.sources import Table
from ratchet.adapters.sql import quoted
from ratchet.config import Source
from ratchet.errors import DataError, did_you_mean
from ratchet.steps import chronicle
from ratchet.steps.session import Session

BATCH_ROWS = 50_000
READ = "ratchet_read_"
WRITERS: dict[str, Any] = {".csv": csv.CSVWriter, ".parquet": pq.ParquetWriter}


@dataclass(frozen=True)
class Scored:
    """A scored file."""

    run_id: str
    output: Path
    rows: int
    model_uri: str


def score(session: Session, source: str, output: Path, stage: str, parent: Run | None = None) -> Scored:
    """Answer each row of a file with the version in a stage; write the rows and the answers to another file.

    The rows keep all their columns as they are; an answer whose name is taken is called `predicted_…`. The output gets
    its name only when it is whole. Raises DataError for a column that is missing or no number.
    """
    if output.suffix not in WRITERS:
        raise DataError(f"{output}: the output is a {' or a '.join(WRITERS)} file")
    if not output.parent.is_dir():
        raise DataError(f"{output}: the folder {output.parent} is not there")
    if "://" not in source and not Path(source).exists():
        raise DataError(f"{source}: no such file")
    if output.exists() and output.samefile(source):
        raise DataError(f"{output}: is the input too; name another file, so that nothing is lost")
    with session.opened("score", parent) as run:
        version = registry.behind(session.client, session.task.name, stage)
        session.progress.step("score", "running")
        read = next(iter(session.task.data.sources.values())).read.model_copy(update={"types": {}, "dates": {}})
        table = sources.locate("input", Source(uris=(source,), read=read), session.settings)
        rows = _write(session, table, session.scorer(chronicle.model_of(session, version)), output)
        run.log_params({"input": table.origin, "output": output, "model_uri": version.uri})
        run.log_metrics({"rows": float(rows)})
        session.progress.step("score", "done")
        return Scored(run.id, output, rows, version.uri)


def _write(session: Session, table: Table, scorer: Any, output: Path) -> int:
    """Write the answered rows; return how many there are."""
    try:
        return _written(session, table, scorer, output, from_sample=True)
    except DataError:  # also where a later row has a cell of another type than the first ones
        return _written(session, table, scorer, output, from_sample=False)


def _written(session: Session, table: Table, scorer: Any, output: Path, from_sample: bool) -> int:
    partial = output.with_name(f".{output.name}.{os.getpid()}.part")
    writer, rows = None, 0
    try:
        with session.work_folder() as folder:
            for given, inputs in _batches(folder, table, scorer.encoder.inputs, from_sample):
                answered = _beside(given, scorer.columns(inputs))
                writer = writer or WRITERS[output.suffix](partial, answered.schema)
                writer.write_table(answered)
                rows += len(answered)
                session.progress.rows(rows)
        if writer is None:
            raise DataError(f"{table.origin}: holds no rows")
        writer.close()
        partial.replace(output)
    except OSError as error:
        if error.filename:
            raise
        # pyarrow's own name no file
        raise OSError(error.errno, error.strerror or str(error), str(output.absolute())) from None
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _beside(given: pa.Table, answers: Mapping[str, Any]) -> pa.Table:
    """Return the rows with the columns of their answers."""
    for name, values in answers.items():
        column = pa.array(values, from_pandas=True)
        given = given.append_column(f"predicted_{name}" if name in given.column_names else name, column)
    return given


def _batches(
    folder: Path, table: Table, inputs: Mapping[str, str], from_sample: bool
) -> Iterator[tuple[pa.Table, pd.DataFrame]]:
    """Yield rows as they are, and the columns that the model reads, in the types that it expects."""
    with files.workspace(folder, [table], from_sample) as db:
        columns = [name for name, *_ in db.execute("DESCRIBE input").fetchall()]
        if absent := [name for name in inputs if name not in columns]:
            hint = did_you_mean(absent[0], columns)
            raise DataError(f"{table.origin}: no column {absent[0]!r}, which the model reads{hint}")
        typed = [
            f"{quoted(name)}::{delimited.DUCKDB_TYPES[kind]} AS {quoted(READ + name)}" for name, kind in inputs.items()
        ]
        try:
            for batch in db.sql(f"SELECT *, {', '.join(typed)} FROM input").to_arrow_reader(BATCH_ROWS):
                whole = pa.Table.from_batches([batch])
                read = whole.select([READ + name for name in inputs]).rename_columns(list(inputs))
                yield whole.select(columns), read.to_pandas()
        except (duckdb.Error, OSError) as error:  # in the middle of a stream pyarrow raises DuckDB's as its own
            odd = "" if from_sample else _odd_cell(db, inputs)
            raise DataError(f"{table.origin}: {odd or str(error).splitlines()[0]}") from None


def _odd_cell(db: duckdb.DuckDBPyConnection, inputs: Mapping[str, str]) -> str:
    """Name the first cell that is not of the type which the model reads; empty if it is not found."""
    found = None
    for name, kind in inputs.items():
        cell, numbered = quoted(name), "SELECT *, row_number() OVER () AS ratchet_row FROM input"
        odd = f"{cell} IS NOT NULL AND TRY_CAST({cell} AS {delimited.DUCKDB_TYPES[kind]}) IS NULL"
        with contextlib.suppress(duckdb.Error):
            found = db.execute(f"SELECT ratchet_row, {cell} FROM ({numbered}) WHERE {odd} LIMIT 1").fetchone()
        if found:
            shown = str(found[1])[:80]
            return f"row {found[0]:,}: {name!r} is {shown!r}, not a {kind}; if it is missing, leave it empty"
    return ""
