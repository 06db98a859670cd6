"""Results that survive an interruption: each cell of a benchmark is a line of JSON, measured once per digest."""

import fcntl
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".bench"  # what can be made anew: peers' rows and environments
RESULTS = ROOT / "benchmarks" / "results"
RECORDING = ("steps/trials.py", "adapters/trialruns.py", "adapters/tracking.py")
MEANING = ("config.py", "taskfile.py")


def once(benchmark: str, cell: Iterable[object], of: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return a cell's result: the one on record for the digest `of`, else measured now and kept in its place."""
    path, name = RESULTS / f"{benchmark}.json", " ".join(str(part) for part in cell)
    known = _read(path).get(name, {})
    if known.get("of") == of:
        return known
    found: dict[str, Any] = _short({"of": of, **measure(), "commit": head(), "machine": machine()})
    path.parent.mkdir(exist_ok=True)
    PLACE.mkdir(exist_ok=True)
    with (PLACE / f"{benchmark}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may measure other cells
        kept = sorted((_read(path) | {name: found}).items())
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in kept)
        partial = path.with_suffix(".part")
        partial.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
        partial.replace(path)
    return found


def _read(path: Path) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return result


def _short(value: Any) -> Any:
    """Six digits are more than any figure here deserves, and keep the record readable."""
    if isinstance(value, dict):
        return {key: _short(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_short(each) for each in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def engine(task: str, *more: Path) -> str:
    """Return the digest of what the models of a shipped task hang on, so that its figures outlive changes elsewhere.

    That is the code that Ratchet itself names for its steps (and what records trials, for their speed), what a task
    may say and its defaults, the task's file and the features that it shares, the lock, and `more`.
    """
    from ratchet.steps import preprocess, train

    code = [ROOT / "src" / "ratchet" / name for name in {*preprocess.CODE, *train.CODE, *RECORDING, *MEANING}]
    files = {file for place in code for file in (place.rglob("*.py") if place.is_dir() else [place])}
    told = [ROOT / "configs" / f"{task}.yaml", *sorted((ROOT / "configs" / "features").glob("*.yaml"))]
    return digest(*sorted(files), *told, ROOT / "requirements.lock", *more)


def digest(*files: Path) -> str:
    """Return the digest of some files: a peer's figures hold as long as its script is the same."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def publish(table: str, page: Path, name: str) -> None:
    """Put a table between the marks of that name on a page."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8")
    before, after = text.split(begin)[0], text.split(end)[1]
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def measured(cells: Iterable[Mapping[str, Any]]) -> str:
    """Return where and at which commits cells were measured, in words."""
    found = [(each.get("machine", "an unnamed machine"), each.get("commit", "unknown")) for each in cells]
    machines, commits = (set(parts) for parts in zip(*found, strict=True))
    return f"{'; '.join(sorted(machines))}, commit {', '.join(f'`{commit}`' for commit in sorted(commits))}"


def machine() -> str:
    """Return the machine in words."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def head() -> str:
    """Return the short commit that is checked out, with `-dirty` where code or tasks differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "src", "configs", "benchmarks/*.py")  # results are written meanwhile
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")
