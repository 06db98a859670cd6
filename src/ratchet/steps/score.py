"""Step 5: a file of rows in, a file of rows with answers out, in one pass of flat memory."""

import codecs
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.adapters import registry, sources
from ratchet.adapters.csvfile import CsvWriter
from ratchet.adapters.runs import Run
from ratchet.adapters.sources import Table
from ratchet.config import Read, Source
from ratchet.errors import DataError, did_you_mean
from ratchet.steps import chronicle, scoredrows
from ratchet.steps.session import Session

BATCH_ROWS = 50_000
WRITERS: dict[str, Any] = {".csv": CsvWriter, ".parquet": pq.ParquetWriter}


@dataclass(frozen=True)
class Scored:
    """A scored file. unseen, out_of_range: by column, how many cells training gives no ground for."""

    run_id: str
    output: Path
    rows: int
    model_uri: str
    unseen: dict[str, int] = field(default_factory=dict)
    out_of_range: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """How the file is read where it is not read as the task's source.

    as_source: the source in whose place it stands, so that data.query is run over it; is_plain: the query is not run,
    whatever the task says; read: keys of `data.sources.NAME.read` that differ for this file.
    """

    as_source: str | None = None
    is_plain: bool = False
    read: Mapping[str, Any] = field(default_factory=dict)


def score(
    session: Session, source: str, output: Path, stage: str, parent: Run | None = None, reading: Reading = Reading()
) -> Scored:
    """Answer each row of a file with the version in a stage; write the rows and the answers to another file.

    The rows keep all their columns as they are; an answer whose name is taken is called `predicted_…`. The output gets
    its name only when it is whole. Raises DataError for a column that is missing or no number, and for what the task
    refuses (features.unseen, features.range).
    """
    if output.suffix not in WRITERS:
        raise DataError(f"{output}: the output is a {' or a '.join(WRITERS)} file")
    if not output.parent.is_dir():
        raise DataError(f"{output}: the folder {output.parent} is not there")
    if "://" not in source and not Path(source).exists():
        raise DataError(f"{source}: no such file")
    if "://" not in source and output.exists() and output.samefile(source):
        raise DataError(f"{output}: is the input too; name another file, so that nothing is lost")
    with session.opened("score", parent) as run:
        version = registry.behind(session.client, session.task.name, stage)
        session.progress.step("score", "running")
        scorer, metadata = session.scorer_with_metadata(chronicle.model_of(session, version))
        scored = _chosen(session, source, output, scorer, metadata.get("sources", {}), reading)
        written = _Writing(session, scorer, output)
        written.write(scored)
        run.log_params({"input": scored.table.origin, "output": output, "model_uri": version.uri})
        run.log_metrics({"rows": float(written.rows)})
        session.progress.step("score", "done")
        return Scored(run.id, output, written.rows, version.uri, *map(dict, written.odd.values()))


def _chosen(
    session: Session, source: str, output: Path, scorer: Any, types: Mapping[str, Any], reading: Reading
) -> scoredrows.Scored:
    """Return how the file is read: as the source of the query, where there is one and it fits, else as it is."""
    data = session.task.data
    if reading.as_source and reading.as_source not in data.sources:
        hint = did_you_mean(reading.as_source, data.sources) or f"; the sources are {', '.join(data.sources)}"
        raise DataError(f"--as-source: no source {reading.as_source!r}{hint}")
    if reading.as_source and (not data.query or data.asks_database):
        why = "a database answers data.query" if data.query else "the task has no data.query"
        raise DataError(f"--as-source: {why}, so a file is scored as it is; leave it out")
    first = reading.as_source or next(iter(data.sources))
    known = {*scorer.encoder.missing} if hasattr(scorer.encoder, "missing") else set()

    def read_as(name: str, query: str | None, further: list[Table]) -> scoredrows.Scored:
        table = _located(session, source, name, data.sources[first].read, reading)
        words = frozenset(table.read.na)
        # What the model knows to be missing it tells from a level of that name by itself.
        missing, unknown, as_csv = words | known, words - known, output.suffix == ".csv"
        return scoredrows.Scored([table, *further], query, types, scorer.encoder, missing, unknown, as_csv)

    if not data.query or data.asks_database or reading.is_plain:
        return read_as("input", None, [])
    if not reading.as_source and len(data.sources) > 1:
        plain = read_as("input", None, [])
        return replace(plain, mend=f"; data.query makes it: say --as-source {' or '.join(data.sources)}")
    others = [name for name in data.sources if name != first]
    further = [sources.locate(name, data.sources[name], session.settings) for name in others]
    queried = read_as(first, data.query, further)
    return queried if reading.as_source else _fitting(session, queried, partial(read_as, "input", None, []), first)


def _fitting(
    session: Session, queried: scoredrows.Scored, as_it_is: Callable[[], scoredrows.Scored], name: str
) -> scoredrows.Scored:
    """Return the way that fits the file: with the query of the task, or without it."""
    try:
        with session.work_folder() as folder, scoredrows.opened(queried, folder):
            pass
    except DataError as fault:
        plain = as_it_is()
        try:
            with session.work_folder() as folder, scoredrows.opened(plain, folder):
                pass
        except DataError as other:
            raise DataError(f"{other}; and with data.query, over it as source {name!r}: {fault}") from None
        session.progress.note(f"data.query does not fit the file ({fault}), so it is scored as it is")
        return plain
    session.progress.note(f"data.query is run over the file, as source {name!r}; --plain scores it as it is")
    return queried


def _located(session: Session, source: str, name: str, read: Read, reading: Reading) -> Table:
    """Return the file, to be read as the source was with what differs; types are those of the model."""
    changes = {"types": {}, **reading.read}
    if "encoding" not in reading.read and _begins_as_utf8(source):
        changes["encoding"] = "utf-8"
    own = Read.model_validate(read.model_dump() | changes)
    try:
        return sources.locate(name, Source(uris=(source,), read=own), session.settings)
    except DataError as fault:
        mend = "name its --read.encoding"
        raise DataError(str(fault).replace("name its read.encoding", mend)) from None


def _begins_as_utf8(source: str) -> bool:
    """Whether a file begins with the mark that Excel writes before UTF-8."""
    if "://" in source or not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


class _Writing:
    """Answers rows and writes them. rows: how many; odd: by warning and column, how many cells."""

    def __init__(self, session: Session, scorer: Any, output: Path) -> None:
        self.session, self.scorer, self.output = session, scorer, output
        self.rows, self.odd = 0, {"unseen": Counter[str](), "range": Counter[str]()}

    def write(self, scored: scoredrows.Scored) -> None:
        """Write the answered rows to the output, which gets its name when it is whole."""
        partial = self.output.with_name(f".{self.output.name}.{os.getpid()}.part")
        writer = None
        try:
            with self.session.work_folder() as folder, scoredrows.opened(scored, folder) as db:
                for given, inputs in scoredrows.batches(db, scored, BATCH_ROWS):
                    self._look(scored, inputs)
                    answered = _beside(given, self.scorer.columns(inputs))
                    writer = writer or WRITERS[self.output.suffix](partial, answered.schema)
                    writer.write_table(answered)
                    self.rows += len(answered)
                    self.session.progress.rows(self.rows)
            if writer is None:
                raise DataError(f"{scored.table.origin}: holds no rows")
            writer.close()
            partial.replace(self.output)
        except OSError as error:
            if error.filename:
                raise
            # pyarrow's own name no file
            raise OSError(error.errno, error.strerror or str(error), str(self.output.absolute())) from None
        finally:
            partial.unlink(missing_ok=True)

    def _look(self, scored: scoredrows.Scored, inputs: pd.DataFrame) -> None:
        """Count the cells that training gives no ground for.

        Raises DataError for the first one that the task refuses.
        """
        features, encoder = self.session.task.features, scored.encoder
        if not features.counted or not hasattr(encoder, "odd_cells"):  # a text, or a model of an older release
            return
        for name, is_odd in encoder.odd_cells(inputs).items():
            column = encoder.by_name[name]
            if column.warning in features.refused:
                place = int(is_odd.argmax())
                told = f"row {self.rows + place + 1:,}: {name!r} is {str(inputs[name].iloc[place])[:80]!r}"
                raise DataError(f"{scored.table.origin}: {told}, {column.expected} (features.{column.warning}: refuse)")
            if column.warning in features.counted:
                self.odd[column.warning][name] += int(is_odd.sum())


def _beside(given: pa.Table, answers: Mapping[str, Any]) -> pa.Table:
    """Return the rows with the columns of their answers."""
    for name, values in answers.items():
        column = pa.array(values, from_pandas=True)
        given = given.append_column(f"predicted_{name}" if name in given.column_names else name, column)
    return given
