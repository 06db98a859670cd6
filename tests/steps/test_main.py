"""The main job on a small synthetic task, and what each step leaves behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Told


def test_the_main_job_brings_a_model_to_production(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    told = ratchet("run", "-c", task_file(), "--json")
    assert told.code == 0, told.err
    assert told.json["stage"] == "Production"
    assert told.json["model_uri"] == "models:/small/1"
    assert told.json["metrics"]["roc_auc"] > 0.7
    assert {gate["verdict"] for gate in told.json["gates"]} == {"pass"}


def test_a_run_whose_files_are_gone_is_not_used_again(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file()
    first = ratchet("preprocess", "-c", config, "--json").json
    assert ratchet("preprocess", "-c", config, "--json").json["run_id"] == first["run_id"]
    shutil.rmtree(workplace / "mlruns")
    again = ratchet("preprocess", "-c", config)
    assert again.code == 0
    assert "are gone, so it runs again" in again.err
    assert again.out.count("dropped:") > 0


def test_force_does_the_work_again(ratchet: Callable[..., Told], task_file: Callable[..., Path]) -> None:
    config = task_file()
    first, second = (ratchet("preprocess", "-c", config, *more, "--json").json for more in ((), ("--force",)))
    assert first["run_id"] != second["run_id"]
    assert first["sides"] == second["sides"]
