"""Which rows go where, in which order, and what a query may do."""

import hashlib
import os
import re
import string
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ratchet.adapters import delimited, files, sides
from ratchet.adapters.sources import Table
from ratchet.config import ColumnSplit, Data, GroupSplit, HashSplit, Read, Source, SourceSplit, TimeSplit
from ratchet.errors import DataError

ANYWHERE = Source(uris=("given",))


@dataclass(frozen=True)
class Split:
    """What became of the rows."""

    folder: Path
    kinds: dict[str, str]
    rows: pd.DataFrame
    missing_targets: int
    targets: list[tuple[object, int]]

    @property
    def side(self) -> pd.Series:
        return self.rows[files.SIDE]

    def side_of(self, column: str) -> dict:
        return dict(zip(self.rows[column], self.side, strict=True))


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="files-") as folder:
        yield Path(folder)


def split(tables: pd.DataFrame | dict[str, pd.DataFrame], by=None, target="y", folder: Path | None = None, **data):
    """Gather the frames as preprocess does."""
    tables = tables if isinstance(tables, dict) else {"rows": tables}
    task = Data(sources=dict.fromkeys(tables, ANYWHERE), target=target, **data)
    sources = [Table(name, name, "", Read(), frame=frame) for name, frame in tables.items()]
    with scratch() as place:
        folder = folder or place
        with files.workspace(folder, sources) as db:
            kinds = files.gather(db, task, by or HashSplit(), folder / "rows.parquet")
            missing, targets = files.keep_targets(db, target, folder / "rows.parquet")
        return Split(folder, kinds, pd.read_parquet(folder / "rows.parquet"), missing, targets)


def sides_of(tables, by, folder: Path, **data) -> dict[str, pd.DataFrame]:
    """Write the sides and read them back."""
    split(tables, by, folder=folder, **data)
    with files.workspace(folder, []) as db:
        counts = files.write_sides(db, folder / "rows.parquet", folder)
    sides = {side: files.read_side(folder, side) for side in files.SIDES}
    assert counts == {side: len(rows) for side, rows in sides.items()}
    return sides


def twin(key: str, salt: str = "ratchet") -> float:
    """The share by which a row is placed, computed in Python."""
    return int(hashlib.md5(f"{salt}|{key}".encode()).hexdigest()[:15], 16) / 16**15


def side_by_twin(key: str, by: HashSplit | GroupSplit) -> str:
    share = twin(key, by.salt)
    return "train" if share < by.train else "valid" if share < by.train + by.valid else "test"


def people(count: int, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"p{number}" for number in range(count)],
            "age": random.integers(18, 90, count),
            "city": random.choice(["서울", "Busan", None], count),
            "y": random.integers(0, 2, count),
        }
    )


salts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
quick = settings(max_examples=25, deadline=None)


@given(names=st.lists(ids, min_size=1, max_size=60, unique=True), salt=salts)
@quick
def test_the_side_of_an_id_is_the_one_that_anybody_can_compute(names, salt):
    by = HashSplit(salt=salt)
    placed = split(pd.DataFrame({"id": names, "y": 1}), by, id="id")
    assert placed.side_of("id") == {name: side_by_twin(name, by) for name in names}


@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60, unique=True), salt=salts)
@quick
def test_the_side_of_a_whole_number_is_that_of_its_digits(numbers, salt):
    by = HashSplit(salt=salt, train=0.5, valid=0.3, test=0.2)
    placed = split(pd.DataFrame({"id": numbers, "y": 1}), by, id="id")
    assert placed.rows["id"].tolist() == numbers
    assert placed.side_of("id") == {number: side_by_twin(str(number), by) for number in numbers}


def test_the_share_of_a_row_is_the_same_number_in_sql_and_in_python():
    keys = ["", "a", "가나다", "it's", '"', "a|b", "p17", "\n", *map(str, range(2_000))]
    with duckdb.connect() as db:
        db.register("keys", pd.DataFrame({"key": keys}))
        shares = [share for (share,) in db.execute(f"SELECT {sides.share('key', 's')} FROM keys").fetchall()]
    assert shares == [twin(key, "s") for key in keys]
    assert 0 <= min(shares) < 0.01
    assert 0.99 < max(shares) < 1


@given(kept=st.sets(st.integers(0, 400), min_size=1), added=st.integers(0, 200), seed=st.integers(0, 9), data=st.data())
@quick
def test_a_row_with_an_id_never_changes_sides_when_rows_come_go_or_move(kept, added, seed, data):
    table = people(401)
    before = split(table, id="id").side_of("id")
    more = people(401 + added, seed=1).iloc[401:]
    later = pd.concat([table.iloc[sorted(kept)], more]).sample(frac=1, random_state=seed)
    changed = later.assign(age=later["age"] + data.draw(st.integers(0, 3)))
    after = split(changed, id="id").side_of("id")
    assert {name: after[name] for name in after if name in before} == {
        name: before[name] for name in after if name in before
    }


@given(
    rows=st.lists(st.tuples(st.sampled_from([1.5, 2.0, None]), st.sampled_from(["x", "", "가", None])), min_size=4),
    salt=salts,
)
@quick
def test_without_an_id_equal_rows_fall_on_one_side_whatever_their_target(rows, salt):
    table = pd.DataFrame(rows, columns=["a", "b"]).assign(y=range(len(rows)))
    placed = split(table, HashSplit(salt=salt)).rows
    assert (placed.groupby(["a", "b"], dropna=False)[files.SIDE].nunique() == 1).all()


def test_cells_do_not_run_together_in_a_row_without_an_id():
    words = ["", "a", "b", "ab", "ba", None]
    table = pd.DataFrame([(one, two, 1) for one in words for two in words], columns=["a", "b", "y"])
    by = HashSplit(train=0.4, valid=0.3, test=0.3)
    expected = [side_by_twin("\x1f".join("\x1e" if cell is None else cell for cell in row[:2]), by)
                for row in table.astype(object).where(table.notna(), None).to_numpy()]  # fmt: skip
    assert split(table, by).side.tolist() == expected


@pytest.mark.parametrize("shares", [(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.9, 0.05, 0.05), (0.1, 0.1, 0.8)])
def test_the_sides_are_about_as_large_as_asked(shares):
    by = HashSplit(**dict(zip(files.SIDES, shares, strict=True)))
    found = split(people(20_000), by, id="id").side.value_counts(normalize=True)
    assert found[list(files.SIDES)].tolist() == pytest.approx(shares, abs=0.015)


def test_another_salt_is_another_split():
    table = people(1_000)
    one, two = (split(table, HashSplit(salt=salt), id="id").side for salt in ("one", "two"))
    assert 0.2 < (one != two).mean() < 0.8


def test_the_split_is_the_same_in_another_time_zone():
    """A time with a zone is part of the key of a row without an id."""
    code = (
        "import pandas as pd; from tests.adapters.test_files import split;"
        "t = pd.DataFrame({'at': pd.date_range('2024-01-01', periods=300, freq='h', tz='Asia/Seoul'), 'y': 1});"
        "print(split(t).side.tolist())"
    )
    path = os.pathsep.join(sys.path)
    told = [
        subprocess.run([sys.executable, "-c", code], env={"TZ": zone, "PYTHONPATH": path}, check=True,
                       capture_output=True, text=True, cwd=Path(__file__).parents[2]).stdout
        for zone in ("UTC", "Asia/Seoul")
    ]  # fmt: skip
    assert told[0] == told[1]
    assert "test" in told[0]


@given(groups=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3) | st.none()), min_size=1), salt=salts)
@quick
def test_no_group_stands_on_two_sides(groups, salt):
    table = pd.DataFrame(groups, columns=["shop", "till"]).assign(x=range(len(groups)), y=1)
    placed = split(table, GroupSplit(by="group", columns=("shop", "till"), salt=salt)).rows
    by_group = placed.groupby(["shop", "till"], dropna=False)
    assert (by_group[files.SIDE].nunique() == 1).all()
    assert (by_group[files.GROUP].nunique() == 1).all()
    assert placed[files.GROUP].nunique() == by_group.ngroups


def test_a_group_stays_on_its_side_when_rows_are_added():
    table = people(500).assign(home=lambda rows: rows["age"] % 60)
    by = GroupSplit(by="group", columns=("home",))
    before = split(table.iloc[:300], by, id="id").side_of("home")
    after = split(table.sample(frac=1, random_state=1), by, id="id").side_of("home")
    assert {home: after[home] for home in before} == before
    assert set(before.values()) == set(files.SIDES)


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.uint64(), pa.decimal128(38, 0), pa.decimal128(25, 2), pa.decimal128(19, 0)], ids=str
)
def test_whole_numbers_wider_than_a_double_are_groups_and_ids_of_their_own(kind, tmp_path):
    wide = [9_007_199_254_740_993 + place for place in range(300)]
    column = pa.array(wide, pa.int64()).cast(kind)
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"key": column, "x": range(300), "y": [place % 2 for place in range(300)]}), path)
    table = Table("rows", "rows", "", Read(), (path,))
    for by, own in ((GroupSplit(by="group", columns=("key",)), {}), (HashSplit(), {"id": "key"})):
        with files.workspace(tmp_path / "work", [table]) as db:
            task = Data(sources={"rows": ANYWHERE}, target="y", **own)
            files.gather(db, task, by, tmp_path / "work" / "rows.parquet")
        rows = pq.read_table(tmp_path / "work" / "rows.parquet").to_pydict()
        if own:
            assert [int(str(key).split(".")[0]) for key in rows["key"]] == wide
            assert rows[files.SIDE] == [side_by_twin(str(key), by) for key in rows["key"]]
        else:
            assert rows[files.SIDE] == [side_by_twin(str(key), by) for key in wide]
            assert len(set(rows[files.GROUP])) == 300


def test_parts_beyond_a_double_are_groups_of_their_own_and_money_stays_where_it_was():
    numbers = {"123456789012.123456": "123456789012.123456", "123456789012.123457": "123456789012.123457",
               "0.1": "0.1", "12.50": "12.5", "10000000000000000": "1e+16"}  # fmt: skip
    with duckdb.connect() as db:
        key = sides.joined(["n"], {"n": "number"}, None, {"n": "DECIMAL(30, 6)"})
        for number, expected in numbers.items():
            assert db.execute(f"SELECT {key} FROM (SELECT '{number}'::DECIMAL(30, 6) AS n)").fetchall() == [(expected,)]


@pytest.mark.parametrize("number", [7, 7.0, "DECIMAL(38, 4)", "HUGEINT", "UBIGINT"])
def test_a_number_is_one_group_whatever_the_type_of_its_column(number):
    kind = number if isinstance(number, str) else "BIGINT" if isinstance(number, int) else "DOUBLE"
    with duckdb.connect() as db:
        key = sides.joined(["n"], {"n": "number"}, None, {"n": kind})
        assert db.execute(f"SELECT {key} FROM (SELECT 7::{kind} AS n)").fetchall() == [("7.0",)]


TIMES = {
    "days": [date(2024, 1, 1) + timedelta(days=number) for number in range(100)],
    "times": pd.date_range("2024-01-01 00:00:00.25", periods=100, freq="7h"),
    "nanoseconds": pd.date_range("2024-01-01", periods=100, freq="1ns"),
    "times with a zone": pd.date_range("2024-03-30", periods=100, freq="37min", tz="Europe/Berlin"),
    "numbers": [number / 3 for number in range(100)],
    "years": list(range(1925, 2025)),
    "words": [f"{date(2024, 1, 1) + timedelta(days=number):%d %b %Y}" for number in range(100)],
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_a_split_by_time_learns_from_the_oldest_and_judges_on_the_newest(times):
    table = pd.DataFrame({"at": times, "order": range(100), "y": 1}).sample(frac=1, random_state=3)
    placed = split(table, TimeSplit(by="time", column="at")).rows
    assert placed["order"].tolist() == list(range(100))
    assert placed[files.SIDE].tolist() == sorted(placed[files.SIDE], key=["train", "valid", "test"].index)
    found = placed[files.SIDE].value_counts()
    assert found[list(files.SIDES)].tolist() == pytest.approx([70, 15, 15], abs=1)


@given(times=st.lists(st.integers(0, 12) | st.none(), min_size=1, max_size=80))
@quick
def test_equal_times_stay_on_one_side_and_sides_do_not_overlap(times):
    assume(any(time is not None for time in times))
    table = pd.DataFrame({"at": pd.array(times, dtype="Int64"), "x": range(len(times)), "y": 1})
    placed = split(table, TimeSplit(by="time", column="at", train=0.4, valid=0.3, test=0.3)).rows
    assert (placed.dropna(subset="at").groupby("at")[files.SIDE].nunique() == 1).all()
    assert placed.loc[placed["at"].isna(), files.SIDE].isna().all()
    spans = placed.groupby(files.SIDE)["at"].agg(["min", "max"])
    present = [side for side in files.SIDES if side in spans.index]
    for older, newer in pairwise(present):
        assert spans.loc[older, "max"] < spans.loc[newer, "min"]


def test_a_time_that_is_missing_everywhere_is_told():
    table = pd.DataFrame({"at": pd.Series([pd.NaT] * 5), "x": 1, "y": 1})
    with pytest.raises(DataError, match=r"split\.column: 'at' has no value in any row"):
        split(table, TimeSplit(by="time", column="at"))


def test_a_split_by_column_takes_the_named_values_and_leaves_the_others(tmp_path):
    fold = ["a"] * 500 + ["b"] * 300 + ["c"] * 100 + [None] * 50
    table = people(950).assign(fold=fold)
    by = ColumnSplit(by="column", column="fold", train=("a",), test=("b",), valid=0.2)
    placed = split(table, by, id="id").rows
    assert set(placed.loc[placed["fold"] == "b", files.SIDE]) == {"test"}
    assert set(placed.loc[placed["fold"] == "a", files.SIDE]) == {"train", "valid"}
    assert placed.loc[~placed["fold"].isin(["a", "b"]), files.SIDE].isna().all()
    sides = sides_of(table, by, tmp_path, id="id")
    assert sum(map(len, sides.values())) == 800
    assert len(sides["valid"]) == pytest.approx(100, abs=30)


def test_a_split_by_column_may_name_numbers():
    table = people(200).assign(year=[2022] * 90 + [2023] * 60 + [2024] * 50)
    placed = split(table, ColumnSplit(by="column", column="year", train=(2022, "2023"), test=(2024,)), id="id").rows
    assert placed.loc[placed["year"] == 2024, files.SIDE].eq("test").all()
    assert placed.loc[placed["year"] < 2024, files.SIDE].isin(["train", "valid"]).all()


DAY = pd.to_datetime(["2022-01-31"] * 90 + ["2023-02-28"] * 60 + ["2024-03-31 17:00"] * 50, format="ISO8601")
NAMED = {
    "years that became real numbers": ([2022.0] * 90 + [2023.0] * 60 + [2024.0] * 50, (2022, "2023"), ("2024.0",)),
    "years in a column with a gap": ([2022, None] * 75 + [2024] * 50, (2022,), (2024,)),
    "years that are texts": (["2022"] * 90 + ["2023.0"] * 60 + ["2024"] * 50, (2022, 2023), (2024.0,)),
    "days of times": (DAY, ("2022-01-31", date(2023, 2, 28)), ("2024-03-31",)),
    "a time": (DAY, ("2022-01-31", "2023-02-28"), (datetime(2024, 3, 31, 17),)),
    "months": (DAY, ("2022-01", "2023-02"), ("2024-03",)),
    "years of days": (DAY.date, (2022, 2023), ("2024",)),
    "truth values": ([True] * 150 + [False] * 50, ("True",), ("false",)),
    "truth values that are texts": (["True"] * 150 + ["False"] * 50, ("true",), ("FALSE",)),
    "numbers with a part": ([0.5] * 150 + [2.25] * 50, (0.5,), ("2.25",)),
    "numbers wider than a double": ([2**62 + 1] * 150 + [2**62 + 2] * 50, (2**62 + 1,), (str(2**62 + 2),)),
}


@pytest.mark.parametrize(("cells", "train", "test"), NAMED.values(), ids=NAMED)
def test_a_named_value_is_found_however_the_column_holds_it(cells, train, test):
    table = people(200).assign(of=cells)
    by = ColumnSplit.model_validate({"by": "column", "column": "of", "train": train, "test": test})
    placed = split(table, by, id="id").rows
    assert placed[files.SIDE].eq("test").tolist() == [False] * 150 + [True] * 50


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (
            [2022.0] * 150 + [2024.0] * 50,
            "split.test: 2025 is in no row of 'of', which holds '2022' (150 rows), '2024'",
        ),
        (DAY.date, "holds '2022-01-31' (90 rows), '2023-02-28' (60 rows), '2024-03-31' (50 rows)"),
        (["2022"] * 200, "holds '2022' (200 rows)"),
        ([None] * 200, "split.train: 2022 is in no row of 'of', which holds no value at all"),
        (
            [f"c{i}" for i in range(199)] + ["2022"],
            "holds '2022' (1 rows), 'c0' (1 rows), 'c1' (1 rows), 'c10' (1 rows), 'c100'",
        ),
    ],
)
def test_a_named_value_that_is_in_no_row_is_told_with_what_the_column_holds(cells, told):
    by = ColumnSplit(by="column", column="of", train=(2022,), test=(2025,))
    with pytest.raises(DataError, match=re.escape(told)):
        split(people(200).assign(of=cells), by, id="id")


def test_a_row_that_is_named_for_both_sides_is_refused():
    by = ColumnSplit(by="column", column="of", train=(2022, 2024), test=("2024-03",))
    with pytest.raises(DataError, match=r"^split: train and test both name 50 rows of 'of'"):
        split(people(200).assign(of=DAY), by, id="id")


OFFICIAL = SourceSplit(by="source", train=("older", "old"), test=("new",), valid=0.2)


def test_a_split_by_source_keeps_the_official_test_rows_and_takes_valid_from_train(tmp_path):
    table = people(1_200)
    parts = {"older": table[:400], "old": table[400:900], "new": table[900:]}
    sides = sides_of(parts, OFFICIAL, tmp_path, id="id")
    assert sides["test"]["id"].tolist() == table["id"][900:].tolist()
    held_out = [twin(name) < 0.2 for name in table["id"][:900]]
    assert sorted(sides["valid"]["id"]) == sorted(table["id"][:900][held_out])
    assert len(sides["train"]) == 900 - sum(held_out)


def test_sources_are_laid_together_by_the_names_of_their_columns():
    older = pd.DataFrame({"a": ["x"], "b": ["p"], "y": [1]})
    old = pd.DataFrame({"y": [0], "b": ["q"], "a": ["z"]})
    new = pd.DataFrame({"a": ["w"], "y": [1]})
    rows = split({"older": older, "old": old, "new": new}, OFFICIAL).rows
    assert rows[["a", "b", "y"]].astype(object).where(rows[["a", "b", "y"]].notna(), None).to_numpy().tolist() == [
        ["x", "p", 1], ["z", "q", 0], ["w", None, 1],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "side"),
    [
        (HashSplit(train=0.98, valid=0.01, test=0.01), "valid|test"),
        (TimeSplit(by="time", column="age"), "train"),
    ],
)
def test_a_side_without_a_row_is_refused(by, side, tmp_path):
    table = people(30).assign(age=40)
    with pytest.raises(DataError, match=rf"^split: no row fell into ({side}); enlarge its share"):
        sides_of(table, by, tmp_path, id="id")


def test_the_sides_hold_every_row_once_and_in_order(tmp_path):
    table = people(150_000)
    sides = sides_of(table, HashSplit(), tmp_path, id="id")
    assert all(files.SIDE not in rows for rows in sides.values())
    for rows in sides.values():
        numbers = rows["id"].str[1:].astype(int)
        assert numbers.is_monotonic_increasing
    assert sorted(pd.concat(sides.values())["id"]) == sorted(table["id"])


def test_one_side_can_be_read_by_column(tmp_path):
    sides_of(people(300), HashSplit(), tmp_path, id="id")
    assert list(files.read_side(tmp_path, "test", ["y"])) == ["y"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"target": "defaultd"}, r"^data\.target: no column 'defaultd'; did you mean 'defaulted'\?"),
        ({"id": "applicant"}, r"^data\.id: no column 'applicant'; did you mean 'applicant_id'\?"),
        ({"truth": "prob"}, r"^data\.truth: no column 'prob'"),
        ({"drop": ("city", "agee")}, r"^data\.drop: no column 'agee'; did you mean 'age'\?"),
        ({"by": TimeSplit(by="time", column="appliedat")}, r"^split\.column: no column .* mean 'applied_at'\?"),
        ({"by": GroupSplit(by="group", columns=("cities",))}, r"^split\.columns: no column 'cities'; .*'city'\?"),
        ({"by": ColumnSplit(by="column", column="X", train=("a",), test=("b",))}, r"^split\.column: no column 'X'"),
        ({"target": "zzzz"}, "the columns are applicant_id, applied_at, city, age, defaulted$"),
    ],
)  # fmt: skip
def test_a_column_that_is_not_there_is_told_with_the_nearest_one(words, told):
    table = pd.DataFrame({"applicant_id": [1], "applied_at": [2], "city": "x", "age": 3, "defaulted": 1})
    with pytest.raises(DataError, match=told):
        split(table, **({"target": "defaulted"} | words))


@pytest.mark.parametrize("name", ["ratchet_side", "ratchet_group", "ratchet_source", "ratchet_x", "Ratchet_Side"])
def test_a_column_with_a_name_of_our_own_is_refused(name):
    with pytest.raises(DataError, match=rf"column '{name}'.*ratchet_ are Ratchet's own; rename it"):
        split(people(9).assign(**{name: 1}), id="id")


@pytest.mark.parametrize("name", ["ratchet_side", "ratchet_source", "Ratchet_Side"])
def test_a_column_with_a_name_of_our_own_in_an_official_file_is_refused(name):
    table = people(9).assign(**{name: 1})
    with pytest.raises(DataError, match=name):
        split({"older": table, "old": table, "new": table}, OFFICIAL, id="id")


def test_a_table_of_nothing_but_the_target_is_refused():
    with pytest.raises(DataError, match=r"no column beside the target 'y'.*read\.sep"):
        split(pd.DataFrame({"y": [1, 2]}))


NAMES = ["it's", 'say "hi"', "나이 (세)", "a.b", "two words", "select", "Y2", "1st", "a,b", "per%", "c;d", "--", "$1",
         "{x}", "a\nb", "😀", "order", " pad ", "*"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_column_may_have_any_name(name, tmp_path):
    table = pd.DataFrame({name: range(200), "other": "x", "y": 1})
    for by in (HashSplit(), GroupSplit(by="group", columns=(name,)), TimeSplit(by="time", column=name)):
        assert sides_of(table, by, tmp_path)["test"][name].dtype.kind in "if"
    assert split(table, id=name).side_of(name)[7] == side_by_twin("7", HashSplit())
    assert split(table.assign(**{name: "x"}), target=name).targets == [("x", 200)]


@given(name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
@example(name="VALUE")
@example(name="n")
@example(name="\uf900")
@quick
def test_any_text_can_be_the_name_of_a_column(name):
    name = unicodedata.normalize("NFC", name)  # a table of our own names its columns so; files are composed when read
    assume(name.lower() not in ("y", "other") and not name.lower().startswith("ratchet_"))
    placed = split(pd.DataFrame({name: [1.5, 2.5], "other": "x", "y": 1}), id=name)
    assert placed.rows[name].tolist() == [1.5, 2.5]
    assert placed.kinds == {name: "number", "other": "text", "y": "number"}


def test_rows_without_a_target_are_left_out_and_counted():
    table = people(10).assign(y=[1, None, 0, None, None, 1, 1, 1, 0, 1])
    placed = split(table, id="id")
    assert placed.missing_targets == 3
    assert placed.rows["id"].tolist() == ["p0", "p2", "p5", "p6", "p7", "p8", "p9"]
    assert placed.targets == [(1, 5), (0, 2)]


def test_a_target_that_is_nan_is_a_missing_one(tmp_path):
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0], "y": [0.5, float("nan"), None]}), tmp_path / "a.parquet")
    table = Table("rows", "a.parquet", "", Read(), files=(tmp_path / "a.parquet",))
    with files.workspace(tmp_path, [table]) as db:
        files.gather(db, Data(sources={"rows": ANYWHERE}, target="y"), HashSplit(), tmp_path / "rows.parquet")
        assert files.keep_targets(db, "y", tmp_path / "rows.parquet") == (2, [(0.5, 1)])


def test_columns_keep_what_they_mean():
    table = pd.DataFrame(
        {
            "whole": [1, 2], "real": [1.5, None], "truth": [True, False], "word": ["a", None],
            "day": [date(2024, 1, 2)] * 2, "at": pd.to_datetime(["2024-01-02 03:04", None]),
            "kind": pd.Categorical(["x", "y"]), "y": [7, 8],
        }
    )  # fmt: skip
    placed = split(table)
    assert placed.kinds == {
        "whole": "number", "real": "number", "truth": "text", "word": "text", "day": "date", "at": "date",
        "kind": "text", "y": "number",
    }  # fmt: skip
    assert placed.rows["whole"].dtype == float
    assert placed.rows["y"].dtype.kind == "i"
    assert placed.rows["truth"].tolist() == ["true", "false"]
    assert placed.rows["kind"].tolist() == ["x", "y"]


BUYERS = pd.DataFrame({"id": range(50), "city": ["서울", "Busan"] * 25, "y": [0, 1] * 25})
ORDERS = pd.DataFrame({"buyer": [number % 40 for number in range(400)], "price": range(400)})
JOIN = "SELECT b.*, o.price FROM buyers b JOIN orders o ON b.id = o.buyer"


def joined(query: str, **more) -> Split:
    return split({"buyers": BUYERS, "orders": ORDERS}, query=query, **more)


def test_a_query_joins_two_sources():
    expected = BUYERS.merge(ORDERS, left_on="id", right_on="buyer")[["id", "city", "y", "price"]]
    found = joined(JOIN).rows[["id", "city", "y", "price"]]
    pd.testing.assert_frame_equal(
        found.sort_values("price", ignore_index=True),
        expected.sort_values("price", ignore_index=True),
        check_dtype=False,
    )


@pytest.mark.parametrize(
    "query", [JOIN + ";", JOIN + "\n-- a remark", f"-- a remark\n{JOIN}", f"WITH t AS ({JOIN}) FROM t"]
)
def test_a_query_may_be_written_as_people_write_them(query):
    assert len(joined(query).rows) == 400


def test_a_query_may_aggregate():
    query = "SELECT b.id, b.y, sum(o.price) AS spent FROM buyers b LEFT JOIN orders o ON b.id = o.buyer GROUP BY ALL"
    spent = joined(query, id="id").rows.set_index("id")["spent"]
    assert spent[3] == ORDERS.loc[ORDERS["buyer"] == 3, "price"].sum()
    assert spent[list(range(40, 50))].isna().all()


@pytest.mark.parametrize(
    "query",
    [
        f"{JOIN}; SELECT 1",
        "COPY buyers TO '{folder}/stolen.csv'",
        "ATTACH '{folder}/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA version",
        "PRAGMA enable_profiling",
        "SET memory_limit = '1GB'",
        "DROP VIEW buyers",
        "CREATE TABLE stolen AS SELECT 1",
        "INSERT INTO buyers VALUES (1, 'x', 1)",
        "DELETE FROM buyers",
        "EXPLAIN SELECT 1",
        "CALL pragma_version()",
        "EXPORT DATABASE '{folder}/all'",
        "SELECT 1; COPY buyers TO '{folder}/stolen.csv'",
        " ",
        ";",
    ],
)
def test_a_query_that_is_not_one_select_is_refused(query, tmp_path):
    with pytest.raises(DataError, match=r"^data\.query: .*(one SELECT and nothing else|Parser Error)"):
        joined(query.replace("{folder}", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM buyers) ; CREATE TABLE stolen AS SELECT 1; SELECT * FROM (SELECT * FROM buyers",
        "SELECT * FROM buyers) UNION ALL (SELECT * FROM buyers",
        "SELECT * FROM buyers) ; COPY (SELECT 1) TO '{folder}/stolen.csv' ; SELECT * FROM (SELECT * FROM buyers",
        "WITH t AS (INSERT INTO buyers VALUES (1, 'x', 1) RETURNING *) SELECT * FROM t",
    ],
)
def test_a_query_cannot_break_out_of_its_brackets(query, tmp_path):
    with pytest.raises(DataError, match=r"^data\.query: "):
        joined(query.replace("{folder}", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "table",
    [
        "read_csv('{secret}')", "'{secret}'", "read_text('{secret}')", "read_blob('{secret}')", "glob('{folder}/*')",
        "read_csv('{inside}/../secret.csv')", "read_csv('https://example.org/a.csv')", "read_parquet('s3://a/b.parquet')",
        "sniff_csv('{secret}')", "read_json('{secret}')", "query('SELECT * FROM ''{secret}''')",
        "read_csv('file://{secret}')", "read_csv(['{secret}'])", "read_csv('/proc/self/environ')",
        "parquet_metadata('{secret}')", "read_csv('secret.csv')", "sqlite_scan('{secret}', 't')",
    ],
)  # fmt: skip
def test_a_query_reads_nothing_but_the_sources(table, tmp_path, monkeypatch):
    secret, inside = tmp_path / "secret.csv", tmp_path / "inside"
    secret.write_text("content,y\nhunter2,1\n")
    inside.mkdir()
    monkeypatch.chdir(tmp_path)
    table = table.format(secret=secret, folder=tmp_path, inside=inside)
    with pytest.raises(DataError, match=r"^data(\.query)?: ") as told:
        joined(f"SELECT *, 1 AS y FROM {table}", folder=inside)
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{outside}/stolen.csv'",
        "ATTACH '{outside}/other.db'",
        "ATTACH '{outside}/other.db' (TYPE sqlite)",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{outside}/evil.duckdb_extension'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET lock_configuration = false",
        "RESET lock_configuration",
        "EXPORT DATABASE '{outside}/all'",
        "SELECT * FROM read_text('/etc/passwd')",
    ],
)
def test_the_connection_itself_is_locked_whatever_sql_reaches_it(sql, tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    outside.mkdir()
    with files.workspace(inside, []) as db, pytest.raises(duckdb.Error):
        db.execute(sql.format(outside=outside))
    assert list(outside.iterdir()) == []


def test_a_frame_of_the_program_is_no_table_of_the_query():
    stolen = pd.DataFrame({"a": [1], "y": [1]})
    assert len(stolen) == 1
    with pytest.raises(DataError, match="stolen"):
        joined("SELECT * FROM stolen")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT cty, y FROM buyers", '"cty" not found.*"city"'),
        ("SELECT * FROM buyer", "buyer does not exist.*buyers"),
        ("SELEC * FROM buyers", "syntax error"),
        ("SELECT * FROM buyers JOIN orders", ""),
    ],
)
def test_a_wrong_query_is_told_in_one_line(query, told):
    with pytest.raises(DataError, match=rf"^data\.query: .*{told}") as refused:
        joined(query)
    assert len(str(refused.value).splitlines()) == 1


def table_with_ties(count: int) -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(5)
    rows = pd.DataFrame(
        {"key": random.integers(0, 300, count), "x": random.random(count), "at": random.integers(0, 9, count)}
    )
    return {"rows": rows.assign(y=1), "more": pd.DataFrame({"key": range(300), "city": "x"})}


@pytest.mark.parametrize(
    ("by", "more"),
    [
        (HashSplit(), {}),
        (HashSplit(), {"id": "key"}),
        (GroupSplit(by="group", columns=("key",)), {}),
        (TimeSplit(by="time", column="at"), {}),
    ],
    ids=["hash", "id that repeats", "group", "time"],
)
def test_rows_of_a_join_come_in_the_same_order_whatever_order_the_sources_have(by, more):
    tables = table_with_ties(30_000)
    query = "SELECT * FROM rows JOIN more USING (key)"
    first = split(tables, by, query=query, **more).rows
    tables["rows"] = tables["rows"].sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(split(tables, by, query=query, **more).rows, first)


def test_rows_of_one_time_come_in_the_same_order_each_time():
    rows, by = table_with_ties(150_000)["rows"], TimeSplit(by="time", column="at")
    first = split(rows, by).rows
    pd.testing.assert_frame_equal(split(rows, by).rows, first)
    pd.testing.assert_frame_equal(split(rows.sample(frac=1, random_state=1), by).rows, first)


def test_rows_of_one_table_keep_its_order():
    rows = table_with_ties(200_000)["rows"].assign(id=range(200_000))
    assert split(rows, id="id").rows["id"].tolist() == list(range(200_000))
    assert split(rows, GroupSplit(by="group", columns=("key",))).rows["id"].tolist() == list(range(200_000))


@pytest.mark.parametrize("text", ["it's", "'", "''", "", "a\\'b", "한글", "\n"])
def test_a_literal_is_the_text_and_nothing_more(text):
    assert duckdb.sql(f"SELECT {files.literal(text)}").fetchall() == [(text,)]


@given(st.text(string.printable.replace("\0", ""), min_size=1))
def test_a_quoted_name_is_the_name_and_nothing_more(name):
    assert re.fullmatch(r'"([^"]|"")*"', files.quoted(name))
    assert files.quoted(name)[1:-1].replace('""', '"') == name


def test_what_spilled_to_disk_is_gone_afterwards(tmp_path):
    split(people(1_000), folder=tmp_path)
    assert not (tmp_path / "spill").exists()


@pytest.mark.parametrize(
    "late",
    [
        "2.5",
        "inf",
        "nan",
        "9007199254740993",
        "99999999999999999999",
        "words",
        "2024-01-02 10:00:00",
        "",
        "007",
        "00",
        "+7",
        "1_000",
        " 7",
        "7 ",
        "-0",
        ".5",
        "5.",
        "1e3",
        "1E-05",
        "0.50",
        "-",
        "1.2.3",
    ],
)
@pytest.mark.parametrize("early", ["7", "2.5", "2024-01-02", "2024-01-02 10:00:00", "", "word"])
def test_types_seen_in_the_first_rows_are_held_against_all_others(
    early: str, late: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "SEEN_ROWS", 20)
    cells = [*[early] * 40, late, early]
    source = tmp_path / "table.csv"
    source.write_text("a,y\n" + "".join(f"{cell},{i % 2}\n" for i, cell in enumerate(cells)))
    table = Table("rows", "table.csv", "", Read(), (source,))
    found = []
    for from_sample in (True, False):
        with files.workspace(tmp_path / "work", [table], from_sample) as db:
            task = Data(sources={"rows": ANYWHERE}, target="y")
            kinds = files.gather(db, task, HashSplit(), tmp_path / "work" / "rows.parquet", [table])
        read = pq.read_table(tmp_path / "work" / "rows.parquet")
        found.append((kinds, read))
    assert found[0][0] == found[1][0]
    assert found[0][1].schema.equals(found[1][1].schema)
    assert found[0][1].equals(found[1][1])
