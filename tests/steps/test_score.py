"""Files of rows with a cell far down that is of another kind than those before it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ratchet.adapters import delimited
from ratchet.adapters.synthetic import credit
from tests.conftest import Told

ROWS, FAR = 6_000, 5_000


@pytest.fixture
def scored(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Told]:
    """Score applicants of whom one, far down, has another cell."""
    monkeypatch.setattr(delimited, "SEEN_ROWS", 200)
    config = task_file()
    assert ratchet("run", "-c", config, "--json").code == 0

    def score(column: str, cell: str) -> Told:
        rows = credit(ROWS, seed=5).astype({column: object})
        rows.loc[FAR - 1, column] = cell
        rows.to_csv(workplace / "rows.csv", index=False)
        return ratchet("score", "-c", config, "--input", "rows.csv", "--output", "answers.csv")

    return score


def test_a_real_number_below_whole_ones_is_a_number(scored: Callable[..., Told], workplace: Path) -> None:
    told = scored("age", "41.5")
    assert told.code == 0, told.err
    answers = pd.read_csv(workplace / "answers.csv")
    assert len(answers) == ROWS
    assert answers["age"][FAR - 1] == 41.5
    assert answers["probability"].notna().all()


def test_a_word_below_numbers_is_named_with_its_row(scored: Callable[..., Told], workplace: Path) -> None:
    told = scored("age", "old")
    assert told.code == 1
    assert "row 5,000: 'age' is 'old', not a number; if it is missing, leave it empty" in told.err
    assert not list(workplace.glob("*answers*"))
