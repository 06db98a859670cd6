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


def test_a_file_of_one_source_of_a_join_is_scored_in_its_place(ratchet: Callable[..., Told], workplace: Path) -> None:
    people = ["who,plan,age,churn", *(f"{n},{'ab'[n % 2]},{20 + n % 50},{int(n % 2 == n % 7 % 2)}" for n in range(300))]
    (workplace / "people.csv").write_text("\n".join(people))
    (workplace / "plans.csv").write_text("plan,price\na,9\nb,12\n")
    (workplace / "join.yaml").write_text("""
name: join
data:
  sources: {people: {uris: [people.csv]}, plans: {uris: [plans.csv]}}
  query: SELECT people.*, price * age AS due FROM people JOIN plans USING (plan)
  target: churn
  id: who
search: {models: [xgboost], trials: 1, folds: 2, max_rounds: 20}
gates: {staging: [{size_mb: 100}], production: [{size_mb: 100}]}
""")
    assert ratchet("run", "-c", "join.yaml", "--json").code == 0
    words = ("score", "-c", "join.yaml", "--input", "people.csv", "--output", "answers.csv")
    told = ratchet(*words)
    assert (told.code, "no column 'due', which the model reads" in told.err) == (1, True)
    assert "data.query makes it: say --as-source people or plans" in told.err
    assert ratchet(*words, "--as-source", "people").code == 0
    answers = pd.read_csv(workplace / "answers.csv")
    assert len(answers) == 300
    assert answers["due"][0] == 9 * 20
    (workplace / "older.csv").write_text("who,plan,age,churn\n1,a,20,0\n2,b,20.5,0\n")
    told = ratchet("score", "-c", "join.yaml", "--input", "older.csv", "--output", "o.csv", "--as-source", "people")
    assert told.code == 1
    assert "older.csv: age: '20.5' is no whole number, as all cells were at train; data.sources.people" in told.err
