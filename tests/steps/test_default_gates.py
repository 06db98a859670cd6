"""What closes every task's stages, what opens them, and how far behind the champion a version may be by default."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ratchet.adapters import records, tracking
from ratchet.settings import Settings
from tests.conftest import Told

Write = Callable[..., Path]
Ratchet = Callable[..., Told]
QUICK = {"models": ["linear"], "trials": 1, "folds": 2}


@pytest.fixture
def table(tmp_path: Path, task_file: Write) -> Callable[..., Path]:
    """The task of a table, without gates of its own."""

    def write(rows: pd.DataFrame, target: str, **sections: Any) -> Path:
        rows.to_csv(tmp_path / "rows.csv", index=False)
        data = {"sources": {"rows": {"uris": [str(tmp_path / "rows.csv")]}}, "target": target}
        return task_file(data=data | sections.pop("data", {}), search=QUICK, **{"gates": {}} | sections)

    return write


def bank(rows: int = 1200) -> pd.DataFrame:
    """Calls of a bank, of which the duration is known only when the answer is."""
    rng = np.random.default_rng(1)
    yes = rng.random(rows) < 0.3
    return pd.DataFrame({
        "age": rng.integers(18, 90, rows), "balance": (rng.normal(1000, 500, rows) + 400 * yes).round(),
        "duration": np.where(yes, rng.integers(300, 900, rows), rng.integers(5, 301, rows)),
        "y": np.where(yes, "yes", "no"),
    })  # fmt: skip


def bike(rows: int = 1200) -> pd.DataFrame:
    """Rides of a day, which are those of two kinds of riders."""
    rng = np.random.default_rng(2)
    warm = rng.uniform(0, 1, rows).round(3)
    casual, registered = rng.poisson(20 + 90 * warm), rng.poisson(100 + 200 * warm)
    return pd.DataFrame({"temp": warm, "casual": casual, "registered": registered, "cnt": casual + registered})


def why(ratchet: Ratchet) -> str:
    return str(ratchet("ledger", "--json").json["entries"][-1]["why"])


@pytest.mark.parametrize(
    ("rows", "target", "column", "words"),
    [
        (bank(), "y", "duration", "leak: duration alone predicts the target (1.000)"),
        (bike(), "cnt", "casual + registered", "leak: casual + registered together make up the target (1.000)"),
    ],
)
def test_a_leak_closes_the_stages_until_it_is_accepted_with_a_reason_that_the_ledger_keeps(
    rows: pd.DataFrame, target: str, column: str, words: str, table: Write, ratchet: Ratchet
) -> None:
    told = ratchet("run", "-c", table(rows, target), "--json")
    assert told.code == 1
    assert f"Staging refused: {words}; is it known beforehand?" in told.json["error"]
    leak = next(gate for gate in told.json["gates"] if gate["kind"] == "leak")
    assert (leak["verdict"], leak["subject"], leak["accepted"]) == ("fail", column, "")
    assert ratchet("promote", "-c", table(rows, target), "--dry-run").code == 1
    reason = "known at the time of the call"
    config = table(rows, target, gates={"accept": [{"gate": "leak", "column": column, "reason": reason}]})
    told = ratchet("run", "-c", config, "--json")
    assert told.code == 0, told.err
    assert told.json["stage"] == "Production"
    assert why(ratchet) == f"accepted leak {column}: {reason}"
    assert reason in ratchet("ledger").out.replace("\n", " ") or "known at the" in ratchet("ledger").out
    version = ratchet("status", "-c", config, "--json").json["versions"][0]
    assert version["told"].endswith(f"accepted: {reason}")


def test_a_leak_closes_the_stages_whatever_somebody_wrote_to_the_run_of_preprocess(
    table: Write, ratchet: Ratchet
) -> None:
    config = table(bank(), "y")
    assert ratchet("run", "-c", config).code == 1
    client = tracking.client(Settings.from_env())
    (prepared,) = records.find(client, f"tags.`{records.STEP}` = 'preprocess'", 10)
    file = records.fetch(client, prepared.info.run_id, "about.json")
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"leaks": []}), encoding="utf-8")
    told = ratchet("promote", "-c", config)
    assert told.code == 1
    assert "leak: duration alone predicts the target (1.000)" in told.err


def test_a_leak_of_what_is_derived_and_one_that_a_version_still_reads_close_too(table: Write, ratchet: Ratchet) -> None:
    derived = {"data": {"drop": ["casual", "registered"]}, "features": {"derive": {"riders": "casual + registered"}}}
    told = ratchet("run", "-c", table(bike(), "cnt", **derived))
    assert told.code == 1
    assert "leak: riders alone predicts the target (1.000)" in told.err
    # A file that drops the column is no way to Production for a model that reads it.
    told = ratchet("promote", "-c", table(bike(), "cnt", data={"drop": ["casual", "registered"]}), "--version", 1)
    assert told.code == 1
    assert "leak: riders alone predicts the target (1.000)" in told.err


def test_a_score_that_is_too_good_is_a_leak_although_no_column_is(table: Write, ratchet: Ratchet) -> None:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"a": rng.normal(size=4000), "b": rng.normal(size=4000)})
    rows["y"] = (rows["a"] + rows["b"] > 0).astype(int)
    rows = rows[(rows["a"] + rows["b"]).abs() > 0.2]
    told = ratchet("run", "-c", table(rows, "y"))
    assert told.code == 1
    assert "leak: roc_auc 1.0000 on" in told.err and "is too good to be true" in told.err
    accept = {"accept": [{"gate": "leak", "metric": "roc_auc", "reason": "it is a law"}]}
    assert ratchet("run", "-c", table(rows, "y", gates=accept)).code == 0
    assert why(ratchet) == "accepted leak roc_auc: it is a law"


def test_a_refuted_hypothesis_closes_the_stages_and_one_that_is_open_does_not(
    task_file: Write, ratchet: Ratchet
) -> None:
    def task(minimum: float, **gates: Any) -> Path:
        stated = {"text": "it is nearly perfect", "metric": "roc_auc", "minimum": minimum}
        return task_file(problem={"hypothesis": stated}, search=QUICK, gates=gates)

    told = ratchet("run", "-c", task(0.995), "--json")
    assert told.code == 1
    assert "Staging refused: the hypothesis (it is nearly perfect) is refuted: roc_auc 0." in told.json["error"]
    assert "{gate: hypothesis, reason: …}" in told.json["error"]
    figure = told.json["metrics"]["roc_auc"]
    config = task(0.995, accept=[{"gate": "hypothesis", "reason": "a first version, for the pilot"}])
    assert ratchet("run", "-c", config).code == 0
    assert why(ratchet) == "accepted hypothesis: a first version, for the pilot"
    told = ratchet("promote", "-c", task(round(figure, 3)), "--dry-run", "--json")
    assert told.code == 0
    assert [gate["verdict"] for gate in told.json["gates"] if gate["kind"] == "hypothesis"] == ["pass", "pass"]


def test_an_acceptance_of_what_is_no_leak_is_told(table: Write, ratchet: Ratchet) -> None:
    accept = {"accept": [{"gate": "leak", "column": "durration", "reason": "x"}]}
    told = ratchet("run", "-c", table(bank(), "y", gates=accept))
    assert told.code == 1
    assert "gates.accept[0]: no leak 'durration' was found; did you mean 'duration'?" in told.err
    told = ratchet("run", "-c", table(bank(), "y", gates={"accept": [{"gate": "leak", "column": "duration"}]}))
    assert told.code == 1
    assert "gates.accept.0.reason: missing" in told.err


def test_without_gates_a_version_that_is_much_worse_than_the_champion_is_refused(
    task_file: Write, ratchet: Ratchet
) -> None:
    assert ratchet("run", "-c", task_file(search=QUICK, gates={})).code == 0
    data = {"sources": {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=3"]}}, "target": "defaulted",
            "positive": 1, "id": "applicant_id", "truth": "probability_of_default",
            "drop": ["applied_at", "age", "income", "employment_years", "occupation", "education", "housing",
                     "utilisation", "late_payments", "months_with_bank"]}  # fmt: skip
    told = ratchet("run", "-c", task_file(data=data, search=QUICK, gates={}), "--json")
    assert told.code == 1
    (keeps,) = [gate for gate in told.json["gates"] if gate["kind"] == "keeps_up"]
    assert keeps["verdict"] == "fail"
    assert "- 0.02)" in keeps["sentence"]


@pytest.mark.parametrize(
    ("days", "verdict", "words"),
    [
        (-400, "fail", "days) 400"),
        (-3, "pass", "days) 3"),
        (0.5, "pass", "days) 0.0"),  # a clock or a time zone ahead
        (400, "fail", "age of the data is not known: the newest row is of"),
    ],
)
def test_rows_from_the_future_are_of_no_age(
    days: float, verdict: str, words: str, table: Write, ratchet: Ratchet
) -> None:
    newest = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=days)
    rows = bank(400).drop(columns="duration")
    rows["called_at"] = [newest - timedelta(days=ago) for ago in range(len(rows))]
    split = {"by": "time", "column": "called_at"}
    config = table(rows, "y", split=split, gates={"staging": [{"age_days": 30}], "production": []})
    told = ratchet("promote", "-c", config, "--to", "staging", "--dry-run", "--json")
    age = told.json["gates"][0]
    assert (age["kind"], age["verdict"]) == ("age_days", verdict), age
    assert words in age["sentence"]


def test_a_stated_period_that_is_not_over_says_nothing_of_the_age(table: Write, ratchet: Ratchet) -> None:
    data = {"collected": {"period": f"2020/{datetime.now(UTC).year + 1}"}}
    config = table(bank(400).drop(columns="duration"), "y", data=data, gates={"staging": [{"age_days": 30}]})
    age = ratchet("promote", "-c", config, "--to", "staging", "--dry-run", "--json").json["gates"][0]
    assert age["verdict"] == "insufficient"
    assert "to come; end it at the newest row" in age["sentence"]


def test_the_size_of_a_model_is_that_of_its_files_whatever_its_run_says(table: Write, ratchet: Ratchet) -> None:
    from ratchet.adapters import records, tracking
    from ratchet.settings import Settings

    gates = {"staging": [{"size_mb": 0.001}], "production": []}
    config = table(bank(400).drop(columns="duration"), "y", gates=gates)
    assert ratchet("evaluate", "-c", config).code == 0
    client = tracking.client(Settings.from_env())
    run_id = records.last_finished(client, "small", "train")
    client.log_metric(run_id or "", "model_bytes", -1.0)
    assert (
        ratchet("promote", "-c", config, "--to", "staging", "--dry-run", "--json").json["gates"][0]["verdict"] == "fail"
    )
