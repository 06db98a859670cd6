"""`ratchet captured`: what was asked, answered and came true, as a typed file."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from ratchet.adapters import captured, joined
from ratchet.adapters.captured import Outcome
from ratchet.settings import Settings
from tests.adapters.capturing import append_rows, asked, moment
from tests.conftest import Told


@pytest.fixture
def record(workplace: Path) -> Engine:
    return captured.engine(Settings.from_env())


def export(ratchet: Callable[..., Told], task_file: Callable[..., Path], *words: object) -> pa.Table:
    told = ratchet("captured", "-c", task_file(name="credit"), "--output", "rows.parquet", *words)
    assert told.code == 0, told.err
    return pq.read_table("rows.parquet")


def test_inputs_answers_and_outcomes_are_columns_of_their_types(
    record: Engine, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    answer = {"label": "No", "probabilities": {"No": 0.75, "Yes": 0.25}, "reasons": [{"text": "long"}]}
    rows: list[dict[str, Any]] = [
        asked("a", 1, inputs={"AGE": 31, "SCORE": 1, "JOB": "광부", "version": "x", "odd": 1}, answer=answer),
        asked("b", 2, inputs={"AGE": None, "SCORE": 2.5, "IS": True, "odd": "one"}, rollout=7),
        asked("c", 3, inputs=None, answer=None, status=500, problem="the model failed"),
    ]
    append_rows(record, rows)
    captured.append_outcomes(record, "credit", [Outcome(1, moment(5), request_id="a", row=0)])
    table = export(ratchet, task_file)
    found = table.to_pylist()
    assert [str(table.schema.field(name).type) for name in ("AGE", "SCORE", "JOB", "IS", "odd", "outcome")] == [
        "int64", "double", "string", "bool", "string", "int64"]  # fmt: skip
    assert found[0]["at"] == datetime(2026, 5, 3, 14, 1, tzinfo=UTC) and found[0]["outcome_at"] == moment(5)
    assert (found[0]["AGE"], found[0]["JOB"], found[0]["input_version"], found[0]["version"]) == (31, "광부", "x", 3)
    assert (found[0]["predicted_label"], found[0]["predicted_probabilities.Yes"], found[0]["outcome"]) == (
        "No",
        0.25,
        1,
    )
    assert found[0]["predicted_reasons"] == '[{"text": "long"}]'
    assert (found[1]["SCORE"], found[1]["rollout"], found[1]["predicted_probability"]) == (2.5, 7, 0.125)
    assert (found[2]["problem"], found[2]["AGE"], found[2]["predicted_label"], found[2]["outcome"]) == (
        "the model failed", None, None, None)  # fmt: skip


def test_a_time_and_those_with_outcomes_are_chosen(
    record: Engine, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    append_rows(record, [asked(f"r{n}", n, entity=f"e{n}") for n in range(10)])
    append_rows(record, [asked("other", 5, task="other")])
    captured.append_outcomes(record, "credit", [Outcome(0, moment(9), entity="e3"), Outcome(0, moment(9), entity="e7")])
    times = ("--since", "2026-05-03T14:02Z", "--until", "2026-05-03T16:05+02:00")
    assert export(ratchet, task_file, *times)["request_id"].to_pylist() == ["r2", "r3", "r4"]
    assert export(ratchet, task_file, *times, "--outcomes-only")["request_id"].to_pylist() == ["r3"]


def test_more_than_fits_into_one_batch_is_written_whole(
    record: Engine, ratchet: Callable[..., Told], task_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined, "MOST_ROWS", 7)
    append_rows(record, [asked(f"r{n}", n, inputs={f"x{n % 3}": n}) for n in range(50)])
    captured.append_loss(record, "credit", 4, "killed", "a/end")
    told = ratchet("captured", "-c", task_file(name="credit"), "--output", "rows.parquet", "--json")
    assert told.json == {"task": "credit", "output": "rows.parquet", "rows": 50, "known": 0, "lost": 4}
    assert pq.read_table("rows.parquet")["x2"].null_count == 34
    assert [path.name for path in Path.cwd().glob("*.parquet*")] == ["rows.parquet"]


def test_where_nothing_was_asked_the_file_is_empty(
    record: Engine, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    assert export(ratchet, task_file).num_rows == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--output", "rows.csv"), "rows.csv: the output is a .parquet file"),
        (("--output", "gone/rows.parquet"), "the folder gone is not there"),
        (("--output", "rows.parquet", "--since", "soon"), "--since 'soon': no time"),
    ],
)
def test_a_slip_is_told_in_one_line(
    words: tuple[str, ...], told: str, workplace: Path, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    found = ratchet("captured", "-c", task_file(name="credit"), *words)
    assert found.code == 1 and told in found.err and len(found.err.splitlines()) == 1
