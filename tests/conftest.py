"""What the tests share: a migrated store to copy, the command line in this process, and the real data."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.end_to_end.commands import run, settle

ROOT = Path(__file__).parents[1]
settings.register_profile("ci", derandomize=True)  # at home new cases are tried each time, in CI the same ones
if os.environ.get("CI"):
    settings.load_profile("ci")
os.environ["OMP_NUM_THREADS"] = "1"  # files run in parallel: two threads in each would wait for one another


@dataclass(frozen=True)
class Told:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON object."""
        return json.loads(self.out)


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store at the newest schema: migrating takes seconds, copying a tenth of one."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "migrated"
    done = shared / "done"
    try:
        shared.mkdir()
    except FileExistsError:  # another worker makes it
        for _ in range(600):
            if done.exists():
                return shared / "mlflow.db"
            subprocess.run(["sleep", "0.2"], check=True)
        raise RuntimeError("the worker that makes the migrated store is gone") from None
    subprocess.run(
        [sys.executable, "-c", "import mlflow; mlflow.MlflowClient().search_experiments()"],
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{shared / 'mlflow.db'}"},
        cwd=shared, check=True, capture_output=True,
    )  # fmt: skip
    done.touch()
    return shared / "mlflow.db"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Path:
    """A folder with the small task of `tests/moving.py`, whose version 1 is in Production; copy it, and leave it so."""
    from tests import moving

    place = tmp_path_factory.mktemp("store")
    shutil.copy(migrated_store, place / "mlflow.db")
    done = run("ratchet", "run", "-c", moving.task_in(place), cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def workplace(tmp_path: Path, migrated_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a fresh store, where commands run as on a user's machine."""
    place = tmp_path / "work"
    place.mkdir()
    shutil.copy(migrated_store, place / "mlflow.db")
    settle(monkeypatch, place)
    return place


@pytest.fixture
def ratchet(workplace: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    """Run a command in this process: `ratchet("train", "-c", path)`."""
    from ratchet import cli

    def call(*words: object) -> Told:
        capsys.readouterr()
        before, sys.argv = sys.argv, ["ratchet", *map(str, words)]
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = before
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return call


def data_folders() -> list[Path]:
    """The folders in which the real data may lie."""
    named = [Path(folder) for folder in os.environ.get("RATCHET_DATA", "").split(":") if folder]
    return [*named, ROOT / "data", ROOT.parent / "shared" / "data"]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The path of a real data file; skips, with the reason, where the file is not present."""
    monkeypatch.setenv("RATCHET_DATA", ":".join(str(folder.resolve()) for folder in data_folders()))

    def find(name: str) -> Path:
        for folder in data_folders():
            if (folder / name).is_file():
                return (folder / name).resolve()
        pytest.skip(f"{name} is in none of {', '.join(map(str, data_folders()))}")

    return find


@pytest.fixture
def task_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a small task: quickstart on few rows, with sections replaced by keyword."""
    import yaml

    def write(**sections: Any) -> Path:
        task: dict[str, Any] = {
            "name": "small",
            "data": {
                "sources": {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=3"]}},
                "target": "defaulted", "positive": 1, "id": "applicant_id",
                "drop": ["applied_at"], "truth": "probability_of_default",
            },
            "search": {"models": ["linear", "xgboost"], "trials": 3, "folds": 2, "max_rounds": 60},
            "gates": {"staging": [{"beats": "dummy", "point": True}],
                      "production": [{"metric": "roc_auc", "max_drop": 0.5}]},
        }  # fmt: skip
        task |= sections
        path = tmp_path / f"{task['name']}.yaml"
        path.write_text(yaml.safe_dump(task, allow_unicode=True), encoding="utf-8")
        return path

    return write


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: else one worker is left alone with the last of them."""
    items.sort(key=lambda item: not {"end_to_end", "faults", "stack"} & set(item.path.parts))


def pytest_runtest_logreport(report: pytest.TestReport) -> Iterator[None] | None:
    """Where every data set is present (CI), a skipped test is a failure."""
    if report.skipped and os.environ.get("RATCHET_NO_SKIPS"):
        report.outcome = "failed"
    return None
