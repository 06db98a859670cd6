"""Results that survive an interruption: each cell of a benchmark is a JSON file, measured once per key."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".bench"


def once(benchmark: str, key: Iterable[object], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the cell's result: the one on disk, else measured now and written when it is whole."""
    path = PLACE / benchmark / ("-".join(str(part) for part in key) + ".json")
    if not path.exists():
        found = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(path)
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def commit(*more: Path) -> str:
    """Return the digest of source, configs, lock and some more files as they lie here: the same commit, the same."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "configs").rglob("*.yaml"), ROOT / "requirements.lock", *more]
    return digest(*sorted(files))


def digest(*files: Path) -> str:
    """Return the digest of some files: a peer's figures hold as long as its script is the same."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def machine() -> str:
    """Return the machine in words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def head() -> str:
    """Return the short commit that is checked out, with `-dirty` where files differ from it."""
    words = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
