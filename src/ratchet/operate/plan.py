"""What the main job would do: which steps, on how many rows, about how long, with how much memory."""

from typing import Any

from ratchet.adapters import files, records, registry
from ratchet.stages import PRODUCTION
from ratchet.steps import evaluate, preprocess, train
from ratchet.steps.inputs import digest_of
from ratchet.steps.session import Session

# Rough figures of one laptop core, only to tell a minute from an hour.
CELLS_PER_S = 4_000_000
ROUNDS = 250
TEXTS_PER_S = 9_000


def plan(session: Session) -> dict[str, Any]:
    """Return the steps with their state, the rows and features, and rough bounds of time and memory."""
    task, client = session.task, session.client
    known = records.find_finished(client, "preprocess", digest_of(preprocess.inputs(session)))
    if known:
        about = records.read_json(client, known, "about.json")
        rows, columns = sum(about["sides"].values()), len(about["features"]) + len(about["formulas"])
    else:
        rows, columns = _look(session)
    trained = records.find_finished(client, "train", digest_of(train.inputs(session)))
    champion = registry.in_stage(client, task.name, PRODUCTION)
    judged = records.find_finished(client, "evaluate", digest_of(evaluate.inputs(session, champion)))
    reused = {"preprocess": bool(known), "train": bool(trained), "evaluate": bool(judged), "promote": False}
    search_s = 0.0 if trained and not session.force else min(_search_s(session, rows, columns), task.search.timeout_s)
    width = 2 ** (task.features.hash_bits + 1) if task.features.kind == "text" else columns
    table_bytes = rows * (600 if task.features.kind == "text" else columns * 4)
    return {
        "task": task.name,
        "sources": [{"name": table.name, "origin": table.origin} for table in session.tables],
        "rows": rows,
        "columns": columns,
        "steps": [{"step": s, "state": "reused" if r and not session.force else "runs"} for s, r in reused.items()],
        "trials": task.search.trials,
        "train_at_most_s": task.search.timeout_s,
        "about_s": round(10 + rows / 200_000 + search_s),
        "about_mb": round(600 + (table_bytes * 4 + width * 16) / 1e6),
    }


def _look(session: Session) -> tuple[int, int]:
    """Count rows and columns without writing them."""
    with session.work_folder() as folder, files.workspace(folder, session.tables) as db:
        columns = files.attach_all(db, session.task.data, session.task.split)
        rows = db.execute("SELECT count(*) FROM ratchet_rows").fetchall()[0][0]
    return int(rows), len(columns)


def _search_s(session: Session, rows: int, columns: int) -> float:
    search = session.task.search
    fits = search.trials * search.folds
    if session.task.features.kind == "text":
        return rows / TEXTS_PER_S + fits * rows / (10 * TEXTS_PER_S)
    return fits * (0.05 + rows * columns * ROUNDS / (CELLS_PER_S * 100)) / max(1, search.jobs)
