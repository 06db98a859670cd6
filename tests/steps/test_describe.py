"""What the list of runs, a run's page and a version's page say to somebody who sees them for the first time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratchet.adapters import records, tracking
from ratchet.core import notes
from ratchet.settings import Settings
from tests.conftest import Told

QUICK = {"models": ["linear"], "trials": 2, "folds": 2}
QUESTION = "Will this applicant default?"
IMPOSSIBLE = {"staging": [{"metric": "roc_auc", "minimum": 0.9999}]}


@pytest.fixture
def client(workplace: Path) -> Any:
    return tracking.client(Settings.from_env())


def runs(client: Any, step: str) -> list[Any]:
    """The runs of a step, oldest first."""
    return records.find(client, f"tags.`{records.STEP}` = '{step}'", 100)[::-1]


def test_the_list_of_runs_tells_them_apart_and_a_refusal_is_no_failure(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = task_file(search=QUICK, problem={"question": QUESTION})
    first = ratchet("run", "-c", config, "--json")
    assert first.code == 0, first.err
    assert ratchet("run", "-c", config, "--seed", 8, "--trials", 3).code == 0
    refused = ratchet("run", "-c", task_file(search=QUICK, problem={"question": QUESTION}, gates=IMPOSSIBLE))
    assert refused.code == 1
    one, two, three = runs(client, "main")
    score = f"roc_auc {first.json['metrics']['roc_auc']:.4f}"
    assert one.info.run_name == f"small · {score} · version 1 in Production"
    assert two.info.run_name.startswith("small · seed 8, trials 3 · roc_auc 0.")
    assert three.info.run_name.endswith(f"{score} · refused")
    assert "gates.staging changed" in three.info.run_name
    assert {run.info.status for run in (one, two, three)} == {"FINISHED"}
    assert three.data.tags["ratchet.verdict"] == "refused"
    assert "roc_auc" in three.data.tags["ratchet.reasons"]
    promoted = runs(client, "promote")[-1]
    assert (promoted.info.status, promoted.info.run_name) == ("FINISHED", "promote · refused")
    assert "ratchet.error" not in three.data.tags
    _its_page_says_what_was_found(one, three)
    _its_list_compares(one)
    _versions_say_how_far_they_are(client)
    _the_experiment_says_what_is_asked(client)
    _under_mlflow_run_it_is_the_same(ratchet, config, client, monkeypatch)


def _its_page_says_what_was_found(passed: Any, refused: Any) -> None:
    note = passed.data.tags["mlflow.note.content"]
    assert note.startswith(QUESTION)
    assert "| metric | model | 95 % interval | rule | dummy |" in note
    assert "| Production | max_drop | **pass** |" in note
    assert "#/models/small/versions/1" in note
    assert "Staging refused" in refused.data.tags["mlflow.note.content"]


def _its_list_compares(run: Any) -> None:
    figures, params = run.data.metrics, run.data.params
    assert figures["test_roc_auc_low"] < figures["test_roc_auc"] < figures["test_roc_auc_high"]
    assert figures["dummy_roc_auc"] == 0.5
    assert params["search.trials"] == "2"
    assert "search.seed" not in params, "what is the default says nothing"
    assert not any(name.startswith("data.sources") for name in params), "an address may hold a password"
    assert [data.dataset.name for data in run.inputs.dataset_inputs] == ["applicants"]


def _versions_say_how_far_they_are(client: Any) -> None:
    found = {v.version: v for v in client.search_model_versions("name = 'small'")}
    said = {int(number): version.tags["validation_status"] for number, version in found.items()}
    assert said == {1: "failed", 2: "approved"}, "the third run made the model of the first one"
    text = found[min(found)].description
    assert text.startswith(QUESTION)
    assert text.count("Ledger entry") == 1


def _the_experiment_says_what_is_asked(client: Any) -> None:
    tags = client.get_experiment_by_name("small").tags
    assert tags["mlflow.note.content"] == QUESTION
    assert tags["mlflow.experiment.primaryMetric.name"] == "test_roc_auc"
    assert tags["mlflow.experiment.primaryMetric.greaterIsBetter"] == "True"
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def _under_mlflow_run_it_is_the_same(
    ratchet: Callable[..., Told], config: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = client.get_experiment_by_name("small").experiment_id
    client.set_experiment_tag(experiment, "mlflow.note.content", "somebody's own words")
    opened = client.create_run(experiment, run_name="bold-name-42")
    client.log_param(opened.info.run_id, "trials", "")
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    assert ratchet("run", "-c", config, "--trials", 4).code == 1
    found = client.get_run(opened.info.run_id)
    assert found.info.run_name.startswith("small · trials 4 · roc_auc 0.")
    assert (found.info.status, found.data.tags["ratchet.verdict"]) == ("FINISHED", "refused")
    assert client.get_experiment(experiment).tags["mlflow.note.content"] == "somebody's own words"


def test_a_run_of_one_step_bears_its_task_and_what_it_found(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], client: Any
) -> None:
    assert ratchet("train", "-c", task_file(search=QUICK)).code == 0
    (train,), (prepared,) = runs(client, "train"), runs(client, "preprocess")
    assert train.info.run_name.startswith("small · train · linear · cv roc_auc 0.")
    assert prepared.info.run_name == "preprocess · 1,500 rows"
    assert "`linear`, roc_auc 0." in train.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("former", "now", "told"),
    [
        (None, {"search.trials": "20"}, ""),
        ({"search.trials": "20"}, {"search.trials": "20"}, ""),
        ({"search.trials": "20"}, {}, "trials 40"),
        ({}, {"data.digest": "abc"}, "other data"),
        ({}, {"features.derive.x": '"a / b"'}, "features.derive.x a / b"),
        ({"features.derive.x": '"a / b"'}, {}, "no features.derive.x"),
        ({}, {f"search.p{n}": str(n) for n in range(5)}, "p0 0, p1 1, p2 2 +2"),
    ],
)
def test_what_changed_is_told_in_few_words(former: Any, now: dict[str, str], told: str) -> None:
    assert notes.changed(former, now, {"search.trials": "40"} | now) == told


def test_a_pipe_in_a_gates_sentence_breaks_no_table() -> None:
    gate = {"stage": "Staging", "kind": "minimum", "verdict": "pass", "sentence": "f1 where a|b\n0.5"}
    assert notes.gates([gate]).splitlines()[-1] == "| Staging | minimum | **pass** | f1 where a\\|b 0.5 |"
    assert json.dumps(notes.gates([])) == '""'
