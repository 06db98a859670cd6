"""Rows out of a database: the query runs there, its rows stream into Parquet here, and memory stays flat."""

import hashlib
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet.adapters import database
from ratchet.errors import DataError

if TYPE_CHECKING:
    from sqlalchemy import Engine

AT_ONCE = 20_000  # rows in memory
# A cursor on the server; the query as it stands, in which % and : are what the database takes them for.
HOW = {"stream_results": True, "max_row_buffer": AT_ONCE, "no_parameters": True}
IS_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Question:
    """What a database is asked. max_gb: the most that BigQuery may scan, in 10^9 bytes; tell: who hears how much."""

    sql: str
    max_gb: float = math.inf
    tell: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Result:
    """The rows of a query: a Parquet file, and a digest that does not depend on their order."""

    file: Path
    digest: str


def with_secrets(uri: str, place: str) -> str:
    """Return the address with each `${NAME}` taken from the environment; it goes into no record and no message.

    Raises DataError for a name that is not set.
    """
    missing = [name for name in IS_VARIABLE.findall(uri) if name not in os.environ]
    if missing:
        raise DataError(f"{place}: the environment variable {missing[0]} is not set")
    return IS_VARIABLE.sub(lambda found: quote(os.environ[found[1]], safe=""), uri)


def query(uri: str, question: Question, folder: Path, place: str) -> Result:
    """Run a query on a database, by SQLAlchemy, with a cursor on the server where it has one.

    place: what an error names. Raises DataError.
    """
    from sqlalchemy.exc import SQLAlchemyError

    def parts() -> Iterator[pa.Table]:
        with engine.connect().execution_options(**HOW) as connection:  # nothing is committed: it only reads
            answer = connection.exec_driver_sql(question.sql)
            names = list(answer.keys())
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise DataError(f"data.query: column {twice!r} comes twice; give one of them another name with AS")
            yield pa.table({name: pa.array([], pa.null()) for name in names})  # a query without rows has columns
            for rows in answer.partitions(AT_ONCE):
                yield _typed(pd.DataFrame.from_records(rows, columns=names), uri)

    engine = open_engine(uri, place)
    try:
        return written(parts(), folder)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0][:300]
        raise DataError(f"{place}: {uri}: {reason}") from None
    except pa.ArrowException as error:
        raise DataError(f"{place}: {uri}: {str(error).splitlines()[0][:200]}") from None
    finally:
        engine.dispose()


def open_engine(uri: str, place: str) -> "Engine":
    """Return SQLAlchemy's engine for an address; nothing is connected yet.

    Args:
        uri: The address, with `${NAME}` for an environment variable.
        place: What an error names.

    Raises:
        DataError: If it is no address of a database, its driver is not installed, or an SQLite file is not there.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        engine = create_engine(database.with_driver(with_secrets(uri, place)))
    except ImportError as error:
        mend = f"pip install the package that brings {error.name}" if error.name else "install it"
        raise DataError(f"{place}: {uri}: the driver of this database is not installed; {mend}") from None
    except (ArgumentError, NoSuchModuleError, ValueError) as error:  # their words may hold a part of the password
        raise DataError(f"{place}: no database is reached by {uri}: {type(error).__name__}") from None
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and file != ":memory:" and not file.startswith("file:") and not Path(file).is_file():
        engine.dispose()  # SQLite would make an empty one
        raise DataError(f"{place}: {uri}: no such file")
    return engine


def _typed(rows: pd.DataFrame, uri: str) -> pa.Table:
    """Return rows as a table; decimals stay decimals, so that keys of 20 digits stay apart.

    Raises:
        DataError: a column holds what no type fits, such as a range; it names the column.
    """
    cells = {}
    for name in rows:
        try:
            cells[name] = _as_array(rows[name])
        except (pa.ArrowException, TypeError, OverflowError):
            kinds = sorted({type(value).__name__ for value in rows[name] if value is not None})
            raise DataError(
                f"data.query: {uri}: column {name!r} holds {' and '.join(kinds)}, which is no number, text or time;"
                " cast it there to one, or leave it out"
            ) from None
    return pa.table(cells)


def _as_array(values: pd.Series) -> pa.Array:
    try:
        cells = pa.Array.from_pandas(values)
    except OverflowError:  # a whole number beyond 64 bits
        cells = pa.Array.from_pandas(values.map(lambda value: Decimal(value) if isinstance(value, int) else value))
    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type) or pa.types.is_duration(cells.type):
        raise TypeError(cells.type)
    return cells


def _stored(kind: pa.DataType) -> pa.DataType:
    """Return the type under which a column is kept: DuckDB takes decimals of more than 38 digits for doubles."""
    if kind == pa.null() or (pa.types.is_decimal256(kind) and not kind.scale):
        return pa.string()
    return pa.float64() if pa.types.is_decimal256(kind) else kind


def written(parts: Iterable[pa.Table], folder: Path) -> Result:
    """Write tables of the same columns to one Parquet file, whose types hold for all of them.

    A column is whole numbers in one part and real ones, or nothing at all, in the next: so the parts are kept as they
    come, and written once more with the types that take all in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        files: list[Path] = []
        schema = pa.schema([])
        for part in parts:
            plain = part.replace_schema_metadata(None)
            schema = pa.unify_schemas([schema, plain.schema], promote_options="permissive")
            files.append(Path(place) / f"{len(files)}.arrow")
            with pa.OSFile(str(files[-1]), "wb") as out, pa.ipc.new_file(out, plain.schema) as writer:
                writer.write_table(plain)
        schema = pa.schema([field.with_type(_stored(field.type)) for field in schema])
        whole, total, count = Path(place) / "whole.parquet", 0, 0
        with pq.ParquetWriter(whole, schema) as writer:
            for file in files:
                with pa.memory_map(str(file)) as source:
                    rows = pa.ipc.open_file(source).read_all().cast(schema)
                writer.write_table(rows)
                total, count = (total + _sum_of_hashes(rows)) % 2**64, count + len(rows)
        digest = hashlib.sha256(f"{count} {total} {schema}".encode()).hexdigest()
        return Result(whole.replace(folder / f"{digest[:16]}.parquet"), digest)


def _sum_of_hashes(rows: pa.Table) -> int:
    """A sum knows no order; numbers are written as text, which is the same whatever the part they came in."""
    texts = {name: rows.column(name).cast(pa.string()).to_pandas() for name in rows.column_names}
    return int(pd.util.hash_pandas_object(pd.DataFrame(texts), index=False).sum())
