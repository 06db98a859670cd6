"""What preprocess finds, refuses and keeps apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Told


@pytest.fixture
def prepare(ratchet: Callable[..., Told], task_file: Callable[..., Path], tmp_path: Path) -> Callable[..., Told]:
    """Run preprocess on a frame, with sections of the task by keyword."""

    def call(frame: pd.DataFrame, **sections: Any) -> Told:
        path = tmp_path / "rows.parquet"
        frame.to_parquet(path)
        data = {"sources": {"rows": {"uris": [str(path)]}}, "target": "y", **sections.pop("data", {})}
        return ratchet("preprocess", "-c", task_file(data=data, **sections), "--json")

    return call


def frame(rows: int = 1000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"id": range(rows), "a": rng.normal(size=rows), "y": rng.integers(0, 2, rows)})


def test_a_leak_is_found_in_a_file_that_is_sorted_by_its_target(prepare: Callable[..., Told]) -> None:
    sorted_rows = frame(40_000).sort_values("y").assign(copy=lambda rows: rows["y"] * 1.0)
    told = prepare(sorted_rows, data={"id": "id"})
    assert any("leak: copy alone predicts the target" in finding for finding in told.json["findings"])


def test_a_code_for_missing_is_pointed_out(prepare: Callable[..., Told]) -> None:
    rows = frame().assign(days=lambda rows: np.where(rows["id"] % 6 == 0, 365243.0, rows["a"] * 100))
    told = prepare(rows, data={"id": "id"})
    found = [finding for finding in told.json["findings"] if "a code for missing?" in finding]
    assert found == ["days: 17% of the values lie far outside the rest, most often 365243; a code for missing?"]


def test_the_newest_rows_may_wait_for_their_target(prepare: Callable[..., Told]) -> None:
    rows = frame().assign(at=lambda rows: pd.Timestamp("2024-01-01") + pd.to_timedelta(rows["id"], "D"))
    rows["y"] = rows["y"].astype("Int64").where(rows["id"] < 900)
    told = prepare(rows, data={"id": "id"}, split={"by": "time", "column": "at"})
    assert told.json["sides"] == pytest.approx({"train": 630, "valid": 135, "test": 135}, abs=1)
    assert told.json["counts"]["missing_targets"] == 100


def test_a_rule_that_does_not_fit_is_refused_before_any_search(prepare: Callable[..., Told]) -> None:
    told = prepare(frame(), data={"id": "id"}, problem={"rule": "a >= 'high'"})
    assert told.code == 1
    assert told.json["error"].startswith("problem.rule: ")


def test_a_number_that_turns_real_moves_no_row_and_another_key_is_another_split(prepare: Callable[..., Told]) -> None:
    whole = pd.DataFrame({"a": range(5, 505), "b": 1, "y": np.arange(500) % 2})
    real = pd.concat([whole, pd.DataFrame({"a": [2.5], "b": [1], "y": [0]})], ignore_index=True)
    first, grown = (prepare(rows).json for rows in (whole, real))
    assert abs(first["sides"]["train"] - grown["sides"]["train"]) <= 1
    assert first["split_digest"] == grown["split_digest"]
    assert prepare(whole.assign(c="new")).json["split_digest"] != first["split_digest"]


def test_what_is_no_feature_is_said_with_the_reason(prepare: Callable[..., Told]) -> None:
    rows = frame().assign(same="x", none=None, free=lambda rows: "text " + rows["id"].astype(str))
    dropped = prepare(rows, data={"id": "id"}).json["dropped"]
    assert dropped["y"] == "the target"
    assert dropped["id"] == "the id"
    assert "same value" in dropped["same"]
    assert "no value" in dropped["none"]
    assert "distinct texts" in dropped["free"]


def test_columns_may_be_called_as_ratchet_calls_things_itself(prepare: Callable[..., Told]) -> None:
    rows = frame().assign(n=1.5, low=lambda rows: rows["a"] * 2, level="x", value="v", bin=lambda rows: -rows["a"])
    rows.loc[::2, ["level", "value"]] = "w"
    told = prepare(rows.rename(columns={"y": "count"}), data={"id": "id", "target": "count"})
    assert told.code == 0, told.json
    assert set(told.json["features"]) == {"a", "low", "level", "value", "bin"}
