"""JSON records as sources."""

import bz2
import gzip
import json
from datetime import date

import pandas as pd
import pytest

from ratchet.errors import DataError
from tests.adapters.reading import look

RECORDS = [
    {"name": "한글", "code": "007", "amount": 1.5, "count": 3, "day": "2024-01-05", "yes": True, "tags": ["a"], "y": 0},
    {"name": None, "code": "8", "amount": 2, "count": None, "day": "2024-02-06", "yes": False, "tags": [], "y": 1},
    {"code": "", "y": 0},
]
CELLS = [
    ["한글", "007", 1.5, 3, date(2024, 1, 5), "true", "[a]", 0],
    [None, "8", 2, None, date(2024, 2, 6), "false", "[]", 1],
    [None, "", None, None, None, None, None, 0],
]
LINES = "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS)


@pytest.mark.parametrize("from_sample", [False, True])
@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("rows.jsonl", LINES.encode()),
        ("ROWS.NDJSON", LINES.encode("utf-8-sig")),
        ("rows.jsonl.gz", gzip.compress(LINES.encode())),
        ("rows.jsonl.bz2", bz2.compress(LINES.encode())),
        ("rows.json", json.dumps(RECORDS, indent=2).encode()),
    ],
)
def test_records_are_read_with_types_that_hold_for_all_of_them(name, raw, from_sample, tmp_path):
    (tmp_path / name).write_bytes(raw)
    seen = look(tmp_path, name, from_sample=from_sample)
    assert seen.cells == CELLS
    assert seen.kinds["tags"] == "nested" and seen.kinds["code"] == "text"


def test_keys_of_20_digits_are_texts_and_values_of_several_kinds_too(tmp_path):
    lines = [
        '{"k": 89823000000000000001, "m": 1, "n": {"x": 1}, "y": 0}',
        '{"k": 89823000000000000002, "m": "x", "n": "s", "y": 1}',
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    seen = look(tmp_path, "rows.jsonl")
    assert seen.rows["k"].tolist() == ["89823000000000000001", "89823000000000000002"]
    assert seen.rows["m"].tolist() == ["1", "x"]
    assert seen.kinds == {"k": "text", "m": "text", "n": "nested", "y": "number"}


def test_what_pandas_writes_by_default_is_refused_and_the_mend_works(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "y": [0, 1]})
    frame.to_json(tmp_path / "rows.json")
    with pytest.raises(
        DataError, match=r"rows\.json: is one object, .* df\.to_json\(…, orient='records', lines=True\)"
    ):
        look(tmp_path, "rows.json")
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    assert look(tmp_path, "rows.jsonl").cells == [[1, 0], [2, 1]]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("rows.jsonl", '{"a": 1, "y": 0}\n{"a": }\n', r"rows\.jsonl: line 2: no JSON: Expecting value"),
        ("rows.json", '[{"a": 1, "y": 0},\n {"a": ]', r"rows\.json: line 2, column 8: no JSON"),
        ("rows.jsonl", "", r"rows\.jsonl: is empty"),
        ("rows.jsonl", "[1, 2]", r"no column 'y'"),
    ],
)
def test_what_is_no_record_is_named_with_its_line(name, text, fault, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=fault):
        look(tmp_path, name)


def test_the_parts_of_a_partitioned_table_of_records_keep_their_keys(tmp_path):
    for code in ("007", "8"):
        (tmp_path / "in" / f"code={code}").mkdir(parents=True)
        (tmp_path / "in" / f"code={code}" / "part.jsonl").write_text('{"a": 1, "y": 0}\n{"a": 2, "y": 1}\n')
    assert look(tmp_path, "in").rows["code"].tolist() == ["007", "007", "8", "8"]
