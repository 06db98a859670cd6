"""Fit a recorded configuration again: no search, no server, no registry. What `ratchet reproduce` runs in old code.

Every release keeps this command as it is: RECIPE in, and in the folder `scorer/`, `predictions.parquet` and a
`recipe.json` of what was found here.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ratchet.adapters import gpu, sources
from ratchet.adapters.study import Trial
from ratchet.config import Task
from ratchet.errors import RatchetError
from ratchet.settings import Settings
from ratchet.steps import fit, package, preprocess, recipe, train
from ratchet.steps.bench import Bench
from ratchet.steps.preprocess import Prepared

WORK = "work"


def refit(known: Path, folder: Path, settings: Settings, tell: Callable[[str], None]) -> dict[str, Any]:
    """Fit what a recipe says, into a new folder; return the recipe of what was made.

    Raises DataError if the sources are gone or have changed.
    """
    recorded: dict[str, Any] = json.loads(known.read_text(encoding="utf-8"))
    if recorded.get("format") != recipe.FORMAT:
        raise RatchetError(f"{known}: format {recorded.get('format')!r}, this release reads {recipe.FORMAT}")
    task = Task.model_validate(recorded["task"])
    gpu.require(task.search.device)
    tables = sources.located(task.data, settings, tell)
    recipe.require_data(recorded, tables)
    work = folder / WORK
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise RatchetError(f"{folder}: is there already; name a new folder") from None
    work.mkdir()
    about, _ = preprocess.prepare(task, tables, work)
    prepared = Prepared("", work / "splits", about)
    bench, best = Bench(task, prepared, recorded["threads"]), Trial(**recorded["trial"])
    package.write(folder / "scorer", fit.fit(bench, best).scorer, prepared)
    recipe.write_predictions(folder, folder / "scorer", prepared)
    found = recipe.write(folder, bench, best, train.MADE_BY)
    shutil.rmtree(work)
    return found
