"""Copies that DuckDB can read of files that it cannot: packed by other programs, or in another encoding."""

import bz2
import codecs
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ratchet.adapters import sheets
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
        digest: in hex, of its bytes, and of its place where a source has equal files; the copy is kept under it.
        read: how it is to be read.
        settings: where copies are kept.

    Raises:
        DataError: no reader for the name, an unknown encoding, a damaged file.
    """
    kind, packing = _kind(path)
    if kind not in FORMATS:
        raise DataError(f"{path}: no reader for {kind or 'a name without an ending'}; one of {', '.join(FORMATS)}"
                        f" (also {', '.join(PACKED)}); save it as one of them")  # fmt: skip
    is_text = FORMATS[kind] in TEXTS
    if not packing and FORMATS[kind] == "parquet":
        return path
    if (
        is_text
        and path.name.endswith((kind, f"{kind}.gz"))
        and packing in ("", ".gz")
        and _is_utf8(read.encoding, path)
    ):
        return path
    encoding = read.encoding if is_text else None
    if not is_text and FORMATS[kind] == "sheet":
        named = hashlib.sha256(json.dumps([read.sheet, read.names, read.na]).encode()).hexdigest()[:8]
        return _made(settings.home / "cache" / f"{digest[:16]}-{named}.csv", partial(_copy_sheet, path, packing, read))
    return _made(
        settings.home / "cache" / f"{digest[:16]}-{encoding or 'bytes'}{kind}", partial(_copy, path, packing, encoding)
    )


def format_of(path: Path) -> str:
    """Return the format of a file that has a reader, also of one in an archive: parquet, sheet, json or delimited."""
    return FORMATS[_kind(path)[0]]


def _kind(path: Path) -> tuple[str, str]:
    kind, packing = ending(path.name)
    return ending(_only_member(path))[0] if packing == ".zip" else kind, packing


def _made(copy: Path, make: Callable[[Path], None]) -> Path:
    """Return the copy, made beside it and renamed once it is whole, unless it is there."""
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial_copy = copy.with_suffix(f".{os.getpid()}.part")
        try:
            make(partial_copy)
            partial_copy.replace(copy)
        finally:
            partial_copy.unlink(missing_ok=True)
    return copy


def _copy_sheet(path: Path, packing: str, read: Read, target: Path) -> None:
    """Write a sheet of a workbook as delimited text."""
    if not packing:
        sheets.write_csv(path, path, read, target)
        return
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        workbook = Path(folder) / "workbook.xlsx"
        _copy(path, packing, None, workbook)
        sheets.write_csv(workbook, path, read, target)


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
