"""Where a minute of search goes: `python benchmarks/search_profile.py [SET]` profiles `train`, one trial at a time.

Own time is summed by package; what another thread does (the runs of trials are recorded beside the search) shows only
as waiting.
"""

import argparse
import cProfile
import os
import pstats
import tempfile
from collections import Counter
from pathlib import Path

from cells import head, machine
from search import SETS, session_of

PARTS = {
    "xgboost": "XGBoost: training, early stopping, margins",
    "sklearn": "scikit-learn: linear models",
    "optuna": "Optuna: what to try next, its storage",
    "sqlalchemy": "SQLAlchemy and SQLite: trials and runs",
    "sqlite3": "SQLAlchemy and SQLite: trials and runs",
    "mlflow": "MLflow: runs, model, artifacts",
    "matplotlib": "matplotlib: plots",
    "ratchet": "Ratchet itself",
}


def part_of(file: str, function: str) -> str:
    """Return which part of the work a function belongs to."""
    for name, part in PARTS.items():
        if f"/{name}/" in file or name in function:
            return part
    return "waiting" if "acquire" in function or "sleep" in function else "the rest: NumPy, imports, Python"


def main() -> None:
    """Profile one search; print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", default="credit_default", choices=SETS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    with tempfile.TemporaryDirectory() as place:
        from ratchet.steps import preprocess, train

        session = session_of(options.set, 0, Path(place))
        search = session.task.search.model_copy(update={"jobs": 1})
        object.__setattr__(session, "task", session.task.model_copy(update={"search": search}))
        preprocess.preprocess(session)
        profile = cProfile.Profile()
        profile.runcall(train.train, session)
    spent: Counter[str] = Counter()
    for (file, _, function), (_, _, own_s, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        spent[part_of(file, function)] += own_s
    total_s = sum(spent.values())
    print(f"| {options.set}, {total_s:.0f} s of train | seconds | share |\n| --- | --: | --: |")
    for part, seconds in spent.most_common():
        print(f"| {part} | {seconds:.1f} | {seconds / total_s:.0%} |")
    print(f"\n{machine()}, commit `{head()}`.")


if __name__ == "__main__":
    main()
