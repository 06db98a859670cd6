"""Files whose lines end in different ways: a header of one program over rows of another, or two files joined."""

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import duckdb

from ratchet.adapters import columns
from ratchet.adapters.sources import Table

CHUNK_BYTES = 1 << 20


def open_bytes(file: Path) -> IO[bytes]:
    """Open a file that is plain or packed by gzip."""
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def with_one_kind(db: duckdb.DuckDBPyConnection, table: Table) -> Table | None:
    """Return the table with a copy of each file whose lines end in different ways; None if there is no such file.

    The copies lie in the folder of the workspace; a note says that they are read.
    """
    folder = Path(str(db.execute("SELECT current_setting('temp_directory')").fetchall()[0][0])).parent
    files = list(table.files)
    mixed = [place for place, file in enumerate(files) if len(_kinds(file)) > 1]
    if not mixed:
        return None
    for place in mixed:
        copy = folder / f"{table.name}-lines-{place}.csv"
        with copy.open("wb") as out:
            for chunk in _chunks(files[place]):
                out.write(chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        files[place] = copy
    columns.add_note(
        db,
        table,
        f"data.sources.{table.name}: {table.origin}: lines end in different ways (CRLF and LF); read as one kind",
    )
    return replace(table, files=tuple(files))


def _kinds(file: Path) -> set[str]:
    """Return how the lines of a file end: CRLF, LF, CR; empty if it cannot be read."""
    kinds = set()
    try:
        for chunk in _chunks(file):
            pairs = chunk.count(b"\r\n")
            found = {"CRLF": pairs, "LF": chunk.count(b"\n") - pairs, "CR": chunk.count(b"\r") - pairs}
            kinds |= {kind for kind, count in found.items() if count}
    except (OSError, EOFError):
        return set()  # the reader says what is wrong
    return kinds


def _chunks(file: Path) -> Iterator[bytes]:
    """Yield a file in chunks that part no CRLF."""
    rest = b""
    with open_bytes(file) as raw:
        while chunk := raw.read(CHUNK_BYTES):
            chunk = rest + chunk
            rest = b"\r" if chunk.endswith(b"\r") else b""
            yield chunk.removesuffix(b"\r") if rest else chunk
    if rest:
        yield rest
