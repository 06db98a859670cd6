"""Which files a name, a folder or a glob stands for, and the columns that `KEY=VALUE` folders add to their rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote

from ratchet.errors import DataError

FORMATS = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".data"), "delimited"),
    ".parquet": "parquet",
    **dict.fromkeys((".xlsx", ".xlsm"), "sheet"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
}
PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst")
MISSING = ("__HIVE_DEFAULT_PARTITION__", "")  # what Hive and Spark write for a missing key
MAGIC = re.compile(r"[*?\[]")
HIDDEN = re.compile(r"[._](?!.*=)")  # how the name of a part begins that programs keep to themselves
KEY = re.compile(r"([^=]+)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """One file of a source. keys: the columns that its `KEY=VALUE` folders stand for; None is a missing value."""

    path: Path
    keys: Mapping[str, str | None] = field(default_factory=dict)


def ending(name: str) -> tuple[str, str]:
    """Return the ending that names the format, and the one that names the packing; in small letters, "" for none."""
    suffix = PurePosixPath(name).suffix
    packing = suffix.lower() if suffix.lower() in PACKED else ""
    inner = name.removesuffix(suffix) if packing else name
    return PurePosixPath(inner).suffix.lower(), packing


def is_pattern(path: str) -> bool:
    """Whether a path holds `*`, `?` or `[`, so that it may stand for several files."""
    return bool(MAGIC.search(path))


def split_pattern(pattern: str) -> tuple[str, str]:
    """Return the folder that a pattern spells out, and the rest, from the first part with `*`, `?` or `[` on."""
    parts = PurePosixPath(pattern).parts
    first = next(place for place, part in enumerate(parts) if is_pattern(part))
    return str(PurePosixPath(*parts[:first])) if first else "", "/".join(parts[first:])


def fits(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path fit those of a pattern; a part `**` of it stands for any number of folders."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(fits(path[skipped:], pattern[1:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and fits(path[1:], pattern[1:])


def find_parts(place: Path) -> list[Part]:
    """Return the files that a local path stands for, sorted by path: itself, all below a folder, or all that fit it.

    Raises:
        DataError: a folder holds files of several formats, or the pattern is not one.
        OSError: the path cannot be looked at, such as a name that is too long.
    """
    if place.is_file():
        return [Part(place)]
    if place.is_dir():
        below = [str(path.relative_to(place)) for path in sorted(place.rglob("*")) if path.is_file()]
        return [Part(place / name, partition_keys(name)) for name in in_folder(str(place), below)]
    if not is_pattern(str(place)):
        return []
    root, pattern = split_pattern(place.as_posix())
    try:
        names = {path.relative_to(root) for path in Path(root).glob(pattern) if path.is_file()}
    except ValueError as error:
        raise DataError(
            f"data.sources: {place}: {error}; `**` stands alone between slashes, as in a/**/*.csv"
        ) from None
    return [Part(Path(root) / name, partition_keys(name)) for name in sorted(names) if is_shown(name, pattern)]


def is_shown(path: PurePath, pattern: str = "") -> bool:
    """Return whether a file counts: no part of its path begins with `.` or `_`, as in `_temporary` and `_SUCCESS`.

    Args:
        path: Its path below the folder that is spelled out.
        pattern: What it fits; one that itself spells such a part means it.
    """
    is_meant = any(HIDDEN.match(part) for part in PurePosixPath(pattern).parts)
    return is_meant or not any(HIDDEN.match(part) for part in path.parts)


def in_folder(folder: str, names: Sequence[str]) -> list[PurePosixPath]:
    """Return the files below a folder that are its table: of one format, and not hidden.

    Args:
        folder: what an error calls the folder.
        names: paths below it.

    Raises:
        DataError: they are of several formats.
    """
    paths = [PurePosixPath(name) for name in names]
    known = [
        path for path in filter(is_shown, paths) if ending(path.name)[0] in FORMATS or path.suffix.lower() == ".zip"
    ]
    formats = {FORMATS.get(ending(path.name)[0], "zip"): path for path in known}
    if len(formats) > 1:
        endings = sorted({path.suffix for path in known})
        raise DataError(
            f"data.sources: {folder}: holds files of several formats ({', '.join(endings)}); name those that are the"
            f" table, as in {folder.rstrip('/')}/**/*{formats.get('parquet', known[0]).suffix}"
        )
    return known


def partition_keys(path: PurePath) -> dict[str, str | None]:
    """Return the `KEY=VALUE` folders of a path below a source's own folder; a value is text, or None if missing."""
    matches = filter(None, (KEY.fullmatch(part) for part in path.parts[:-1]))
    return {unquote(m[1]): None if m[2] in MISSING else unquote(m[2]) for m in matches}


def check_keys(name: str, parts: Sequence[Part]) -> None:
    """Refuse a set of files that do not all lie in folders of the same keys.

    Raises:
        DataError: which file has which keys.
    """
    first = parts[0]
    for part in parts[1:]:
        if set(part.keys) != set(first.keys):
            odd, without = (part, first) if set(part.keys) - set(first.keys) else (first, part)
            key = min(set(odd.keys) - set(without.keys))
            raise DataError(
                f"data.sources.{name}: {odd.path} lies in a folder {key}=…, {without.path} does not; all files of a"
                " source lie in folders of the same keys"
            )
