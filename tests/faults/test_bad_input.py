"""Each fault through the real command: one clear line, the right exit code, no traceback, nothing half-written."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.commands import ROOT, environment
from tests.faults.cases import CASES, Case, data
from tests.faults.forked import run

SOUND: dict[str, Any] = {
    "name": "small", **data(),
    "split": {"by": "hash", "train": 0.6, "valid": 0.2, "test": 0.2},
    "search": {"models": ["linear"], "trials": 1, "folds": 2},
}  # fmt: skip


def put_in_place(case: Case, place: Path) -> None:
    if case.data is not None:
        content = case.data() if callable(case.data) else case.data
        name = "data.csv.gz" if content.startswith(b"\x1f\x8b") else "data.csv"
        (place / name).write_bytes(content)
    text = case.yaml or yaml.safe_dump(SOUND | case.task, allow_unicode=True)
    (place / "task.yaml").write_text(text, encoding="utf-8")
    if case.prepare:
        case.prepare(place)


def words_of(case: Case) -> list[str]:
    named = case.command[0] not in ("trian",) and "-c" not in case.command
    return ["ratchet", *case.command, *(["-c", "task.yaml"] if named else [])]


def left_behind(place: Path) -> list[str]:
    """What a command that failed should not leave: temporary folders, partial files, half a result."""
    return [str(p.relative_to(place)) for p in place.rglob("*") if p.name.startswith("work-") or p.suffix == ".part"]


def told(said: str) -> str:
    """The lines that the user reads first when something is wrong."""
    return "\n".join(line for line in said.splitlines() if not line.startswith("watch:"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_is_told_in_plain_words(case: Case, workplace: Path) -> None:
    put_in_place(case, workplace)
    done = run(words_of(case), workplace, environment(**case.env))
    said = told(done.stderr + done.stdout)
    assert "Traceback" not in said, said[-3000:]
    assert done.returncode == case.code, said[-3000:]
    assert re.search(case.told, said, re.DOTALL), said[-3000:]
    if case.code == 1:
        faults = [line for line in done.stderr.splitlines() if line.startswith("ratchet: ")]
        assert faults, done.stderr
        assert all(len(line) < 1500 for line in faults), "a line that nobody reads"
    assert not left_behind(workplace)
    assert not (workplace / "stolen.csv").exists()
    shutil.rmtree(workplace, ignore_errors=True)


def test_the_page_of_faults_lists_every_case() -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert not [case.name for case in CASES if f"| {case.name} |" not in page], "run `make docs`"
