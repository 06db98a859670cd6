"""Rare classes: which side their rows fall on, and what merging them leaves."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.adapters import files, strata
from ratchet.adapters.sources import Table
from ratchet.config import ColumnSplit, Data, GroupSplit, HashSplit, RareClasses, Read, Source, Split, TimeSplit
from ratchet.errors import DataError

THIRDS = {"train": 0.7, "valid": 0.15, "test": 0.15}
ANYWHERE = Source(uris=("given",))


def spread(frame: pd.DataFrame, split: Split, place: Path, **data: object) -> tuple[pd.DataFrame, bool, str]:
    """Gather a frame and spread its rare classes; return its rows with their sides, in the order in which they lie."""
    task = Data.model_validate({"sources": {"rows": {"uris": ["given"]}}, "target": "y", **data})
    rows = place / "rows.parquet"
    with files.workspace(place, [Table("rows", "rows", "", Read(), frame=frame)]) as db:
        files.gather(db, task, split, rows)
        files.keep_targets(db, "y", rows)
        is_stratified, told = strata.spread(db, split, "y", rows)
        return pd.read_parquet(rows), is_stratified, told


def people(count: int, positives: int) -> pd.DataFrame:
    random = np.random.default_rng(3)
    y = random.permutation([1] * positives + [0] * (count - positives))
    return pd.DataFrame({"id": range(count), "x": random.normal(size=count), "y": y})


def held(rows: pd.DataFrame) -> dict[str, int]:
    counts = rows.loc[rows["y"] == 1, files.SIDE].value_counts()
    return {side: int(counts.get(side, 0)) for side in files.SIDES}


@given(rows=st.integers(0, 400), shares=st.sampled_from([THIRDS, {"train": 0.1, "valid": 0.1, "test": 0.8},
                                                        {"valid": 0.15, "train": 0.85}]))  # fmt: skip
def test_a_class_is_dealt_out_whole_and_each_side_gets_a_row_if_there_are_enough(rows, shares):
    counts = strata.planned(rows, shares)
    assert list(counts) == list(shares)
    assert sum(counts.values()) == rows
    assert min(counts.values()) >= (rows >= len(shares))
    assert all(abs(counts[side] - rows * share) <= 2 for side, share in shares.items())
    assert counts["train"] > 0 or not rows


@pytest.mark.parametrize(("positives", "expected"), [(6, (4, 1, 1)), (3, (1, 1, 1)), (20, (14, 3, 3))])
def test_each_side_gets_its_share_of_a_rare_class_and_it_is_told(positives, expected, tmp_path):
    rows, is_stratified, told = spread(people(2_000, positives), HashSplit(salt="c"), tmp_path, id="id")
    assert tuple(held(rows).values()) == expected
    assert is_stratified
    assert re.match(rf"split: (train|valid|test) would hold \d+ of {positives} rows of class 1, so each side", told)


def test_rows_of_other_classes_stay_where_the_hash_puts_them_and_all_in_their_order(tmp_path):
    frame = people(2_000, 6)
    rows, *_ = spread(frame, HashSplit(), tmp_path, id="id")
    alone, is_stratified, told = spread(frame, HashSplit(stratify=False), tmp_path, id="id")
    assert (is_stratified, told) == (False, "")
    assert rows["id"].tolist() == alone["id"].tolist() == list(range(2_000))
    assert (rows[files.SIDE] == alone[files.SIDE])[rows["y"] == 0].all()


def test_enough_rows_of_each_class_are_left_to_the_hash(tmp_path):
    frame = people(2_000, 300)
    rows, is_stratified, told = spread(frame, HashSplit(), tmp_path, id="id")
    assert (is_stratified, told) == (False, "")
    alone, *_ = spread(frame, HashSplit(stratify=False), tmp_path, id="id")
    assert rows[files.SIDE].tolist() == alone[files.SIDE].tolist()


def test_all_classes_are_spread_exactly_where_the_task_says_so(tmp_path):
    rows, is_stratified, told = spread(people(2_000, 300), HashSplit(stratify=True), tmp_path, id="id")
    assert (is_stratified, told) == (True, "")
    assert held(rows) == {"train": 210, "valid": 45, "test": 45}
    assert rows[files.SIDE].value_counts().to_dict() == {"train": 1400, "valid": 300, "test": 300}


def test_a_row_moves_only_near_a_cut_when_the_data_grow_and_none_when_they_are_shuffled(tmp_path):
    frame, split = people(2_000, 300), HashSplit(stratify=True)
    before = spread(frame, split, tmp_path, id="id")[0].set_index("id")[files.SIDE]
    shuffled = spread(frame.sample(frac=1, random_state=1), split, tmp_path, id="id")[0].set_index("id")[files.SIDE]
    assert (shuffled.sort_index() == before).all()
    more = pd.concat([frame, people(200, 30).assign(id=lambda rows: rows["id"] + 10_000)])
    after = spread(more, split, tmp_path, id="id")[0].set_index("id")[files.SIDE]
    assert (after[before.index] != before).mean() < 0.03


def test_rows_of_an_id_stay_together_and_count_as_one(tmp_path):
    frame = people(2_000, 0).assign(id=lambda rows: rows["id"] // 4, y=lambda rows: (rows["id"] < 5).astype(int))
    rows, is_stratified, _ = spread(frame, HashSplit(), tmp_path, id="id")
    assert is_stratified
    assert (rows.groupby("id")[files.SIDE].nunique() == 1).all()
    assert held(rows) == {"train": 12, "valid": 4, "test": 4}


def test_a_group_with_a_rare_class_is_put_on_each_side(tmp_path):
    frame = people(2_000, 0).assign(shop=lambda rows: rows["id"] % 100, y=lambda rows: (rows["id"] < 4).astype(int))
    by = GroupSplit(by="group", columns=("shop",), salt="b")
    rows, is_stratified, _ = spread(frame, by, tmp_path, id="id")
    assert is_stratified
    assert (rows.groupby("shop")[files.SIDE].nunique() == 1).all()
    assert held(rows) == {"train": 2, "valid": 1, "test": 1}


def test_groups_that_each_hold_many_rows_of_a_class_are_not_moved(tmp_path):
    frame = people(2_000, 1_000).assign(shop=lambda rows: rows["id"] % 20)
    _, is_stratified, _ = spread(frame, GroupSplit(by="group", columns=("shop",)), tmp_path, id="id")
    assert not is_stratified


def test_valid_gets_its_share_of_an_official_train_set(tmp_path):
    fold = np.where(np.arange(1_000) < 700, "a", np.where(np.arange(1_000) < 990, "b", "c"))
    frame = people(1_000, 8).assign(fold=fold)
    frame["y"] = frame["id"].isin([*range(8), *range(700, 704)]).astype(int)
    by = {"by": "column", "column": "fold", "train": ["a"], "test": ["b"], "salt": "c"}
    rows, is_stratified, _ = spread(frame, ColumnSplit.model_validate(by), tmp_path, id="id")
    assert is_stratified
    assert held(rows) == {"train": 7, "valid": 1, "test": 4}
    assert rows.loc[rows["fold"] == "c", files.SIDE].isna().all()


def test_a_split_by_time_is_left_alone(tmp_path):
    _, is_stratified, _ = spread(people(200, 3), TimeSplit(by="time", column="id"), tmp_path)
    assert not is_stratified


def merge(classes: list, rare: RareClasses, place: Path) -> tuple[list[tuple[object, int]], str, list]:
    frame = pd.DataFrame({"id": range(len(classes)), "y": classes})
    rows = place / "rows.parquet"
    with files.workspace(place, [Table("rows", "rows", "", Read(), frame=frame)]) as db:
        files.gather(db, Data(sources={"rows": ANYWHERE}, target="y", id="id"), HashSplit(), rows)
        values, told = strata.merge_rare(db, rare, "y", rows)
    return values, told, pq.read_table(rows)["y"].to_pylist()


NAMES = ["a"] * 9 + ["b"] * 5 + ["it's"] * 2 + ["d"]


def test_rare_classes_are_merged_and_told_with_their_rows(tmp_path):
    values, told, names = merge(NAMES, RareClasses(under=5, into="other"), tmp_path)
    assert values == [("a", 9), ("b", 5), ("other", 3)]
    assert names == ["a"] * 9 + ["b"] * 5 + ["other"] * 3
    assert told == "data.rare_classes: 2 classes with fewer than 5 rows are 'other' now, 3 rows in all: it's (2), d (1)"


def test_rare_classes_may_be_left_out_or_join_a_class_that_is_there(tmp_path):
    values, told, names = merge(NAMES, RareClasses(under=5, drop=True), tmp_path)
    assert (values, len(names)) == ([("a", 9), ("b", 5)], 14)
    assert "were left out, 3 rows in all" in told
    assert merge(NAMES, RareClasses(under=6, into="a"), tmp_path)[0] == [("a", 17)]
    assert merge(NAMES, RareClasses(under=2, into=9), tmp_path)[0][-1] == ("9", 1)


def test_classes_that_are_numbers_are_merged_into_a_number(tmp_path):
    numbers = [1] * 9 + [2] * 5 + [3, 4]
    assert merge(numbers, RareClasses(under=5, into=-1), tmp_path)[0] == [(1, 9), (2, 5), (-1, 2)]
    with pytest.raises(DataError, match=r"^data\.rare_classes\.into: 'y' holds numbers; name a number, as in into: -1"):
        merge(numbers, RareClasses(under=5, into="other"), tmp_path)


def test_nothing_is_told_where_no_class_is_rare(tmp_path):
    assert merge(NAMES, RareClasses(under=2, drop=True), tmp_path)[1].startswith("data.rare_classes: 1 classes")
    assert merge(["a", "a", "b", "b"], RareClasses(under=2, drop=True), tmp_path)[1] == ""


@pytest.mark.parametrize("words", [{"under": 5}, {"under": 5, "into": "x", "drop": True}, {"under": 1, "drop": True}])
def test_what_becomes_of_rare_classes_has_to_be_one_thing(words):
    with pytest.raises(ValueError, match="under"):
        RareClasses.model_validate(words)
