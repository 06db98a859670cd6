"""Each fault through the real command: one clear line, the right exit code, no traceback, nothing half-written."""

import re
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.commands import ROOT
from tests.faults.case import Case
from tests.faults.cases import CASES
from tests.faults.counts import FULL
from tests.faults.drive import can_mount, drive, mounts


def left_behind(place: Path) -> list[str]:
    """What a command that failed should not leave: temporary folders, half a result; a download is resumed."""
    found = [p.relative_to(place) for p in place.rglob("*") if p.name.startswith("work-") or p.suffix == ".part"]
    return [str(path) for path in found if path.parts[0] != "data"]


def told(said: str) -> str:
    """The lines that the user reads first when something is wrong."""
    return "\n".join(line for line in said.splitlines() if "watch: " not in line)


@pytest.mark.parametrize("case", [case for case in CASES if FULL or not case.slow], ids=str)
def test_a_fault_is_told_in_plain_words(case: Case, workplace: Path) -> None:
    if mounts(case) and not can_mount():
        pytest.skip("a disk of its own needs root, or user namespaces (unshare --map-root-user)")
    done = drive(case, workplace)
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
