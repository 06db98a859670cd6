"""What a model is made of, as its train run keeps it: enough to fit it again without a search, and to see what differs.

`recipe.json` holds the whole task, the configuration that was chosen, digests of the data and the code, and what of
the machine decides the last bits; `predictions.parquet` what the model says of a sample of the test rows.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ratchet import __version__
from ratchet.adapters import files, git, machine, records
from ratchet.adapters.registry import Version
from ratchet.adapters.sources import Table
from ratchet.adapters.study import Trial
from ratchet.errors import DataError
from ratchet.scoring.predict import load
from ratchet.steps.bench import Bench
from ratchet.steps.inputs import PACKAGE, code_of, key_of
from ratchet.steps.preprocess import Prepared

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECIPE, PREDICTIONS = "recipe.json", "predictions.parquet"
FORMAT = 1
SAMPLE_ROWS, ROW = 200, "row"
LOCK = "requirements.lock"


def read(client: "MlflowClient", version: Version) -> dict[str, Any] | None:
    """Return the recipe of a version; None where an older release trained it, or its train run has lost it."""
    found: dict[str, Any] | None = records.read_json_if_there(client, run_of(version), RECIPE)
    return found


def run_of(version: Version) -> str:
    """Return the id of the run that trained a version."""
    return version.tags.get("ratchet.train_run", version.run_id)


def write(folder: Path, bench: Bench, best: Trial, code: Iterable[str]) -> dict[str, Any]:
    """Write the recipe into the folder; return it. code: files and folders of the package that the model depends on."""
    prepared, task = bench.prepared, bench.task.model_dump(mode="json")
    found = {
        "format": FORMAT,
        "ratchet": __version__,
        "commit": git.commit() or "unknown",
        "origin": git.origin(),
        "task": task,
        "trial": asdict(best),
        "digests": {
            "config": key_of((), task),
            "data": prepared.about["data_digest"],
            "split": prepared.about["split_digest"],
            "lock": lock_digest(),
        },
        "sources": prepared.about["sources"],
        "preprocess_run": prepared.run_id,
        "seed": bench.last.seed,
        "threads": bench.last.threads,
        "device": bench.last.device,
        "variables": machine.variables(),
        "machine": machine.facts(),
        "code": {name.removeprefix("code "): digest for name, digest in code_of(code).items()},
    }
    (folder / RECIPE).write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    return found


def write_predictions(folder: Path, scorer: Path, prepared: Prepared) -> None:
    """Write what the model in the scorer's folder says of a sample of the test rows, with their places in test."""
    rows = prepared.rows("test", most=SAMPLE_ROWS)
    places = files.sampled(prepared.about["sides"]["test"], SAMPLE_ROWS)
    told = pd.DataFrame({ROW: places, **load(scorer / "state").columns(rows)})
    told.to_parquet(folder / PREDICTIONS, index=False)


def require_data(recipe: dict[str, Any], tables: Iterable[Table]) -> None:
    """Raise DataError, a line for each source whose content is not that of the recipe."""
    here = {table.name: table for table in tables}
    changed = [
        f"data.sources.{was['name']}: {here[was['name']].origin} has changed: its sha256 is"
        f" {here[was['name']].digest[:12]}…, the version was trained on {was['sha256'][:12]}… ({was['origin']});"
        " put that file where RATCHET_DATA looks first"
        for was in recipe["sources"]
        if here[was["name"]].digest != was["sha256"]
    ]
    if changed:
        raise DataError("\n".join(changed))


def lock_digest() -> str:
    """Return the digest of requirements.lock beside the source; unknown where Ratchet is installed without it."""
    lock = PACKAGE.parents[1] / LOCK
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "unknown"
