"""What the gateway was asked is on record as it was, but for what must not be there."""

import math
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratchet.adapters import captured, joined
from ratchet.adapters.capturekey import capture_key
from ratchet.adapters.joined import Prediction
from ratchet.errors import ConfigError
from ratchet.serving.recorder import Recorder
from ratchet.serving.routes import Call
from ratchet.serving.sensitive import WITHHELD, Sensitive
from ratchet.settings import Settings
from ratchet.taskfile import load

AT = 1777816800.25  # 2026-05-03T14:00:00.250000Z
Begin = Callable[..., Recorder]


@pytest.fixture
def begin(tmp_path: Path):
    made = []

    def begun(serving: str = "{}", **how: Any) -> Recorder:
        file = tmp_path / "task.yaml"
        file.write_text(f"name: credit\ndata: {{sources: {{rows: {{uris: [rows.csv]}}}}, target: y, id: person}}\n"
                        f"serving: {serving}\n")  # fmt: skip
        settings = Settings("", f"sqlite:///{tmp_path / 'ratchet.db'}", (), tmp_path / ".ratchet")
        made.append(Recorder(load(file), settings, **({"flush_s": 0.02} | how)))
        return made[-1]

    yield begun
    for each in made:
        each.close()


def call(*rows: dict[str, Any], **more: Any) -> Call:
    told: dict[str, Any] = {
        "request_id": "a", "at": AT, "version": 3, "arm": "champion", "status": 200, "latency_ms": 2.5, "rows": rows,
        "entities": ("anna",) * len(rows), "positions": tuple(range(len(rows))),
        "answers": ({"label": "No"},) * len(rows),
    }  # fmt: skip
    return Call(**told | more)


def kept(recorder: Recorder) -> list[Prediction]:
    recorder.close()
    return [row for batch in joined.between(recorder.engine(), "credit") for row in batch]


def test_each_row_of_a_call_is_on_record_with_its_answer(begin: Begin) -> None:
    recorder = begin()
    answers = ({"label": "No", "probability": 0.25}, {"label": "Yes", "probability": 0.75})
    recorder.record(call({"age": 31, "job": "광부"}, {"age": None, "job": ""}, entities=("anna", None),
                         positions=(4, 9), answers=answers, arm="challenger", rollout=2))  # fmt: skip
    first, second = kept(recorder)
    assert (first.request_id, first.row, first.at, first.entity) == ("a", 4, "2026-05-03T14:00:00.250000Z", "anna")
    assert (first.version, first.arm, first.rollout, first.latency_ms) == (3, "challenger", 2, 2.5)
    assert (first.inputs, first.answer) == ({"age": 31, "job": "광부"}, answers[0])
    assert (second.row, second.entity, second.inputs, second.answer) == (9, "a", {"age": None, "job": ""}, answers[1])
    assert (recorder.seen, recorder.recorded, recorder.sent, recorder.lost, recorder.waiting) == (2, 2, 2, 0, 0)


def test_a_call_that_failed_is_on_record_without_an_answer(begin: Begin) -> None:
    recorder = begin()
    recorder.record(call({"age": 1}, answers=(), status=500, problem="the model failed"))
    recorder.record(call(request_id="b", status=504, problem="too slow"))
    first, second = kept(recorder)
    assert (first.status, first.answer, first.problem, first.inputs) == (500, None, "the model failed", {"age": 1})
    assert (second.status, second.answer, second.inputs, second.entity) == (504, None, None, "b")


def test_a_number_that_json_has_no_word_for_is_missing(begin: Begin) -> None:
    recorder = begin()
    recorder.record(call({"a": math.nan, "b": math.inf, "c": "x\0y", "d": "\ud800"}))
    ((row,),) = [kept(recorder)]
    assert row.inputs == {"a": None, "b": None, "c": "x\N{REPLACEMENT CHARACTER}y", "d": "?"}


def test_without_capture_calls_are_counted_and_nothing_is_kept(begin: Begin, tmp_path: Path) -> None:
    recorder = begin("{capture: false}")
    recorder.record(call({"age": 1}, {"age": 2}))
    recorder.close()
    assert (recorder.seen, recorder.recorded, recorder.sent, recorder.lost) == (2, 0, 0, 0)
    assert not (tmp_path / ".ratchet").exists() and not (tmp_path / "ratchet.db").exists()


def test_a_sensitive_field_is_kept_as_the_same_hash_each_time_or_not_at_all(begin: Begin) -> None:
    recorder = begin("{sensitive: {age: hash, job: drop, person: hash, gone: hash}}")
    answer = {"label": "No", "probability": 0.5, "reasons": [{"text": "age = 31"}]}
    for name, problem in (("a", "age 31 is odd"), ("b", "of anna"), ("c", "the model failed")):
        recorder.record(call({"age": 31, "job": "miner", "city": "Ulm", "gone": None}, request_id=name,
                             problem=problem, answers=(answer,)))  # fmt: skip
    rows = kept(recorder)
    assert {tuple(row.inputs or ()) for row in rows} == {("age", "city", "gone")}
    assert len({row.inputs["age"] for row in rows if row.inputs}) == len({row.entity for row in rows}) == 1
    assert all(row.inputs and len(row.inputs["age"]) == 64 and row.inputs["gone"] is None for row in rows)
    assert [row.problem for row in rows] == [WITHHELD, WITHHELD, "the model failed"]
    assert all(row.answer == {"label": "No", "probability": 0.5} for row in rows)


def test_a_warning_is_kept_unless_it_is_of_a_sensitive_field() -> None:
    sensitive = Sensitive({"age": "drop"}, b"key")
    age, city = ({"column": name, "warning": "unseen"} for name in ("age", "city"))
    assert sensitive.answer({"label": "No", "warnings": [age, city]}) == {"label": "No", "warnings": [city]}
    assert sensitive.answer({"label": "No", "warnings": [age]}) == {"label": "No"}


def test_a_hash_needs_its_key() -> None:
    first, other = (Sensitive({"a": "hash"}, key, "a") for key in (b"one", b"two"))
    assert first.hashed("31") == first.hashed(31) != other.hashed("31")
    assert first.entity_of("anna") == first.hashed("anna")


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RATCHET_CAPTURE_KEY", raising=False)
    made = capture_key(tmp_path / "home")
    assert len(made) == 64 and capture_key(tmp_path / "home") == made
    (file,) = (tmp_path / "home").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.setenv("RATCHET_CAPTURE_KEY", "a key of the environment")
    assert capture_key(tmp_path / "home") == b"a key of the environment"
    monkeypatch.setenv("RATCHET_CAPTURE_KEY", "short")
    with pytest.raises(ConfigError, match="RATCHET_CAPTURE_KEY: has 5 characters"):
        capture_key(tmp_path / "home")


def test_what_is_older_than_the_retention_is_deleted(begin: Begin) -> None:
    recorder = begin("{retention_days: 1}")
    captured.append_loss(recorder.engine(), "credit", 1, "killed", "a")
    recorder.record(call({"age": 1}, request_id="old", at=AT - 86_400 * 30))
    kept(recorder)
    again = begin("{retention_days: 1}")
    for _ in range(200):
        if not list(joined.between(again.engine(), "credit")):
            break
        time.sleep(0.02)
    assert list(joined.between(again.engine(), "credit")) == []
    assert len(captured.losses(again.engine(), "credit")) == 1
