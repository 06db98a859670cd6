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


def locked(lock: Path, python: str, home: Path, tell: Callable[[str], None]) -> Path:
    """Return the Python of an environment with what the lock names, each file held against its hash.

    python: the version it should have; where this machine has none such, it is the one that runs this. The environment
    is kept below home, by the lock's digest and that version. Raises RatchetError if it cannot be built.
    """
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    base, version = _interpreter(python)
    folder = home / "environments" / f"{digest}-py{version}"
    if not (folder / "bin" / "python").exists():
        tell(f"building the environment of requirements.lock {digest[:12]}, once: {folder}")
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        try:
            _build(lock, base, partial)
            _take(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder / "bin" / "python"


def _uv() -> str | None:
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


def _interpreter(version: str) -> tuple[str, str]:
    """Return the Python of that version, and its version; nothing is downloaded."""
    if version != platform.python_version() and (uv := _uv()):
        command = [uv, "python", "find", "--no-python-downloads", "--no-project", version]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if not found.returncode:
            return found.stdout.strip(), version
    return sys.executable, platform.python_version()


def _build(lock: Path, base: str, folder: Path) -> None:
    python = str(folder / "bin" / "python")
    if uv := _uv():
        _run([uv, "venv", "--quiet", "--python", base, str(folder)])
        install = [uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode"]
    else:
        _run([base, "-m", "venv", str(folder)])
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
