"""The main job on a small synthetic task, and what each step leaves behind."""

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
