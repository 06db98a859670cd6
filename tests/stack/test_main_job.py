"""The main job on the team stack: what is on record, and where."""

from collections.abc import Callable
from pathlib import Path

from ratchet.operate.stack import Stack
from tests.conftest import Told
from tests.stack import records


def test_all_records_are_in_postgres_and_all_files_in_the_bucket(
    on_stack: Stack, ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    told = ratchet("run", "-c", task_file(name="whole"), "--ask")
    assert told.code == 0, told.err
    assert '"probability"' in told.out
    records.check_trials(on_stack, "whole", 3)
    for step in ("evaluate", "main", "preprocess", "promote", "train"):
        assert list(records.runs_of(on_stack, "whole", step).values()) == ["FINISHED"], step
    moves = records.rows(on_stack, "SELECT from_stage, to_stage FROM ledger WHERE task = 'whole'", "ratchet")
    assert sorted(moves) == [("None", "Staging"), ("Staging", "Production")]
    names = records.files(on_stack)
    assert any(name.endswith("MLmodel") for name in names), names
    assert any(name.endswith("evaluation.json") for name in names), names
    assert not (workplace / "mlruns").exists() and not (workplace / ".ratchet" / "ratchet.db").exists()
    assert "train reused" in ratchet("run", "-c", task_file(name="whole")).err
