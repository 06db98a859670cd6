"""Where a project and its data lie: beside the YAML, and elsewhere than they were."""

import os
import re
import subprocess
from pathlib import Path

import pandas as pd

TASK = "name: small\ndata: {sources: {rows: {uris: [rows.csv]}}, target: y, positive: 1}\n"


def project(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"a": range(90), "b": [number % 7 for number in range(90)], "y": [0, 1] * 45}).to_csv(
        folder / "rows.csv", index=False
    )
    (folder / "task.yaml").write_text(TASK)
    return folder / "task.yaml"


def test_a_source_is_looked_up_beside_the_yaml_too(ratchet, workplace):
    done = ratchet("preprocess", "-c", project(workplace / "elsewhere" / "team"))
    assert done.code == 0, done.err


def test_the_working_folder_comes_before_that_of_the_yaml(ratchet, workplace):
    task = project(workplace / "elsewhere")
    (workplace / "rows.csv").write_text("nothing\n1\n")
    done = ratchet("preprocess", "-c", task)
    assert done.code == 1 and "no column 'y'" in done.err


def test_a_project_that_was_moved_says_so_and_the_mend_works(ratchet, workplace, monkeypatch):
    task = project(workplace)
    assert ratchet("preprocess", "-c", task).code == 0
    moved = workplace.with_name("moved")
    workplace.rename(moved)
    monkeypatch.chdir(moved)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{moved / 'mlflow.db'}")
    monkeypatch.delenv("RATCHET_DATABASE_URL", raising=False)
    done = ratchet("preprocess", "-c", "task.yaml")
    assert done.code == 1
    faults = [line for line in done.err.splitlines() if line.startswith("ratchet: ")]
    assert len(faults) == 1 and f"was the project moved from {workplace}?" in faults[0]
    link = re.search(r"ln -s .*$", faults[0])
    assert link
    subprocess.run(link[0], shell=True, check=True)
    done = ratchet("preprocess", "-c", "task.yaml")
    assert done.code == 0, done.err
    assert os.readlink(workplace) == str(moved)
