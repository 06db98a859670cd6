"""Folders for as long as a process works: each bears its owner's name, so that a later one removes what was left."""

import base64
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ratchet.adapters import process


@contextmanager
def place(home: Path, name: str) -> Iterator[Path]:
    """An empty folder of this process in `home`, removed at the end. name: of the folder, without a dot."""
    home.mkdir(parents=True, exist_ok=True)
    prefix = f"{name}.{base64.urlsafe_b64encode(process.me().encode()).decode()}."  # MLflow reads a % in a path
    with tempfile.TemporaryDirectory(prefix=prefix, dir=home, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def of_gone(home: Path, name: str) -> list[Path]:
    """Return the folders of that name whose processes have ended."""
    return [folder for folder in home.glob(f"{name}.*") if process.is_gone(_owner(folder.name))]


def clear(home: Path, name: str) -> int:
    """Remove the folders of that name whose processes have ended; return how many they were."""
    left = of_gone(home, name)
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return len(left)


def _owner(folder: str) -> str:
    try:
        return base64.urlsafe_b64decode(folder.partition(".")[2].rpartition(".")[0]).decode()
    except ValueError:
        return ""  # nobody's that is known to have ended
