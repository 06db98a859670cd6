"""What is on record, read from PostgreSQL itself and from the bucket, past every server."""

from collections import Counter
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from ratchet.operate.stack import BUCKET, Stack

PASSWORDS = {"mlflow": "MLFLOW_DB_PASSWORD", "ratchet_scientist": "RATCHET_SCIENTIST_PASSWORD"}


def rows(stack: Stack, query: str, database: str = "mlflow") -> list[tuple[Any, ...]]:
    """The answer of a database to a query."""
    role = "mlflow" if database == "mlflow" else "ratchet_scientist"
    address = stack.cluster.url(database, role, stack.secrets[PASSWORDS[role]])
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def files(stack: Stack) -> list[str]:
    """The names in the bucket, by Google's own client."""
    from google.cloud import storage

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{stack.ports.bucket}")
        return [blob.name for blob in storage.Client(project="ratchet").list_blobs(BUCKET)]


def runs_of(stack: Stack, task: str, step: str) -> dict[str, str]:
    """The runs of a task's step that are not deleted: id -> status."""
    return dict(
        rows(
            stack,
            "SELECT run_uuid, status FROM runs JOIN experiments USING (experiment_id) JOIN tags USING (run_uuid)"
            f" WHERE experiments.name = '{task}' AND runs.lifecycle_stage = 'active'"
            f" AND tags.key = 'ratchet.step' AND tags.value = '{step}'",
        )
    )


def check_trials(stack: Stack, task: str, budget: int) -> None:
    """Exactly the budget, in Optuna and in MLflow; nothing twice, nothing left open, nothing missing."""
    study = f"SELECT state FROM trials JOIN studies USING (study_id) WHERE study_name LIKE '{task}-%'"
    states = Counter(state for (state,) in rows(stack, study, "ratchet"))
    assert states["COMPLETE"] + states["PRUNED"] == budget, states
    assert not states["RUNNING"], states
    trials = runs_of(stack, task, "trial")
    finished = [run for run, status in trials.items() if status == "FINISHED"]
    assert len(finished) == budget, Counter(trials.values())
    for step in ("trial", "train", "preprocess", "main"):
        assert "RUNNING" not in runs_of(stack, task, step).values(), step
    numbers = dict(rows(stack, "SELECT run_uuid, value FROM tags WHERE key = 'ratchet.trial'"))
    assert len({numbers[run] for run in trials}) == len(trials), "a trial is there twice"
    seconds = dict(rows(stack, "SELECT run_uuid, count(*) FROM metrics WHERE key = 'seconds' GROUP BY 1"))
    assert {seconds.get(run) for run in trials} == {1}
