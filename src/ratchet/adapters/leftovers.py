"""What commands left in the home folder `.ratchet`: what nobody needs any more, and what is kept there and why."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ratchet.adapters import places
from ratchet.adapters.outbox import DAMAGED, RECORDS, REFUSED, Outbox
from ratchet.errors import ServerError
from ratchet.settings import Settings

FOLDERS = ("work-", "serving")  # names of folders for as long as a process works; see `places`
DOWNLOADED = re.compile(r"[0-9a-f]{8}")  # names of the folders that downloads lie in


@dataclass(frozen=True)
class Removable:
    """Something that nobody needs any more. kind: of which many are counted together; bytes: what it takes."""

    kind: str
    name: str
    bytes: int
    remove: Callable[[], None]


@dataclass(frozen=True)
class Kept:
    """Something that stays, and why."""

    name: str
    why: str
    bytes: int = 0


@dataclass(frozen=True)
class Needed:
    """What decides whether something may go.

    before: seconds since 1970, younger things stay; is_busy: whether a command works, so that caches stay; runs: ids of
    those whose copies stay; locks: digests of the locks whose environments stay.
    """

    before: float
    is_busy: bool
    runs: Collection[str]
    locks: Collection[str]


def find(settings: Settings, needed: Needed) -> Iterator[Removable]:
    """Yield what may be removed from the home folder; what is not known there is left alone."""
    home = settings.home
    for folder in (folder for name in FOLDERS for folder in places.of_gone(home, name)):
        yield _files("folders of processes that have ended", folder)
    old_names = (folder for folder in home.glob("work-*") if not folder.name.startswith("work-."))
    for folder in old_names:
        if folder.is_dir() and _newest(folder) < needed.before:
            yield _files("folders of processes that have ended", folder)
    for log in (*home.glob("serve-*.log*"), *home.glob("rollout-*.log*"), *home.glob("rollout-*.json")):
        if _newest(log) < needed.before:
            yield _files("logs", log)
    for folder in home.glob("spool/*/of-*"):
        if _waiting(folder) == 0 and _newest(folder) < needed.before:
            yield Removable("empty spools", str(folder), size_of(folder), partial(_end_spool, folder))
    if not needed.is_busy:
        yield from _caches(settings, needed)


def _caches(settings: Settings, needed: Needed) -> Iterator[Removable]:
    home, cache = settings.home, settings.home / "cache"
    for folder in cache.glob("runs/*"):
        if folder.name not in needed.runs and _newest(folder) < needed.before:
            yield _files("copies of the server's files", folder)
    for file in (*cache.glob("*"), *cache.glob("queries/*")):
        if (file.is_file() or file.parent.name == "queries") and _newest(file) < needed.before:
            yield _files("copies of sources", file)
    for folder in home.glob("environments/*-py*"):
        is_needed = any(lock.startswith(folder.name[:16]) for lock in needed.locks)
        if not is_needed and _newest(folder, deep=False) < needed.before:
            yield _files("environments", folder)
    for part in settings.downloads.glob("*/*.part"):
        if DOWNLOADED.fullmatch(part.parent.name) and _newest(part) < needed.before:
            yield _files("downloads that broke off", part)


def find_kept(settings: Settings) -> Iterator[Kept]:
    """Yield what of the home folder is no leftover though it takes room."""
    home = settings.home
    for folder in sorted(home.glob("spool/*/*")):
        if folder.name.startswith((REFUSED, DAMAGED)):
            why = "the server refused it, or it cannot be read; remove it by hand once nobody misses it"
            yield Kept(str(folder), why, size_of(folder))
        elif count := _waiting(folder):
            yield Kept(
                str(folder), f"{count} records wait for the server; the next command sends them", size_of(folder)
            )
    for name, why in (("captured", "the gateway has not handed it to the database yet"),
                      ("ratchet.db", "studies, ledger, rollouts and captured requests")):  # fmt: skip
        if size := size_of(home / name):
            yield Kept(str(home / name), why, size)
    for folder in sorted(home.glob("environments/*-py*")):
        yield Kept(str(folder), "`ratchet reproduce` builds versions again in it", size_of(folder))


def size_of(path: Path) -> int:
    """Return how many bytes a file, or all files below a folder, take; 0 for what is not there."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() or file.is_symlink())


def _files(kind: str, path: Path) -> Removable:
    return Removable(kind, str(path), size_of(path), partial(_remove, path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _newest(path: Path, deep: bool = True) -> float:
    """Return when a file, or the youngest file below a folder, was written, in seconds since 1970."""
    try:
        return max(
            float(each.lstat().st_mtime) for each in (path, *(path.rglob("*") if deep and path.is_dir() else ()))
        )
    except FileNotFoundError:  # it goes while it is looked at, so somebody works there
        return float("inf")


def _waiting(folder: Path) -> int | None:
    """Return how many records wait in a spool's folder; None where that cannot be told."""
    try:
        with closing(sqlite3.connect(f"file:{folder / RECORDS}?mode=ro", uri=True)) as records:
            return int(records.execute("SELECT count(*) FROM records").fetchone()[0])
    except sqlite3.Error:
        return None


def _end_spool(folder: Path) -> None:
    """Remove a spool that is empty, unless its process lives: its own lock is held meanwhile."""
    try:
        if (queue := Outbox.taken_over(folder)) is not None:
            queue.close()
    except ServerError:
        return
