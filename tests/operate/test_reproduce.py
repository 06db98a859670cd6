"""A version is built again from its commit, lock, data and recipe; what is missing is named, what differs is told."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from ratchet.adapters import synthetic
from tests.conftest import ROOT
from tests.end_to_end.commands import environment

HERE = ("--environment", "here")


@dataclass(frozen=True)
class Place:
    """A folder with data, a task and a store, where commands run from the code of a clone."""

    folder: Path
    clone: Path

    def ratchet(
        self, *words: object, clone: Path | None = None, config: str = "small", **env: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "ratchet", str(words[0]), "-c", f"{config}.yaml", *map(str, words[1:])]
        env = environment(PYTHONPATH=str((clone or self.clone) / "src"), OMP_NUM_THREADS="1") | env
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")

    def runs(self, step: str) -> list[Any]:
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, f"tags.`ratchet.step` = '{step}'"))

    def recipe(self, config: str = "small") -> Path:
        run = self.client.get_model_version(config, "1").run_id
        return Path(self.client.get_run(run).info.artifact_uri) / "recipe.json"


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def source(folder: Path) -> Path:
    """The working tree's own code, as somebody else would find it in a repository."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def cloned(folder: Path) -> Path:
    source(folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", f"feat: {folder.name}")
    return folder


def write_task(folder: Path, name: str, models: list[str]) -> None:
    task = {
        "name": name,
        "data": {
            "sources": {"applicants": {"uris": ["rows.csv"]}},
            "target": "defaulted", "positive": 1, "id": "applicant_id",
            "drop": ["applied_at", "probability_of_default"],
        },
        "search": {"models": models, "trials": 2, "folds": 2, "max_rounds": 40},
        "gates": {"staging": [{"beats": "dummy", "point": True}], "production": [{"beats": "dummy", "point": True}]},
    }  # fmt: skip
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Place:
    """Version 1 of a small task, trained from a clean clone."""
    base = tmp_path_factory.mktemp("reproduce")
    folder = base / "work"
    folder.mkdir()
    shutil.copy(migrated_store, folder / "mlflow.db")
    synthetic.credit(1500, 3, "first").to_csv(folder / "rows.csv", index=False)
    write_task(folder, "small", ["xgboost"])
    found = Place(folder, cloned(base / "clone"))
    done = found.ratchet("promote", "--to", "staging", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return found


@contextmanager
def put_back(file: Path) -> Iterator[None]:
    before = file.read_bytes()
    try:
        yield
    finally:
        file.write_bytes(before)


def test_in_an_environment_built_from_its_lock_a_version_comes_out_the_same_bit_for_bit(place: Place) -> None:
    done = place.ratchet("reproduce", "--version", 1, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["identical"], found["largest"], found["rows"]) == (True, 0.0, 200)
    assert found["files"] >= 5 and not found["changed_files"]
    assert all(part["same"] for part in found["parts"])
    (kept,) = (place.folder / ".ratchet" / "environments").iterdir()
    assert (kept / "bin" / "python").exists()
    assert not list((place.folder / ".ratchet").glob("work-*")), "nothing is left behind"
    again = place.ratchet("reproduce", "--version", 1)
    assert again.returncode == 0, again.stderr
    assert "building the environment" not in again.stderr


def test_another_clone_is_named_the_threads_of_then_are_used_and_the_outcome_is_on_record(
    place: Place, tmp_path: Path
) -> None:
    other = cloned(tmp_path / "other")
    before = len(place.runs("trial"))
    refused = place.ratchet("reproduce", "--version", 1, *HERE, clone=other)
    assert refused.returncode == 1
    assert f"is not in {other}; fetch it from" in refused.stderr
    done = place.ratchet(
        "reproduce", "--version", 1, *HERE, "--repository", place.clone, clone=other, OMP_NUM_THREADS="2"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 predictions: the same bit for bit" in done.stdout
    assert place.client.get_model_version("small", "1").tags["ratchet.reproduced"].endswith(" identical")
    assert place.runs("reproduce")[0].info.status == "FINISHED"
    assert len(place.runs("trial")) == before, "nothing is searched"


def test_one_parameter_that_was_tampered_with_is_told_with_the_difference_it_makes(place: Place) -> None:
    with put_back(place.recipe()):
        known = json.loads(place.recipe().read_text())
        known["trial"]["params"]["learning_rate"] *= 1.5
        place.recipe().write_text(json.dumps(known))
        done = place.ratchet("reproduce", "--version", 1, *HERE, "--json", "--tolerance", 1)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert "small version 1: what was built again differs by up to 0." in found["error"]
    assert not found["identical"] and 0 < found["largest"] < 1
    assert found["same_platform"], "a tolerance is for other platforms only"
    assert "state/booster.ubj" in found["changed_files"]


def test_on_another_platform_a_difference_within_the_tolerance_passes_and_is_told(place: Place) -> None:
    with put_back(place.recipe()):
        known = json.loads(place.recipe().read_text())
        known["trial"]["params"]["learning_rate"] *= 1.0001
        known["machine"]["processor"] = "an abacus"
        place.recipe().write_text(json.dumps(known))
        done = place.ratchet("reproduce", "--version", 1, *HERE, "--tolerance", 0.5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "abacus" in done.stdout
    assert "200 predictions: up to" in done.stdout


def rows_are_gone(place: Place) -> None:
    (place.folder / "rows.csv").unlink()


def a_row_is_added(place: Place) -> None:
    rows = place.folder / "rows.csv"
    rows.write_text(rows.read_text() + rows.read_text().splitlines()[-1] + "\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (rows_are_gone, "small version 1 cannot be built again: data.sources.applicants: not found; tried rows.csv"),
        (a_row_is_added, "small version 1 cannot be built again: data.sources.applicants: rows.csv has changed"),
    ],
)
def test_data_that_are_gone_or_changed_are_named(place: Place, spoil: Callable[[Place], None], said: str) -> None:
    with put_back(place.folder / "rows.csv"):
        spoil(place)
        done = place.ratchet("reproduce", "--version", 1)
    assert done.returncode == 1
    assert said in done.stderr
    assert "building" not in done.stderr


def test_all_that_is_missing_is_told_at_once(place: Place, tmp_path: Path) -> None:
    other = source(tmp_path / "other")
    (other / "requirements.lock").write_text("# nothing\n")
    with put_back(place.folder / "rows.csv"):
        rows_are_gone(place)
        done = place.ratchet("reproduce", "--version", 1, *HERE, clone=other)
    lines = [line.partition(" cannot be built again: ")[2] for line in done.stderr.splitlines()[-3:]]
    assert done.returncode == 1
    assert lines[0].startswith("Ratchet's own folder is no git repository; clone where it came from")
    assert lines[1].startswith("data.sources.applicants: not found")
    assert lines[2].startswith("its environment: it was trained with lock ")


def test_a_version_that_is_not_there_and_one_of_an_older_release_are_refused(place: Place) -> None:
    assert "small: there is no version 9" in place.ratchet("reproduce", "--version", 9).stderr
    with put_back(place.recipe()):
        place.recipe().unlink()
        done = place.ratchet("reproduce", "--version", 1)
    assert done.returncode == 1
    assert "holds no recipe.json: an older release trained it" in done.stderr


def test_of_a_working_tree_with_changes_the_files_and_the_difference_are_told(place: Place, tmp_path: Path) -> None:
    changed = cloned(tmp_path / "changed")
    linear = changed / "src/ratchet/core/models/linear.py"
    linear.write_text(
        linear.read_text().replace('LogisticRegression(C=params["C"]', 'LogisticRegression(C=0.5 * params["C"]')
    )
    write_task(place.folder, "edited", ["linear"])
    made = place.ratchet("promote", "--to", "staging", clone=changed, config="edited")
    assert made.returncode == 0, made.stdout + made.stderr
    done = place.ratchet("reproduce", "--version", 1, *HERE, clone=changed, config="edited")
    assert done.returncode == 1
    assert "trained from a working tree with changes (core/models/linear.py)" in done.stdout
    assert "what was built again differs by up to" in done.stderr


def test_a_fit_into_a_folder_that_is_there_already_is_refused(place: Place, tmp_path: Path) -> None:
    env: dict[str, Any] = os.environ | {"PYTHONPATH": str(place.clone / "src")}
    words = [sys.executable, "-P", "-m", "ratchet", "fit", place.recipe(), "--output", tmp_path / "made"]
    first, second = (
        subprocess.run(words, cwd=place.folder, env=env, capture_output=True, text=True, check=False) for _ in "12"
    )
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "made" / "predictions.parquet").read_bytes() == (
        place.recipe().with_name("predictions.parquet").read_bytes()
    )
    assert second.returncode == 1
    assert "made: is there already; name a new folder" in second.stderr
