"""The team stack, real: started once per worker, on a cluster that is made once per session."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.operate import stack as operation
from ratchet.operate.stack import Stack


@pytest.fixture(scope="session")
def stack_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user may pass: pytest's own are closed to others, and root is refused."""
    folder = Path(tempfile.mkdtemp(prefix="ratchet-", dir="/var/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def stack(stack_folder: Path) -> Iterator[Stack]:
    """A running stack."""
    with operation.running(stack_folder / "stack") as running:
        yield running


@pytest.fixture
def on_stack(stack: Stack, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """An empty folder in which commands work on the stack, as its admin and a promoter."""
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    return stack
