"""Prune removes what nobody needs; what kept versions need to answer, go back and be built again stays."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratchet.adapters import models, records, registry, tracking
from ratchet.settings import Settings
from ratchet.steps import chronicle, recipe
from tests import moving
from tests.conftest import Told

OPEN = {"staging": [{"metric": "roc_auc", "minimum": 0.1}], "production": [{"metric": "roc_auc", "minimum": 0.1}]}
Ratchet = Callable[..., Told]


def split(train: float) -> dict[str, Any]:
    """Another split of the same data; with it the same model is another one."""
    rest = round((1 - train) / 2, 4)
    return {"by": "hash", "train": train, "valid": rest, "test": rest}


@pytest.fixture
def client(workplace: Path) -> Any:
    return tracking.client(Settings.from_env())


def splits(client: Any) -> dict[str, bool]:
    """Whether each run of preprocess, oldest first, still holds its splits."""
    found = records.find(client, f"tags.`{records.STEP}` = 'preprocess'", 100)[::-1]
    return {run.info.run_id: (Path(run.info.artifact_uri) / "splits").exists() for run in found}


def prune(ratchet: Ratchet, *words: object) -> Any:
    told = ratchet("prune", "--days", 0, "--json", *words)
    assert told.code == 0, told.err
    return told.json


def test_what_kept_versions_need_stays_and_a_second_prune_finds_nothing(
    ratchet: Ratchet, workplace: Path, client: Any
) -> None:
    config = moving.task_in(workplace, gates=OPEN)
    assert ratchet("run", "-c", config).code == 0
    assert ratchet("train", "-c", moving.task_in(workplace, split=split(0.6))).code == 0  # a model of no version
    for train in (0.5, 0.8):
        assert ratchet("run", "-c", moving.task_in(workplace, split=split(train), gates=OPEN)).code == 0
    assert ratchet("rollback", "-c", config).code == 0
    before, size = splits(client), files(workplace)
    shown = prune(ratchet)
    assert (splits(client), files(workplace)) == (before, size), "without --yes nothing changes"
    assert set(shown["kinds"]) == {"splits", "models of no version"}
    assert shown["kinds"]["splits"]["count"] == 1
    assert shown["bytes"] > 1000
    told = " ".join(f"{kept['name']} {kept['why']}" for kept in shown["kept"])
    assert "small version 2 it is in Production: its model, recipe and study, and splits of run" in told
    done = prune(ratchet, "--yes")
    assert done["removed"]
    assert files(workplace) < size
    assert list(splits(client).values()) == [True, False, True, True]
    assert not prune(ratchet)["items"], "a second prune finds nothing"
    _all_of_it_still_works(ratchet, config, workplace, client)
    again = ratchet("run", "-c", moving.task_in(workplace, split=split(0.6), gates=OPEN))
    assert again.code == 0, "what was removed is made again"


def files(place: Path) -> int:
    return sum(file.stat().st_size for file in (place / "mlruns").rglob("*") if file.is_file())


def _all_of_it_still_works(ratchet: Ratchet, config: Path, workplace: Path, client: Any) -> None:
    assert ratchet("rollback", "-c", config, "--to", 1).code == 0
    at = moving.session(config)
    for number in (1, 2, 3):
        version = registry.numbered(client, "small", number)
        assert recipe.read(client, version)
        with at.fetched(chronicle.model_of(at, version)) as folder:
            assert models.load_scorer(folder)
    used = moving.task_in(workplace)
    assert ratchet("evaluate", "-c", used).code == 0
    rows = splits_of(client)
    assert ratchet("score", "-c", used, "--input", rows, "--output", workplace / "a.csv").code == 0
    assert ratchet("ledger", "verify").code == 0
    assert ratchet("diff", "1", "2", "-c", used).code == 0
    assert ratchet("status", "-c", used).code == 0


def splits_of(client: Any) -> Path:
    version = registry.numbered(client, "small", 1)
    known = recipe.read(client, version)
    assert known
    return records.fetch(client, known["preprocess_run"], "splits") / "test.parquet"


def test_nothing_goes_that_is_young_or_that_a_command_works_with(
    ratchet: Ratchet, workplace: Path, client: Any
) -> None:
    for train in (0.6, 0.5):
        assert ratchet("preprocess", "-c", moving.task_in(workplace, split=split(train))).code == 0
    assert not ratchet("prune", "--json").json["items"], "a week has not passed"
    with moving.session(workplace / "small.yaml").opened("train"):
        busy = prune(ratchet, "--yes")
    assert not busy["items"]
    assert "a command works at it now" in json.dumps(busy["kept"])
    assert prune(ratchet, "--yes")["kinds"]["splits"]["count"] == 1


def test_leftovers_of_dead_processes_go_and_what_is_not_known_stays(ratchet: Ratchet, workplace: Path) -> None:
    home = workplace / ".ratchet"
    dead = "from pathlib import Path; from ratchet.adapters import places; import os, sys\n"
    dead += "with places.place(Path(sys.argv[1]), 'work-') as f: (f / 'rows').write_text('x' * 99); os._exit(9)"
    subprocess.run([sys.executable, "-c", dead, str(home)], check=False)
    (home / "work-old").mkdir()
    (home / "serve-5001.log").write_text("a line\n")
    (home / "cache" / "queries").mkdir(parents=True)
    (home / "cache" / "queries" / "abc.parquet").write_bytes(b"rows")
    (home / "notes.txt").write_text("somebody's own")
    (workplace / "data" / "my.part").parent.mkdir()
    (workplace / "data" / "my.part").write_text("somebody's own too")
    spool = home / "spool" / "0a1b2c3d" / "refused-of-1"
    spool.mkdir(parents=True)
    found = prune(ratchet, "--yes")
    kinds = {kind: each["count"] for kind, each in found["kinds"].items()}
    assert kinds == {"folders of processes that have ended": 2, "logs": 1, "copies of sources": 1}
    assert not [*home.glob("work-*"), *home.glob("*.log"), *home.glob("cache/queries/*")]
    assert (home / "notes.txt").exists()
    assert (workplace / "data" / "my.part").exists()
    assert str(spool) in {kept["name"] for kept in found["kept"]}
    assert not prune(ratchet)["items"]


def test_a_run_deleted_in_the_ui_is_erased_unless_a_version_comes_from_it(
    ratchet: Ratchet, workplace: Path, client: Any
) -> None:
    config = moving.task_in(workplace)
    assert ratchet("run", "-c", config).code == 0
    version = registry.numbered(client, "small", 1)
    judged = records.find(client, f"tags.`{records.STEP}` = 'promote'", 1)[0]
    mine = client.create_run(judged.info.experiment_id, run_name="not of Ratchet")
    for run_id in (version.run_id, mine.info.run_id):
        client.delete_run(run_id)
    trial = records.find(client, f"tags.`{records.STEP}` = 'trial'", 1)[0]
    client.delete_run(trial.info.run_id)
    client.delete_run(judged.info.run_id)  # what it wrote tells whether the ledger was changed since
    found = prune(ratchet, "--yes")
    assert [item["name"] for item in found["items"]] == [trial.info.run_id]
    assert client.get_run(version.run_id).info.lifecycle_stage == "deleted", "the champion's own run can be restored"
    assert client.get_run(mine.info.run_id).info.lifecycle_stage == "deleted", "what is not Ratchet's stays"


def test_a_model_that_is_a_version_under_another_name_stays(ratchet: Ratchet, workplace: Path, client: Any) -> None:
    for train in (0.6, 0.5):
        assert ratchet("train", "-c", moving.task_in(workplace, split=split(train))).code == 0
    older = records.find(client, f"tags.`{records.STEP}` = 'train'", 10)[-1]
    uri = older.data.tags[models.MODEL]
    assert prune(ratchet)["kinds"]["models of no version"]["count"] == 1
    client.create_registered_model("elsewhere")
    client.create_model_version("elsewhere", uri, model_id=uri.removeprefix("models:/"))
    assert "models of no version" not in prune(ratchet)["kinds"]


def test_people_read_what_would_go_and_how_to_have_it_go(ratchet: Ratchet, workplace: Path) -> None:
    for train in (0.6, 0.5):
        assert ratchet("preprocess", "-c", moving.task_in(workplace, split=split(train))).code == 0
    told = ratchet("prune", "--days", 0, "-c", workplace / "small.yaml")
    assert "nothing was removed; --yes removes" in told.out
    assert "splits" in told.out
