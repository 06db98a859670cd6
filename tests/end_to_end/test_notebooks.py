"""The notebooks run from top to bottom on the records of a real job, and their two forms are the same."""

import sys
from collections.abc import Callable
from pathlib import Path

import jupytext

from tests.conftest import Told
from tests.end_to_end.commands import ROOT, environment, run

NOTEBOOK = ROOT / "notebooks" / "compare_runs.ipynb"


def test_the_notebook_compares_the_runs_of_a_task(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    assert ratchet("run", "-c", task_file(), "--json").code == 0
    env = environment(MLFLOW_TRACKING_URI=f"sqlite:///{workplace / 'mlflow.db'}", RATCHET_TASK="small")
    done = run(sys.executable, "-m", "pytest", "--nbmake", NOTEBOOK, "-n0", cwd=ROOT, env=env)
    assert done.returncode == 0, done.stdout


def test_the_two_forms_of_a_notebook_are_the_same() -> None:
    as_script = [cell.source for cell in jupytext.read(NOTEBOOK.with_suffix(".py")).cells]
    as_notebook = [cell.source for cell in jupytext.read(NOTEBOOK).cells]
    assert as_script == as_notebook, "run: jupytext --sync notebooks/compare_runs.ipynb"


def test_a_notebook_is_stored_without_output() -> None:
    assert all(not cell.get("outputs") for cell in jupytext.read(NOTEBOOK).cells)
