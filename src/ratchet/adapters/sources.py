"""Where tables come from: finds, fetches and checks each source and makes it readable for DuckDB."""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pandas as pd

from ratchet.adapters import bigquery, buckets, database, download, lookup, synthetic, unpack, warehouse
from ratchet.adapters.lookup import FORMATS, Part
from ratchet.adapters.warehouse import Question
from ratchet.config import Data, Read, Source, is_database
from ratchet.errors import DataError, did_you_mean
from ratchet.settings import Settings

SKLEARN_SETS = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
DOWNLOAD_S = 3600  # how long another command may take to bring a file


@dataclass(frozen=True)
class Table:
    """One source, ready to be read: a frame, or files of one format with the digest of their bytes.

    partitions: for each file the columns that its `KEY=VALUE` folders stand for; empty where there are none.
    """

    name: str
    origin: str
    digest: str
    read: Read
    files: tuple[Path, ...] = ()
    frame: pd.DataFrame | None = None
    partitions: tuple[Mapping[str, str | None], ...] = ()

    @property
    def format(self) -> str:
        """What the files are: parquet, json or delimited."""
        return FORMATS[lookup.ending(self.files[0].name)[0]]

    @property
    def is_delimited(self) -> bool:
        """Whether the table is files of delimited text."""
        return bool(self.files) and self.format == "delimited"


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
                found = tuple(map(Part, download.fetch(uri, folder, source.sha256, tried)))
        elif scheme == "gs":
            found = buckets.fetch(uri, settings.downloads, tried)
        elif is_database(uri):
            ask = bigquery.query if scheme == "bigquery" else warehouse.query
            answer = ask(uri, question or Question(""), settings.home / "cache" / "queries", f"data.sources.{name}")
            _accept(answer.digest, uri, name, source)
            return Table(name, uri, answer.digest, source.read, (answer.file,))
        elif scheme == "file":
            found = _look_up(_local_path(uri), settings, tried)
        elif scheme:
            raise DataError(f"{uri}: no source kind {scheme!r}; use a file name, file, gs, https, a database,"
                            " sklearn or synthetic")  # fmt: skip
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


def _local_path(uri: str) -> str:
    """Return the path of a `file://` address.

    Raises:
        DataError: the address names another machine.
    """
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{uri}: file:// names a file of this machine: file:///{parts.netloc}{parts.path}")
    return unquote(uri.partition("://")[2].removeprefix(parts.netloc))


def _look_up(uri: str, settings: Settings, tried: list[str]) -> tuple[Part, ...]:
    """The files that a name, a folder or a glob stands for, in the first place that has any."""
    for place in (Path(uri).expanduser(), *(folder / uri for folder in settings.data_folders)):
        try:
            parts = lookup.find_parts(place)
        except OSError as error:  # such as a name that is too long
            raise DataError(f"data.sources: {uri[:60]!r}: {error.strerror}") from None
        if parts:
            return tuple(parts)
        tried.append(f"{place} (a folder without {', '.join(FORMATS)} files)" if place.is_dir() else str(place))
    return ()


def _checked(name: str, uri: str, parts: Sequence[Part], source: Source, settings: Settings) -> Table:
    digests = [_file_digest(part.path) for part in parts]
    for part, digest in zip(parts, digests, strict=True):
        _accept(digest, part.path, name, source)
    lookup.check_keys(name, parts)
    partitions = tuple(part.keys for part in parts) if parts[0].keys else ()
    named = [
        json.dumps(keys, sort_keys=True) for keys in partitions
    ]  # a row's columns count, wherever they are written
    whole = digests[0] if len(parts) == 1 and not named else _digest("".join([*digests, *named]))
    read = source.read
    # Equal files in two folders need a copy each: by its path a row finds the columns of its folder.
    keys = [
        digest if digest not in digests[:place] else _digest(f"{digest} {place}")
        for place, digest in enumerate(digests)
    ]
    files = [unpack.readable(part.path, key, read, settings) for part, key in zip(parts, keys, strict=True)]
    formats = {FORMATS[lookup.ending(file.name)[0]] for file in files}
    if len(formats) > 1:
        listed = ", ".join(sorted(formats))
        raise DataError(
            f"data.sources.{name}: {uri}: stands for files of several formats ({listed}); name those of one"
        )
    if unpack.format_of(parts[0].path) == "sheet":
        read = read.model_copy(update={"sep": ",", "quote": None})  # as the copy is written
    return Table(name, uri, whole, read, tuple(files), partitions=partitions)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
