"""What callers may say of what came true, and how each slip is told."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.adapters import joined
from ratchet.adapters.captured import Outcome
from ratchet.serving import outcomes
from ratchet.serving.outcomes import FaultyError, Labels, checked
from ratchet.serving.recorder import Recorder
from ratchet.serving.routes import Call
from ratchet.settings import Settings
from ratchet.taskfile import load

NOW = datetime(2026, 5, 3, 14, tzinfo=UTC)
YES_NO, DIGITS, VALUES, ANY = Labels(("No", "Yes")), Labels((0, 1)), Labels(is_number=True), Labels()
MERGED, TRUTHS = Labels(("bill", "other"), merged="other"), Labels(("false", "true"))


@pytest.mark.parametrize(
    ("body", "labels", "is_read_as"),
    [
        ({"request_id": "a", "label": "Yes"}, YES_NO, Outcome("Yes", NOW, "a", 0)),
        ({"request_id": "a", "row": 4, "label": 1}, DIGITS, Outcome(1, NOW, "a", 4)),
        ({"request_id": "a", "label": "1"}, DIGITS, Outcome(1, NOW, "a", 0)),
        ({"request_id": "a", "label": 1.0}, DIGITS, Outcome(1, NOW, "a", 0)),
        ({"request_id": "a", "label": "1.0"}, DIGITS, Outcome(1, NOW, "a", 0)),
        ({"request_id": "a", "label": True}, DIGITS, Outcome(1, NOW, "a", 0)),
        ({"request_id": "a", "label": "true"}, DIGITS, Outcome(1, NOW, "a", 0)),
        ({"request_id": "a", "label": 1}, TRUTHS, Outcome("true", NOW, "a", 0)),
        ({"request_id": "a", "label": False}, TRUTHS, Outcome("false", NOW, "a", 0)),
        ({"request_id": "a", "label": "bill"}, MERGED, Outcome("bill", NOW, "a", 0)),
        ({"request_id": "a", "label": "fax"}, MERGED, Outcome("other", NOW, "a", 0)),
        ({"entity": "anna", "label": 2.5}, VALUES, Outcome(2.5, NOW, entity="anna")),
        ({"entity": 7, "label": True}, ANY, Outcome(True, NOW, entity="7")),
        ({"entity": "한나", "label": "좋아요", "at": "2026-05-03T22:00:00+09:00"}, ANY,
         Outcome("좋아요", datetime(2026, 5, 3, 13, tzinfo=UTC), entity="한나")),
        ({"entity": "a", "label": 0, "at": "2026-05-03T14:04:59Z"}, DIGITS,
         Outcome(0, datetime(2026, 5, 3, 14, 4, 59, tzinfo=UTC), entity="a")),
    ],
)  # fmt: skip
def test_an_outcome_is_read_as_it_is_meant(body: dict[str, Any], labels: Labels, is_read_as: Outcome) -> None:
    (found,) = checked(body, labels, NOW)
    assert found == is_read_as
    assert type(found.label) is type(is_read_as.label)
    assert checked([body, body], labels, NOW) == [is_read_as] * 2


@pytest.mark.parametrize(
    ("change", "labels", "told"),
    [
        ({"label": "Perhaps"}, YES_NO, ("label", "expected one of No, Yes")),
        ({"label": 2}, DIGITS, ("label", "expected one of 0, 1")),
        ({"label": "01"}, DIGITS, ("label", "expected one of 0, 1")),
        ({"label": [1]}, MERGED, ("label", "expected one of bill, other")),
        ({"label": None}, ANY, ("label", "is missing")),
        ({"label": "2"}, VALUES, ("label", "expected a number")),
        ({"label": float("nan")}, VALUES, ("label", "expected a number")),
        ({"label": 10**400}, VALUES, ("label", "expected a number")),
        ({"label": [1]}, ANY, ("label", "expected a text, a number, true or false")),
        ({"label": "x" * 201}, ANY, ("label", "expected a text of at most 200 characters")),
        ({"label": "\0"}, ANY, ("label", "expected a text of at most 200 characters")),
        ({"request_id": ""}, ANY, ("request_id", "expected a text of 1 to 200 characters")),
        ({"request_id": "\ud800"}, ANY, ("request_id", "expected a text of 1 to 200 characters")),
        ({"request_id": 3}, ANY, ("request_id", "expected a text of 1 to 200 characters")),
        ({"entity": "anna"}, ANY, ("", "expected either request_id or entity")),
        ({"row": -1}, ANY, ("row", "is for a request_id: the place of the row in it, 0 for the first")),
        ({"row": True}, ANY, ("row", "is for a request_id: the place of the row in it, 0 for the first")),
        ({"row": 2**31}, ANY, ("row", "is for a request_id: the place of the row in it, 0 for the first")),
        ({"at": "2026-05-03T14:00"}, ANY, ("at", "expected a time with its offset, as 2026-05-03T14:00:00Z")),
        ({"at": "soon"}, ANY, ("at", "expected a time with its offset, as 2026-05-03T14:00:00Z")),
        ({"at": 1777816800}, ANY, ("at", "expected a time with its offset, as 2026-05-03T14:00:00Z")),
        ({"at": "2026-05-03T14:05:01Z"}, ANY, ("at", "is more than 5 minutes in the future")),
        ({"at": "0001-01-01T00:00:00Z"}, ANY, ("at", "is before 1970")),
        ({"at": "0001-01-01T00:00:00+23:00"}, ANY, ("at", "expected a time with its offset, as 2026-05-03T14:00:00Z")),
        ({"lable": 1}, ANY, ("", "no field 'lable'; did you mean 'label'?")),
    ],
)
def test_a_slip_is_told_with_its_place(change: dict[str, Any], labels: Labels, told: tuple[str, str]) -> None:
    right = {"request_id": "a", "label": "No" if labels is YES_NO else 1}
    with pytest.raises(FaultyError) as alone:
        checked(right | change, labels, NOW)
    assert alone.value.faults == (told,)
    with pytest.raises(FaultyError) as among:
        checked([right, right | change], labels, NOW)
    path = f"outcomes[1].{told[0]}" if told[0] else "outcomes[1]"
    assert among.value.faults == ((path, told[1]),)
    assert str(among.value) == f"{path}: {told[1]}"


@pytest.mark.parametrize("body", [None, 3, "x", [], [{}] * 1_001, [3], {}, [[]], {"outcomes": []}])
def test_what_is_no_outcome_is_refused(body: object) -> None:
    with pytest.raises(FaultyError):
        checked(body, ANY, NOW)


def test_of_many_slips_the_first_are_told() -> None:
    with pytest.raises(FaultyError) as found:
        checked([{"entity": "a"}] * 900, ANY, NOW)
    assert len(found.value.faults) == 20


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(outcomes.FIELDS) | st.text(), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from([YES_NO, DIGITS, VALUES, ANY]))
def test_any_json_is_read_or_refused(body: Any, labels: Labels) -> None:
    with suppress(FaultyError):
        assert checked(body, labels, NOW)


@pytest.fixture
def recorder(tmp_path: Path):
    made = []

    def begin(sensitive: str = "{}") -> Recorder:
        file = tmp_path / "task.yaml"
        file.write_text(f"name: credit\ndata: {{sources: {{rows: {{uris: [rows.csv]}}}}, target: y, id: person}}\n"
                        f"serving: {{sensitive: {sensitive}}}\n")  # fmt: skip
        settings = Settings("", f"sqlite:///{tmp_path / 'ratchet.db'}", (), tmp_path / ".ratchet")
        made.append(Recorder(load(file), settings, flush_s=0.02))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.mark.parametrize("sensitive", ["{}", "{person: hash}"])
def test_an_outcome_finds_its_entity_also_where_it_is_hashed(recorder: Any, sensitive: str) -> None:
    kept = recorder(sensitive)
    kept.record(Call("a", NOW.timestamp(), 1, "champion", 200, 1.0, ({"x": 1},), ("anna",), (0,), ({"label": 0},)))
    kept.record(Call("b", NOW.timestamp(), 1, "champion", 200, 1.0, ({"x": 1},), (None,), (0,), ({"label": 0},)))
    said = [{"entity": "anna", "label": 1}, {"entity": "b", "label": 0}]
    assert outcomes.keep(kept, said, DIGITS) == {"accepted": 2, "corrected": 0, "repeated": 0}
    kept.close()
    rows = [row for batch in joined.between(kept.engine(), "credit") for row in batch]
    assert {row.request_id: row.outcome for row in rows} == {"a": 1, "b": 0}
    assert ("anna" in {row.entity for row in rows}) == (sensitive == "{}")


def test_an_entity_that_is_not_kept_has_no_outcomes(recorder: Any) -> None:
    kept = recorder("{person: drop}")
    with pytest.raises(FaultyError, match=r"outcomes\[1\]\.entity: is not kept \(serving\.sensitive\)"):
        outcomes.keep(kept, [{"request_id": "a", "label": 1}, {"entity": "anna", "label": 1}], DIGITS)
    assert outcomes.keep(kept, {"request_id": "a", "label": 1}, DIGITS)["accepted"] == 1
