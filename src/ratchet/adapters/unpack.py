"""Copies that DuckDB can read of files that it cannot: packed by other programs, or in another encoding."""

import bz2
import codecs
import gzip
import io
import lzma
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ratchet.adapters.lookup import FORMATS, PACKED, ending
from ratchet.config import Read
from ratchet.errors import DataError
from ratchet.settings import Settings

CHUNK_BYTES = 1 << 20
TEXTS = ("delimited", "json")
DAMAGE = (OSError, EOFError, RuntimeError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)


def readable(path: Path, digest: str, read: Read, settings: Settings) -> Path:
    """Return the file itself where DuckDB reads it (Parquet, or UTF-8 text, plain or gz), else a copy that it reads.

    Args:
        path: the file as the source names it.
        digest: its sha256 in hex; the copy is kept under it.
        read: how it is to be read.
        settings: where copies are kept.

    Raises:
        DataError: no reader for the name, an unknown encoding, a damaged file.
    """
    kind, packing = ending(path.name)
    if packing == ".zip":
        kind = ending(_only_member(path))[0]
    if kind not in FORMATS:
        raise DataError(f"{path}: no reader for {kind or 'a name without an ending'}; one of {', '.join(FORMATS)}"
                        f" (also {', '.join(PACKED)})")  # fmt: skip
    is_text = FORMATS[kind] in TEXTS
    if not packing and not is_text:
        return path
    if (
        is_text
        and path.name.endswith((kind, f"{kind}.gz"))
        and packing in ("", ".gz")
        and _is_utf8(read.encoding, path)
    ):
        return path
    copy = settings.home / "cache" / f"{digest[:16]}-{read.encoding if is_text else 'bytes'}{kind}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_suffix(f".{os.getpid()}.part")
        try:
            _copy(path, packing, read.encoding if is_text else None, partial)
            partial.replace(copy)
        finally:
            partial.unlink(missing_ok=True)
    return copy


def _is_utf8(encoding: str, path: Path) -> bool:
    try:
        "".encode(encoding)  # codecs that are no text encodings are not found either
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
    except LookupError:
        raise DataError(f"{path}: unknown encoding {encoding!r} in read.encoding; try utf-8, cp949, latin-1") from None


def _copy(path: Path, packing: str, encoding: str | None, target: Path) -> None:
    """Write the unpacked content; a text becomes UTF-8. encoding: of a text, None for other files."""
    try:
        with _unpacked(path, packing) as raw:
            if encoding is None:
                with target.open("wb") as binary:
                    shutil.copyfileobj(raw, binary, CHUNK_BYTES)
                return
            _is_utf8(encoding, path)
            with target.open("w", encoding="utf-8", newline="") as out:
                shutil.copyfileobj(io.TextIOWrapper(raw, encoding=encoding, newline=""), out, CHUNK_BYTES)
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else error
        raise DataError(f"{path}: not {encoding}: {reason}; name its read.encoding") from None
    except DAMAGE as error:
        raise DataError(f"{path}: damaged, cut off or under a password: {error}") from None


def _only_member(path: Path) -> str:
    """Return the name of the one file in a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")]
    except DAMAGE as error:
        raise DataError(f"{path}: damaged, cut off or under a password: {error}") from None
    if len(names) != 1:
        raise DataError(f"{path}: holds {len(names)} files ({', '.join(names)[:200]}); a source is one table: unpack"
                        " it, and name the file that is the table")  # fmt: skip
    return names[0]


@contextmanager
def _unpacked(path: Path, packing: str) -> Iterator[IO[bytes]]:
    if packing == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(path)) as file:
            yield file
    elif packing == ".zst":
        # zstandard and DuckDB take a file that is cut off for a whole one.
        with pa.input_stream(path, compression="zstd") as file:
            yield file
    else:
        opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, "": open}[packing]
        with opener(path, "rb") as file:
            yield file
