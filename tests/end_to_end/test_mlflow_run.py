"""Ratchet as an MLflow Project: `mlflow run` with parameters, from a folder and from a git URL."""

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.end_to_end.commands import ROOT, environment, run

STEPS = {"preprocess", "train", "evaluate", "promote"}


def recorded(place: Path) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000))


def assert_one_tree(place: Path, trials: int) -> None:
    """One parent, the four steps under it, the trials under train; all in one experiment, all finished."""
    runs = recorded(place)
    by_step = {r.data.tags["ratchet.step"]: r for r in runs if r.data.tags["ratchet.step"] != "trial"}
    assert Counter(r.data.tags["ratchet.step"] for r in runs) == Counter([*STEPS, "main", *["trial"] * trials])
    main = by_step["main"]
    assert {by_step[step].data.tags["mlflow.parentRunId"] for step in STEPS} == {main.info.run_id}
    under = {r.data.tags["mlflow.parentRunId"] for r in runs if r.data.tags["ratchet.step"] == "trial"}
    assert under == {by_step["train"].info.run_id}
    assert {r.info.experiment_id for r in runs} == {main.info.experiment_id}
    assert {r.info.status for r in runs} == {"FINISHED"}


def test_mlflow_run_keeps_one_tree_in_the_experiment_it_chose(workplace: Path, task_file: Callable[..., Path]) -> None:
    done = run("mlflow", "run", ROOT, "--env-manager", "local", "-P", f"config={task_file()}", "-P", "trials=2",
               "-P", "seed=11", "--experiment-name", "chosen", cwd=workplace)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_one_tree(workplace, trials=2)
    client = mlflow.MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    experiment = client.get_experiment(recorded(workplace)[0].info.experiment_id)
    assert experiment.name == "chosen"
    assert client.get_model_version_by_alias("small", "champion").current_stage == "Production"


def test_one_step_alone_brings_what_it_needs_and_is_used_again(workplace: Path, task_file: Callable[..., Path]) -> None:
    config = task_file()
    words = ("mlflow", "run", ROOT, "--env-manager", "local", "-P", f"config={config}", "-P", "trials=2")
    trained = run(*words, "-e", "train", cwd=workplace)
    assert trained.returncode == 0, trained.stderr
    assert Counter(r.data.tags["ratchet.step"] for r in recorded(workplace)) == {
        "train": 1,
        "preprocess": 1,
        "trial": 2,
    }
    evaluated = run(*words, "-e", "evaluate", cwd=workplace)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "train reused" in evaluated.stderr + evaluated.stdout
    assert Counter(r.data.tags["ratchet.step"] for r in recorded(workplace))["train"] == 1


def test_a_refused_gate_fails_the_run_with_its_reason(workplace: Path, task_file: Callable[..., Path]) -> None:
    config = task_file(gates={"staging": [{"metric": "roc_auc", "minimum": 0.999}]})
    done = run(
        "mlflow", "run", ROOT, "--env-manager", "local", "-P", f"config={config}", "-P", "trials=2", cwd=workplace
    )
    assert done.returncode != 0
    assert "Staging refused: roc_auc" in done.stderr + done.stdout
    statuses = {r.data.tags["ratchet.step"]: r.info.status for r in recorded(workplace)}
    assert statuses == {"main": "FAILED", "promote": "FINISHED", "preprocess": "FINISHED", "train": "FINISHED",
                        "evaluate": "FINISHED", "trial": "FINISHED"}  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """This working tree as a git repository of its own, reached by URL."""
    place = tmp_path / "repository"
    place.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "--null", "-cf", tmp_path / "tree.tar", "-T", "-"], cwd=ROOT, input=listed, check=True)
    subprocess.run(["tar", "-xf", tmp_path / "tree.tar"], cwd=place, check=True)
    author = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=place, check=True)
    return f"file://{place}"


def test_mlflow_run_works_from_a_git_url_and_goes_on_there(
    workplace: Path, repository: str, task_file: Callable[..., Path]
) -> None:
    words = ("mlflow", "run", repository, "--env-manager", "local", "-e", "train", "-P", f"config={task_file()}")
    first = run(*words, "-P", "trials=2", cwd=workplace)
    assert first.returncode == 0, first.stderr
    more = run(*words, "-P", "trials=3", cwd=workplace)
    assert more.returncode == 0, more.stderr
    assert "goes on after 2 finished trials" in more.stderr + more.stdout
    trials = [r for r in recorded(workplace) if r.data.tags["ratchet.step"] == "trial"]
    assert len(trials) == 3


def test_mlflow_run_builds_its_own_environment_with_uv(
    workplace: Path, tmp_path: Path, task_file: Callable[..., Path]
) -> None:
    env = environment(MLFLOW_ENV_ROOT=str(tmp_path / "environments"))
    done = run("mlflow", "run", ROOT, "--env-manager", "uv", "-P", f"config={task_file()}", "-P", "trials=2",
               cwd=workplace, env=env, timeout_s=900)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_one_tree(workplace, trials=2)
    assert list((tmp_path / "environments").iterdir()), "no environment was built"
