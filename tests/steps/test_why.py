"""No work twice: what is unchanged is reused, what changed is named, also before anything runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratchet.steps import inputs
from tests.conftest import Told

SEARCH = {"models": ["linear"], "trials": 1, "folds": 2}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the source that the keys are made from, to be edited."""
    copy = tmp_path / "repository" / "src" / "ratchet"
    shutil.copytree(inputs.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(inputs.PACKAGE.parents[1] / "requirements.lock", copy.parents[1])
    (copy.parents[1] / "README.md").write_text("hello\n")
    monkeypatch.setattr(inputs, "PACKAGE", copy)
    monkeypatch.setattr("ratchet.steps.recipe.PACKAGE", copy)
    return copy


def edit(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")


def test_each_kind_of_edit_is_named_and_reruns_what_hangs_on_it(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], package: Path
) -> None:
    def states(told: Told) -> dict[str, str]:
        return {step["step"]: step["state"] for step in told.json["steps"]}

    def changed(told: Told, step: str) -> dict[str, str]:
        found: dict[str, str] = next(s["changed"] for s in told.json["steps"] if s["step"] == step)
        return found

    config = task_file(search=SEARCH)
    assert ratchet("train", "-c", config, "--json").code == 0
    first = ratchet("run", "-c", config, "--why", "--json")
    assert states(first) == {"preprocess": "reused", "train": "reused", "evaluate": "runs"}

    edit(package.parents[1] / "README.md")
    assert states(ratchet("run", "-c", config, "--why", "--json"))["train"] == "reused"

    edit(package / "scoring" / "encode.py")
    told = ratchet("run", "-c", config, "--why", "--json")
    assert (states(told)["preprocess"], states(told)["train"]) == ("reused", "runs")
    assert changed(told, "train") == {"code scoring/encode.py": "changed"}
    assert "code scoring/encode.py changed" in ratchet("run", "-c", config, "--why").out
    assert "train runs again: code scoring/encode.py changed" in ratchet("train", "-c", config).err

    told = ratchet("run", "-c", task_file(search=SEARCH | {"trials": 2}), "--why", "--json")
    assert changed(told, "train") == {"search.trials": "1 -> 2"}

    edit(package.parents[1] / "requirements.lock")
    told = ratchet("run", "-c", task_file(search=SEARCH), "--why", "--json")
    assert changed(told, "train") == {"lock": "changed"}

    sources = {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=4"]}}
    data: dict[str, Any] = {"sources": sources, "target": "defaulted", "positive": 1, "id": "applicant_id",
            "drop": ["applied_at"], "truth": "probability_of_default"}  # fmt: skip
    told = ratchet("run", "-c", task_file(search=SEARCH, data=data), "--why", "--json")
    assert changed(told, "preprocess") == {"source applicants": "changed"}
    assert changed(told, "train") == {"lock": "changed", "step preprocess": "changed"}


def test_a_task_that_never_ran_has_nothing_to_compare_with(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    told = ratchet("run", "-c", task_file(), "--why")
    assert "preprocess: runs, since no finished run of it is known" in told.out
