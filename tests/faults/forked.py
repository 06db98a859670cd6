"""The real command in a process of its own, forked from one that has the libraries loaded: seconds become tenths."""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FORK = multiprocessing.get_context("forkserver")
LOADED = ["ratchet.cli", "ratchet.console", "ratchet.taskfile", "ratchet.steps.main", "ratchet.steps.score", "mlflow",
          "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store",
          "mlflow.data.code_dataset_source", "mlflow.data.meta_dataset", "opentelemetry.sdk.trace", "optuna", "duckdb",
          "matplotlib.figure", "matplotlib.backends.backend_agg", "xgboost", "sklearn.linear_model"]  # fmt: skip
FORK.set_forkserver_preload(LOADED)


@dataclass(frozen=True)
class Done:
    """How a command ended; a code below 0 is the signal that ended it."""

    returncode: int
    stdout: str
    stderr: str


def _main(words: list[str], place: Path, env: Mapping[str, str], out: Path, err: Path) -> None:
    os.chdir(place)
    os.environ.clear()
    os.environ.update(env)
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = words
    from ratchet import cli

    cli.main()


def run(words: list[str], place: Path, env: Mapping[str, str], timeout_s: float = 120) -> Done:
    """Run `ratchet …` in the folder to its end."""
    out, err = place.with_suffix(".out"), place.with_suffix(".err")
    process = FORK.Process(target=_main, args=(words, place, env, out, err))
    process.start()
    process.join(timeout_s)
    if process.exitcode is None:
        process.kill()
        process.join()
    said = [path.read_text(encoding="utf-8") if path.exists() else "" for path in (out, err)]
    return Done(process.exitcode if process.exitcode is not None else -9, *said)
