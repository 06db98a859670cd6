"""Environments that hold exactly what a lock names, built once each and kept."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ratchet.errors import RatchetError

LIMIT_S = 3600


def locked(lock: Path, home: Path, tell: Callable[[str], None]) -> Path:
    """Return the Python of an environment with what the lock names, each file held against its hash.

    It is kept below home, by the lock's digest and the version of Python. Raises RatchetError if it cannot be built.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = home / "environments" / f"{digest}-py{platform.python_version()}"
    if not (folder / "bin" / "python").exists():
        tell(f"building the environment of requirements.lock {digest[:12]}, once: {folder}")
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        try:
            _build(lock, partial)
            _take(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder / "bin" / "python"


def _build(lock: Path, folder: Path) -> None:
    python = str(folder / "bin" / "python")
    if uv := shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent)):
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        install = [uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode"]
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--compile"]
    _run([*install, "--require-hashes", "-r", str(lock)])


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise RatchetError(f"the environment is not built after {LIMIT_S} s; is the package index slow?") from None
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:]
        raise RatchetError(
            f"the environment cannot be built from requirements.lock: {said}; --environment here takes this one"
        )


def _take(partial: Path, folder: Path) -> None:
    """Give it its name when it is whole; another process may have been quicker."""
    try:
        partial.rename(folder)
    except OSError:
        if not (folder / "bin" / "python").exists():
            raise
