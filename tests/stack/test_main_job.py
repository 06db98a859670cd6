"""The main job on the team stack: what is on record, and where."""

from collections.abc import Callable
from pathlib import Path

from ratchet.operate.stack import Stack
from tests.conftest import Told
from tests.stack import records


def test_all_records_are_in_postgres_and_all_files_in_the_bucket(
    on_stack: Stack, ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    # Rows that no other test has preprocessed on this stack: theirs would be used again.
    data = {"sources": {"applicants": {"uris": ["synthetic://credit?rows=1600&seed=77"]}}, "target": "defaulted",
            "positive": 1, "id": "applicant_id", "drop": ["applied_at", "probability_of_default"]}  # fmt: skip
    config = task_file(name="whole", data=data)
    told = ratchet("run", "-c", config, "--ask")
    assert told.code == 0, told.err
    assert '"probability"' in told.out
    records.check_trials(on_stack, "whole", 3)
    for step in ("evaluate", "main", "preprocess", "promote", "train"):
        assert list(records.runs_of(on_stack, "whole", step).values()) == ["FINISHED"], step
    moves = records.rows(
        on_stack, "SELECT from_stage, to_stage FROM ledger WHERE task = 'whole' AND phase = 'done'", "ratchet"
    )
    assert sorted(moves) == [("None", "Staging"), ("Staging", "Production")]
    names = records.files(on_stack)
    assert any(name.endswith("MLmodel") for name in names), names
    assert any(name.endswith("evaluation.json") for name in names), names
    assert not (workplace / "mlruns").exists() and not (workplace / ".ratchet" / "ratchet.db").exists()
    assert "train reused" in ratchet("run", "-c", config).err
