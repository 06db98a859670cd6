"""Ratchet's own source in its git repository: the commit that is at work, and the files of earlier ones."""

import io
import re
import subprocess
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from ratchet.errors import RatchetError

HERE = Path(__file__)
COMMIT = re.compile("[0-9a-f]{40}")  # what comes from a tag, which people may edit, is no option of git
DIRTY = "-dirty"
PLACE = "src/ratchet"  # where the package lies in the repository
LIMIT_S = 60


@cache
def commit() -> str:
    """Return the commit of Ratchet's own source, with `-dirty` if it was changed; empty outside a checkout."""
    # Installed into an environment that lies in another project's checkout, it is no part of that project.
    if _text(HERE.parent, "ls-files", "--error-unmatch", HERE.name) is None:
        return ""
    return _text(HERE.parent, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty") or ""


def origin() -> str:
    """Return the address that the checkout was cloned from, without account and password; empty if there is none."""
    address = (_text(HERE.parent, "remote", "get-url", "origin") or "") if commit() else ""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def repository(named: Path | None = None) -> Path | None:
    """Return the checkout that holds Ratchet's source, or the one that is named; None if there is none."""
    if named is None and not commit():
        return None
    place = named or HERE.parent
    found = _text(place, "rev-parse", "--show-toplevel") or _text(place, "rev-parse", "--absolute-git-dir")
    return Path(found) if found else None


def holds(repository: Path, commit: str) -> bool:
    """Whether the repository has the commit, and Ratchet in it."""
    return _text(repository, "cat-file", "-t", f"{commit}:{PLACE}") == "tree"


def extract(repository: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit into a new folder. The repository itself is only read."""
    packed = _bytes(repository, "archive", "--format=tar", commit) if COMMIT.fullmatch(commit) else None
    if packed is None:
        raise RatchetError(f"{repository}: git cannot write the files of commit {commit}; is the clone a partial one?")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        if not hasattr(tarfile, "data_filter"):  # Python before 3.11.4; git itself packs no path that leads outside
            archive.extractall(folder)
            return
        try:
            archive.extractall(folder, filter="data")
        except tarfile.TarError as error:
            raise RatchetError(f"{repository}: commit {commit} is not written out: {error}") from None


def read(repository: Path, commit: str, path: str) -> str | None:
    """Return a file of a commit; None if it is not there, or the name is none of a commit."""
    if not COMMIT.fullmatch(commit):
        return None
    return _text(repository, "show", f"{commit}:{path}")


def changed(repository: Path, first: str, second: str) -> list[str]:
    """Return what the commits changed between them, a line per file: path and lines added and removed."""
    if not (COMMIT.fullmatch(first) and COMMIT.fullmatch(second)):
        return []
    return (_text(repository, "diff", "--stat=100", first, second) or "").splitlines()


def _text(folder: Path, *words: str) -> str | None:
    found = _bytes(folder, *words)
    return None if found is None else found.decode(errors="replace").strip()


def _bytes(folder: Path, *words: str) -> bytes | None:
    command: Sequence[str] = ["git", *words]
    place = folder if folder.is_dir() else folder.parent
    try:
        return subprocess.run(command, cwd=place, capture_output=True, timeout=LIMIT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
