"""Folders that one process each owns, by a lock that ends with it, however that ends; others take over what it left."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from ratchet.adapters import database

OWNER, NAME = "owner", "of-"  # the lock's name, and what a folder's begins with


def new(home: Path, owned: ExitStack) -> Path:
    """Return a new folder below home; nobody sees it before it is owned. Their names are in order of time."""
    home.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{NAME}{time.time_ns()}-", dir=home))
    take_over(hidden, owned)
    return hidden.rename(home / hidden.name.removeprefix("."))


def take_over(folder: Path, owned: ExitStack) -> None:
    """Own a folder until the stack ends.

    Raises Away if its process lives, ServerError if it cannot be locked.
    """
    owned.enter_context(database.file_lock(str(folder / OWNER), OWNER, 0))


def left_behind(home: Path) -> list[Path]:
    """Return the folders below home, oldest first, also of processes that live."""
    return sorted(home.glob(f"{NAME}*"))
