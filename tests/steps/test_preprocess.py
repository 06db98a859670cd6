"""What preprocess finds, refuses and keeps apart."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

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


def tickets(topics: dict[str, int]) -> pd.DataFrame:
    names = [name for name, rows in topics.items() for _ in range(rows)]
    return frame(len(names)).assign(y=names)


@pytest.mark.parametrize("which", [0, 1], ids=["merged", "left out"])
def test_classes_too_rare_to_learn_are_named_and_both_mends_that_are_offered_work(
    which: int, prepare: Callable[..., Told]
) -> None:
    rows = tickets({"bill": 60, "login": 40, "app": 8, "card": 4, "fax": 3, "mail": 2})
    search = {"folds": 5, "trials": 1}
    refused = prepare(rows, data={"id": "id"}, search=search).json["error"]
    assert "'mail' (2 in all), 'fax' (3 in all), 'card' (4 in all)" in refused
    assert "enlarge" not in refused
    mends = [yaml.safe_load(text)["data"] for text in re.findall(r"data: \{rare_classes: \{.*?\}\}", refused)]
    assert len(mends) == 2
    told = prepare(rows, data={"id": "id"} | mends[which], search=search)
    assert told.code == 0, told.json
    assert told.json["classes"] == (["app", "bill", "login"], ["app", "bill", "login", "other"])[which == 0]
    assert any("3 classes with fewer than 5 rows" in finding for finding in told.json["findings"])


def test_more_classes_than_are_learned_can_be_merged(prepare: Callable[..., Told]) -> None:
    rows = tickets({f"t{number}": 60 if number < 3 else 2 for number in range(120)})
    refused = prepare(rows, data={"id": "id"}).json["error"]
    mend = re.search(r"data: (\{rare_classes: \{.*?\}\})", refused)
    assert mend
    told = prepare(rows, data={"id": "id"} | yaml.safe_load(mend[1]))
    assert told.json["classes"] == ["other", "t0", "t1", "t2"]


def test_a_side_without_positives_gets_some_and_says_so(prepare: Callable[..., Told]) -> None:
    rows = frame(400).assign(y=lambda rows: (rows["id"] < 6).astype(int))
    alone = prepare(rows, data={"id": "id"}, split={"salt": "h", "stratify": False})
    assert re.match(
        r"split: valid holds one class only \(0, \d+ rows\); with split: \{stratify: true\}", alone.json["error"]
    )
    for split in ({}, {"stratify": True}):
        told = prepare(rows, data={"id": "id"}, split={"salt": "h"} | split)
        assert told.code == 0, told.json
        is_told = any("split.stratify: true does so for all" in finding for finding in told.json["findings"])
        assert is_told is not bool(split)


def test_two_positives_are_not_enough_for_three_sides(prepare: Callable[..., Told]) -> None:
    told = prepare(frame(400).assign(y=lambda rows: (rows["id"] < 2).astype(int)), data={"id": "id"})
    assert "there are 2 rows of 1 in all, and each side needs one: collect more" in told.json["error"]


def test_a_value_to_predict_has_no_rare_classes(prepare: Callable[..., Told]) -> None:
    rows = frame(400).assign(y=lambda rows: rows["a"].round(1))
    told = prepare(rows, data={"id": "id", "rare_classes": {"under": 2, "into": -1}})
    assert told.json["error"].startswith("data.rare_classes: is for classes")


def survey(rows: int = 2_000) -> pd.DataFrame:
    """Few combinations of features, each with rows of both classes."""
    random = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "id": range(rows),
            "sex": random.choice(["f", "m"], rows),
            "age": random.integers(1, 7, rows),
            "y": random.integers(0, 2, rows),
        }
    )


def test_a_survey_without_ids_is_told_that_test_is_never_seen_in_train_and_the_mend_works(
    prepare: Callable[..., Told],
) -> None:
    rows = survey().drop(columns="id")
    findings = prepare(rows).json["findings"]
    (told,) = [finding for finding in findings if "12 different combinations in 2,000 rows" in finding]
    assert "none of test is ever seen in train" in told
    query = re.search(r'data.query: "(.*?)" and id: row_id', told)
    assert query
    mended = prepare(rows, data={"query": query[1].replace("…", "rows"), "id": "row_id"}).json
    assert not any("ever seen in train" in finding for finding in mended["findings"])
    assert mended["sides"]["train"] == pytest.approx(1400, abs=60)


def test_a_survey_with_ids_is_no_leak_but_copied_rows_are(prepare: Callable[..., Told]) -> None:
    findings = prepare(survey(), data={"id": "id"}).json["findings"]
    assert not any(finding.startswith("leak") for finding in findings)
    assert any("no leak, if each row is a case of its own" in finding for finding in findings)
    copied = pd.concat([frame(100)] * 20, ignore_index=True).assign(id=range(2_000))
    findings = prepare(copied, data={"id": "id"}).json["findings"]
    assert any("have twins on another side" in finding for finding in findings)


def test_sides_that_are_far_from_their_shares_are_told(prepare: Callable[..., Told]) -> None:
    rows = frame().assign(shop=lambda rows: np.minimum(rows["id"] // 300, 3))
    findings = prepare(rows, data={"id": "id"}, split={"by": "group", "columns": ["shop"], "salt": "s1"}).json[
        "findings"
    ]
    told = [finding for finding in findings if finding.startswith("split: the shares of rows are train 0.")]
    assert len(told) == 1
    assert "instead of train 0.70, valid 0.15, test 0.15: a group stays together" in told[0]
    findings = prepare(rows, data={"id": "id"}).json["findings"]
    assert not any("shares of rows" in finding for finding in findings)
