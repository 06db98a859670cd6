"""Stages, gates and the way back, on a real store."""

import signal
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from ratchet import taskfile
from ratchet.adapters import registry, tracking
from ratchet.config import override
from ratchet.console import Quiet
from ratchet.errors import GateRefused
from ratchet.settings import Settings
from ratchet.steps import evaluate, promote
from ratchet.steps.session import Session
from tests.conftest import Told


def stages(place: Path) -> dict[int, tuple[str, tuple[str, ...]]]:
    client = tracking.client(Settings.from_env())
    return {v.number: (v.stage, v.aliases) for v in registry.versions(client, "small")}


@pytest.fixture
def champion(ratchet: Callable[..., Told], task_file: Callable[..., Path]) -> Path:
    """A task whose version 1 is in Production."""
    config = task_file()
    assert ratchet("run", "-c", config, "--json").code == 0
    return config


def test_stage_and_alias_move_together_and_the_former_champion_is_archived(
    champion: Path, ratchet: Callable[..., Told], workplace: Path
) -> None:
    assert stages(workplace) == {1: ("Production", ("champion",))}
    assert ratchet("promote", "-c", champion, "--seed", 8, "--to", "staging", "--json").json["stage"] == "Staging"
    assert stages(workplace) == {1: ("Production", ("champion",)), 2: ("Staging", ("challenger",))}
    assert ratchet("promote", "-c", champion, "--seed", 8, "--json").json["version"] == 2
    assert stages(workplace) == {1: ("Archived", ()), 2: ("Production", ("champion",))}


def test_a_stop_in_the_middle_of_a_move_waits_for_its_end(
    champion: Path, ratchet: Callable[..., Told], workplace: Path
) -> None:
    ratchet("promote", "-c", champion, "--seed", 8, "--to", "staging", "--json")

    class Interrupted(mlflow.MlflowClient):
        def set_registered_model_alias(self, *words: str) -> None:
            signal.raise_signal(signal.SIGINT)
            super().set_registered_model_alias(*words)

    client = tracking.client(Settings.from_env())
    with pytest.raises(KeyboardInterrupt):
        registry.move(Interrupted(client.tracking_uri), registry.numbered(client, "small", 2), "Production")
    assert stages(workplace) == {1: ("Archived", ()), 2: ("Production", ("champion",))}


def test_a_version_is_promoted_by_its_number_also_when_the_task_has_moved_on(
    champion: Path, ratchet: Callable[..., Told], workplace: Path
) -> None:
    ratchet("promote", "-c", champion, "--seed", 8, "--to", "staging")
    ratchet("promote", "-c", champion, "--seed", 9, "--to", "staging")
    assert stages(workplace)[2] == ("Archived", ())
    told = ratchet("promote", "-c", champion, "--version", 2, "--comment", "the steadier one", "--json")
    assert (told.json["version"], told.json["stage"]) == (2, "Production")
    assert ratchet("ledger", "--json").json["entries"][-1]["why"] == "the steadier one"
    assert "there is no version 7" in ratchet("promote", "-c", champion, "--version", 7).err


def test_a_version_that_learned_from_another_split_is_not_judged_on_rows_that_it_may_have_seen(
    champion: Path, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    other = task_file(split={"by": "hash", "train": 0.6, "valid": 0.2, "test": 0.2})
    told = ratchet("promote", "-c", other, "--version", 1)
    assert told.code == 1
    assert "version 1: it learned from another split of the data" in told.err


def test_rollback_returns_to_the_former_champion(champion: Path, ratchet: Callable[..., Told], workplace: Path) -> None:
    ratchet("run", "-c", champion, "--seed", 8, "--json")
    told = ratchet("rollback", "-c", champion, "--json")
    assert told.json == {"task": "small", "from": 2, "to": 1}
    assert stages(workplace) == {1: ("Production", ("champion",)), 2: ("Archived", ())}
    again = ratchet("rollback", "-c", champion)
    assert again.code == 1
    assert "had no champion before it" in again.err
    forward = ratchet("run", "-c", champion, "--seed", 8)
    assert forward.code == 1
    assert "comes back by `ratchet rollback --to 2` alone" in forward.err
    assert ratchet("rollback", "-c", champion, "--to", 2, "--json").json == {"task": "small", "from": 1, "to": 2}


def test_the_same_run_again_does_nothing_twice(champion: Path, ratchet: Callable[..., Told], workplace: Path) -> None:
    told = ratchet("run", "-c", champion)
    assert told.code == 0
    assert "train reused" in told.err
    assert stages(workplace) == {1: ("Production", ("champion",))}


def test_a_refusal_lists_every_reason_with_its_figure_and_moves_nothing(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    gates = {
        "staging": [{"metric": "roc_auc", "minimum": 0.99}, {"metric": "log_loss", "maximum": 0.01}, {"beats": "dummy"}]
    }
    told = ratchet("run", "-c", task_file(gates=gates), "--json")
    assert told.code == 1
    assert "roc_auc 0." in told.json["error"]
    assert "< 0.9900 (fail)" in told.json["error"]
    assert "log_loss" in told.json["error"]
    assert "dummy" not in told.json["error"]
    assert stages(workplace) == {1: ("None", ())}


def test_a_champion_of_another_split_is_no_fair_comparison(
    champion: Path, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    other = task_file(split={"by": "hash", "train": 0.6, "valid": 0.2, "test": 0.2})
    told = ratchet("run", "-c", other)
    assert told.code == 1
    assert "insufficient" in told.err
    assert "another split" in told.err


def test_a_version_carries_where_it_comes_from(champion: Path, workplace: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    version = client.get_model_version("small", "1")
    for tag in ("commit", "data", "config", "lock", "split", "train_run", "evaluate_run", "model_id"):
        assert len(version.tags[f"ratchet.{tag}"]) >= 7, tag
    assert "test rows" in version.description


def test_status_shows_versions_stages_aliases_and_runs(champion: Path, ratchet: Callable[..., Told]) -> None:
    told = ratchet("status", "-c", champion, "--json")
    version = told.json["versions"][0]
    assert (version["version"], version["stage"], version["aliases"]) == (1, "Production", ["champion"])
    assert version["metrics"]["roc_auc"] > 0.6
    assert {"main", "train"} <= {run["step"] for run in told.json["runs"]}
    assert "Production" in ratchet("status", "-c", champion).out


def test_the_plan_tells_what_would_run_without_running_it(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    config = task_file()
    before = ratchet("run", "-c", config, "--plan", "--json").json
    assert [step["state"] for step in before["steps"]] == ["runs"] * 4
    assert before["rows"] == 1500
    assert ratchet("status", "-c", config, "--json").json["runs"] == []
    ratchet("train", "-c", config, "--json")
    after = ratchet("run", "-c", config, "--plan", "--json").json
    assert [step["state"] for step in after["steps"]] == ["reused", "reused", "runs", "runs"]
    ratchet("evaluate", "-c", config, "--json")
    judged = ratchet("run", "-c", config, "--plan", "--json").json
    assert [step["state"] for step in judged["steps"]] == ["reused", "reused", "reused", "runs"]


def test_an_evaluation_that_trained_the_model_itself_is_used_again(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    config = task_file()
    assert "evaluate done" in ratchet("evaluate", "-c", config).err
    assert "evaluate reused" in ratchet("evaluate", "-c", config).err


def test_a_champion_that_came_after_the_judgement_refuses_the_promotion(
    champion: Path, ratchet: Callable[..., Told], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(champion, seed=8)
    judged = evaluate.evaluate(session)
    assert judged.report["champion"]["version"] == 1
    assert ratchet("run", "-c", champion, "--seed", 9, "--json").json["version"] == 2
    monkeypatch.setattr(promote.evaluate, "evaluate", lambda *_: judged)
    with pytest.raises(GateRefused, match="version 2 came to Production after this one was judged"):
        promote.promote(session, promote.Asked())
    assert stages(workplace)[2] == ("Production", ("champion",))


def session_of(config: Path, seed: int) -> Session:
    settings = Settings.from_env()
    task = taskfile.load(config)
    task = task.model_copy(update={"search": override(task.search, seed=seed)})
    return Session(task, settings, tracking.client(settings), Quiet())


def test_an_alias_of_the_users_own_survives_every_move(
    champion: Path, ratchet: Callable[..., Told], workplace: Path
) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    client.set_registered_model_alias("small", "shadow", "1")
    ratchet("run", "-c", champion, "--seed", 8, "--json")
    assert stages(workplace)[1] == ("Archived", ("shadow",))


def test_a_champion_whose_column_is_gone_is_no_comparison(
    champion: Path, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    drop = ["applied_at", "probability_of_default"]
    sources = {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=3"]}}
    columns = "* EXCLUDE (utilisation)"
    data = {"sources": sources, "query": f"SELECT {columns} FROM applicants", "target": "defaulted", "positive": 1,
            "id": "applicant_id", "drop": drop}  # fmt: skip
    gates = {"staging": [{"beats": "dummy", "point": True}], "production": [{"metric": "roc_auc", "max_drop": 0.5}]}
    told = ratchet("run", "-c", task_file(data=data, gates=gates))
    assert told.code == 1
    assert "reads the column 'utilisation', which has gone or changed its kind" in told.err


def test_forced_training_searches_again(
    ratchet: Callable[..., Told], task_file: Callable[..., Path], workplace: Path
) -> None:
    config = task_file()
    for more in ((), ("--force",)):
        assert ratchet("train", "-c", config, *more, "--json").code == 0
    client = mlflow.MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert len(client.search_runs(experiments, "tags.`ratchet.step` = 'trial'")) == 6
