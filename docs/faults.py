"""Write docs/faults.md: each fault of tests/faults, run through the real command, with what its user then reads."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.end_to_end.commands import environment  # noqa: E402
from tests.faults import cases  # noqa: E402
from tests.faults.case import Case  # noqa: E402
from tests.faults.drive import drive  # noqa: E402
from tests.faults.forked import Done  # noqa: E402

GROUPS = {"Files": cases.FILES, "Tables": cases.TABLE, "SQL": cases.SQL, "Words": cases.WORDS, "Machine": cases.MACHINE}
NOISE = ("watch:", "data.collected", "preprocess", "train …", "score …")
HEAD = """# What goes wrong, and what the user sees

Written by `python docs/faults.py` from `tests/faults/cases.py`; `make test` drives each case through the real command
and holds it against its pattern. Exit 0: the command went on, and says what it noticed; 1: refused in one line; 2: bad
usage. None ends in a traceback, none leaves half a result behind. Searches that are killed at any moment are in
`tests/faults/test_kills.py`, steps that are stopped in `tests/faults/test_stops.py`.
"""


def told(case: Case, done: Done, place: Path) -> str:
    """Return the line that counts, without what belongs to this machine."""
    faults = [line.removeprefix("ratchet: ") for line in done.stderr.splitlines() if line.startswith("ratchet: ")]
    notes = [line.strip().removeprefix("· ") for line in done.stderr.splitlines() if line.startswith("  ·")]
    notes = [note for note in notes if not note.startswith(NOISE)]
    usage = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    line = (faults or usage or notes or ["done, with nothing to say"])[0]
    line = re.sub(r"(?<=work-)\w{8}|\b[0-9a-f]{32}\b|(?<=port )\d{5}", "…", line)
    line = line.replace(str(place), ".").replace("|", "\\|").replace("<", "\\<")
    return line if len(line) <= 220 else f"{line[:220]} …"


def main() -> None:
    """Run each case in an empty store; write the page."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "mlflow.db"
        script = "import mlflow; mlflow.MlflowClient().search_experiments()"
        env = environment(MLFLOW_TRACKING_URI=f"sqlite:///{store}")
        subprocess.run([sys.executable, "-c", script], check=True, cwd=folder, env=env)
        page = [HEAD]
        for title, group in GROUPS.items():
            page += [f"## {title}", "", "| fault | exit | what the user reads |", "| --- | --: | --- |"]
            for number, case in enumerate(group):
                place = Path(folder) / f"{title}{number}"
                place.mkdir()
                shutil.copy(store, place / "mlflow.db")
                done = drive(case, place)
                page.append(f"| {case.name} | {done.returncode} | {told(case, done, place)} |")
                shutil.rmtree(place)
            page.append("")
    (ROOT / "docs" / "faults.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
