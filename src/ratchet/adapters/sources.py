"""Where tables come from: finds, fetches and checks each source and makes it readable for DuckDB."""

import bz2
import codecs
import gzip
import hashlib
import importlib
import io
import lzma
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import pyarrow as pa

from ratchet.adapters import bigquery, buckets, database, download, synthetic, warehouse
from ratchet.adapters.warehouse import Question
from ratchet.config import Data, Read, Source, is_database
from ratchet.errors import DataError, did_you_mean
from ratchet.settings import Settings

DELIMITED = (".csv", ".tsv", ".txt", ".data")
PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst")
SKLEARN_SETS = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
CHUNK_BYTES = 1 << 20
DOWNLOAD_S = 3600  # how long another command may take to bring a file
DAMAGE = (OSError, EOFError, RuntimeError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Table:
    """One source, ready to be read: a frame, or files of one format with the digest of their bytes."""

    name: str
    origin: str
    digest: str
    read: Read
    files: tuple[Path, ...] = ()
    frame: pd.DataFrame | None = None

    @property
    def is_parquet(self) -> bool:
        """Whether the files are Parquet; else they are delimited text."""
        return bool(self.files) and self.files[0].suffix.lower() == ".parquet"


def located(data: Data, settings: Settings, tell: Callable[[str], None]) -> list[Table]:
    """Return all sources of a task, found and checked; tell: what a query costs. Raises DataError as `locate` does."""
    question = Question(data.query or "", data.max_gb, tell)
    return [locate(name, source, settings, question) for name, source in data.sources.items()]


def locate(name: str, source: Source, settings: Settings, question: Question | None = None) -> Table:
    """Return the first of the source's URIs that is there, checked and ready to be read.

    question: what a database is asked. Raises DataError that says what was tried, or which digest differs.
    """
    tried: list[str] = []
    for uri in source.uris:
        scheme = _scheme(uri)
        if scheme in ("synthetic", "sklearn"):
            frame = _synthetic(uri) if scheme == "synthetic" else _sklearn(uri)
            return Table(name, uri, _frame_digest(frame), source.read, frame=frame)
        if scheme in ("https", "http"):
            if not source.sha256 and not _on_this_machine(uri):
                raise DataError(f"{uri}: a download needs data.sources.{name}.sha256: the accepted digests")
            # A folder per content: two addresses may end in the same name.
            folder = settings.downloads / source.sha256[0][:8] if source.sha256 else settings.downloads
            settings.home.mkdir(parents=True, exist_ok=True)
            with database.file_lock(str(settings.home / "download"), "download", DOWNLOAD_S):  # one after another
                found = download.fetch(uri, folder, source.sha256, tried)
        elif scheme == "gs":
            found = buckets.fetch(uri, settings.downloads, tried)
        elif is_database(uri):
            ask = bigquery.query if scheme == "bigquery" else warehouse.query
            answer = ask(uri, question or Question(""), settings.home / "cache" / "queries", f"data.sources.{name}")
            _accept(answer.digest, uri, name, source)
            return Table(name, uri, answer.digest, source.read, (answer.file,))
        elif scheme:
            raise DataError(f"{uri}: no source kind {scheme!r}; use a file name, gs, https, a database, sklearn or"
                            " synthetic")  # fmt: skip
        else:
            found = _look_up(uri, settings, tried)
        if found:
            return _checked(name, uri, found, source, settings)
    is_name = any("://" not in uri for uri in source.uris)
    mend = "Put the file in one of these folders, or name its folder in RATCHET_DATA"
    mend = mend if is_name else "Is the address right, and does this machine reach it?"
    raise DataError(f"data.sources.{name}: not found; tried {', '.join(dict.fromkeys(tried))}. {mend}")


def _scheme(uri: str) -> str:
    try:
        return urlsplit(uri).scheme if "://" in uri else ""
    except ValueError as error:
        raise DataError(f"{uri[:100]!r} is no address: {error}") from None


def _on_this_machine(uri: str) -> bool:
    return urlsplit(uri).hostname in ("127.0.0.1", "localhost", "::1")


def _look_up(uri: str, settings: Settings, tried: list[str]) -> tuple[Path, ...]:
    """The files that a name, a folder or a glob stands for, in the first place that has any."""
    for place in (Path(uri).expanduser(), *(folder / uri for folder in settings.data_folders)):
        try:
            if place.is_dir():
                found = sorted(place.rglob("*.parquet"))
            elif "*" in place.name:
                found = sorted(place.parent.glob(place.name))
            else:
                found = [place] if place.is_file() else []
        except OSError as error:  # such as a name that is too long
            raise DataError(f"data.sources: {uri[:60]!r}: {error.strerror}") from None
        if found:
            return tuple(found)
        tried.append(f"{place} (a folder without .parquet files)" if place.is_dir() else str(place))
    return ()


def _checked(name: str, uri: str, found: tuple[Path, ...], source: Source, settings: Settings) -> Table:
    digests = [_file_digest(path) for path in found]
    for path, digest in zip(found, digests, strict=True):
        _accept(digest, path, name, source)
    files = tuple(_readable(path, digest, source.read, settings) for path, digest in zip(found, digests, strict=True))
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return Table(name, uri, whole, source.read, files)


def _accept(digest: str, origin: str | Path, name: str, source: Source) -> None:
    if source.sha256 and digest not in source.sha256:
        raise DataError(
            f"{origin}: sha256 is {digest}, data.sources.{name}.sha256 accepts {', '.join(source.sha256)}; the"
            " file has changed or is another one: if it is the one you want, put its digest there"
        )


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _readable(path: Path, digest: str, read: Read, settings: Settings) -> Path:
    """The file itself where DuckDB reads it (UTF-8, plain or gz), else an unpacked UTF-8 copy."""
    packing = path.suffix if path.suffix in PACKED else ""
    kind = Path(path.name.removesuffix(packing)).suffix.lower()
    if kind == ".parquet" and not packing:
        return path
    if kind not in DELIMITED:
        raise DataError(f"{path}: no reader for {kind or 'a name without an ending'}; one of {', '.join(DELIMITED)}"
                        f" (also {', '.join(PACKED)}) or .parquet")  # fmt: skip
    if packing in ("", ".gz") and _is_utf8(read.encoding, path):
        return path
    copy = settings.home / "cache" / f"{digest[:16]}-{read.encoding}{kind}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_suffix(f".{os.getpid()}.part")
        try:
            _copy_as_utf8(path, packing, read.encoding, partial)
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


def _copy_as_utf8(path: Path, packing: str, encoding: str, target: Path) -> None:
    try:
        with _unpacked(path, packing) as raw, target.open("w", encoding="utf-8", newline="") as out:
            text = io.TextIOWrapper(raw, encoding=encoding, newline="")
            shutil.copyfileobj(text, out, CHUNK_BYTES)
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else error
        raise DataError(f"{path}: not {encoding}: {reason}; name its read.encoding") from None
    except DAMAGE as error:
        raise DataError(f"{path}: damaged, cut off or under a password: {error}") from None


@contextmanager
def _unpacked(path: Path, packing: str) -> Iterator[IO[bytes]]:
    if packing == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")]
            if len(names) != 1:
                raise DataError(f"{path}: holds {len(names)} files; a source is one table, so one file")
            with archive.open(names[0]) as file:
                yield file
    elif packing == ".zst":
        # zstandard and DuckDB take a file that is cut off for a whole one.
        with pa.input_stream(path, compression="zstd") as file:
            yield file
    else:
        opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, "": open}[packing]
        with opener(path, "rb") as file:
            yield file


def _synthetic(uri: str) -> pd.DataFrame:
    parts = urlsplit(uri)
    if parts.netloc != "credit":
        raise DataError(f"{uri}: no synthetic data {parts.netloc!r}; there is synthetic://credit?rows=20000&seed=7")
    given = dict(parse_qsl(parts.query))
    if unknown := sorted(set(given) - {"rows", "seed", "period"}):
        raise DataError(f"{uri}: unknown {unknown[0]!r}{did_you_mean(unknown[0], ('rows', 'seed', 'period'))}")
    try:
        rows, seed = int(given.get("rows", 20_000)), int(given.get("seed", 7))
    except ValueError as error:
        raise DataError(f"{uri}: rows and seed are whole numbers: {error}") from None
    return synthetic.credit(rows, seed, given.get("period", "first"))


def _sklearn(uri: str) -> pd.DataFrame:
    name = urlsplit(uri).netloc
    if name not in SKLEARN_SETS:
        raise DataError(f"{uri}: scikit-learn ships no {name!r}{did_you_mean(name, SKLEARN_SETS)}; "
                        f"one of {', '.join(SKLEARN_SETS)}")  # fmt: skip
    bunch = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    if "target" in frame and len(names := getattr(bunch, "target_names", [])):
        frame["target"] = pd.Series([str(names[code]) for code in frame["target"]], dtype=object)
    return frame


def _frame_digest(frame: pd.DataFrame) -> str:
    columns = "\n".join(f"{name} {dtype}" for name, dtype in frame.dtypes.items())
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(columns.encode() + rows.tobytes()).hexdigest()
