"""What differs between two versions: each section says what changed, or why it cannot be told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from ratchet.adapters import synthetic
from tests.conftest import Told

SEARCH = {"models": ["xgboost"], "trials": 2, "folds": 2, "max_rounds": 40}
Ratchet = Callable[..., Told]


@pytest.fixture
def versions(ratchet: Ratchet, task_file: Callable[..., Path], workplace: Path) -> Path:
    """Versions 1 and 2 of a task: for the second there are more rows, a new column, and a dearer missed default."""
    rows = synthetic.credit(1500, 3, "first")
    data: dict[str, Any] = {
        "sources": {"applicants": {"uris": ["rows.csv"]}}, "target": "defaulted", "positive": 1, "id": "applicant_id",
        "drop": ["applied_at", "probability_of_default"],
    }  # fmt: skip
    rows.to_csv(workplace / "rows.csv", index=False)
    path = task_file(data=data, search=SEARCH, decision={"cost": {"false_positive": 1, "false_negative": 2}})
    assert ratchet("promote", "-c", path, "--to", "staging").code == 0
    more = synthetic.credit(1700, 3, "first")
    more.assign(score=range(len(more))).to_csv(workplace / "rows.csv", index=False)
    path = task_file(data=data, search=SEARCH, decision={"cost": {"false_positive": 1, "false_negative": 9}})
    assert ratchet("promote", "-c", path, "--to", "staging").code == 0
    return path


def test_every_section_says_what_changed(ratchet: Ratchet, versions: Path, workplace: Path) -> None:
    found = ratchet("diff", "-c", versions, 1, 2, "--json").json
    assert found["versions"] == [1, 2]
    assert found["config"]["changed"] == {"decision.cost.false_negative": ["2.0", "9.0"]}
    assert not found["data"]["same"]
    assert (found["data"]["gone"], found["data"]["new"]) == ([], ["score"])
    assert sum(rows[1] for rows in found["data"]["rows"].values()) == 1700
    assert not found["code"]["files"] and found["packages"]["changed"] == {}
    first, second = found["metrics"]["values"]["roc_auc"]
    assert first != second
    told = found["predictions"]
    assert (told["rows"], told["of_version"], told["is_identical"]) == (200, 2, False)
    assert told["largest"] > 0 and 0 < told["decided"] < 1, "missed defaults became dearer"
    shown = ratchet("diff", "-c", versions, 1, 2)
    assert shown.code == 0, shown.err
    for words in ("decision.cost.false_negative", "column score", "roc_auc", "decided otherwise", "packages: the same"):
        assert words in shown.out

    same = ratchet("diff", "-c", versions, 2, 2, "--json").json
    assert same["config"]["changed"] == same["model"]["changed"] == {}
    assert same["data"]["same"] and same["predictions"]["is_identical"]

    # Back on the older rows the newer model finds no column of its own; and an older release kept no recipe.
    client = mlflow.MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    run = client.get_model_version("small", "2").run_id
    (Path(client.get_run(run).info.artifact_uri) / "recipe.json").unlink()
    older = ratchet("diff", "-c", versions, 1, 2, "--json").json
    assert "without a recipe" in older["config"]["unknown"] and "without a recipe" in older["data"]["unknown"]
    assert "version 2 reads the column 'score', which the rows do not have" in older["predictions"]["unknown"]
    assert older["metrics"] == found["metrics"]
    told_again = ratchet("diff", "-c", versions, 1, 2)
    assert told_again.code == 0 and "config: an older release" in told_again.out

    missing = ratchet("diff", "-c", versions, 1, 3)
    assert missing.code == 1 and "small: there is no version 3" in missing.err
