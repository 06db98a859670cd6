"""Ten million rows: training from Parquet by batches, and scoring a file, with their peak memory.

`python benchmarks/volume.py [--rows 10000000]`; each in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cells import head, machine
from preprocess import CLEAN, measured, write

SEARCH = """search: {models: [xgboost], trials: 2, folds: 2, max_rounds: 60}
gates: {staging: [{metric: roc_auc, minimum: 0.5}], production: [{metric: roc_auc, minimum: 0.5}]}
"""


def measure(rows: int) -> dict[str, Any]:
    """Preprocess, train, promote by hand and score a file of so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write(place / "big.csv", rows)
        (place / "big.yaml").write_text(CLEAN + SEARCH, encoding="utf-8")
        env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}"}
        subprocess.run([sys.executable, "-c", "import mlflow; mlflow.MlflowClient().search_experiments()"],
                       cwd=place, env=env, check=True, capture_output=True)  # fmt: skip
        ratchet = [sys.executable, "-m", "ratchet"]
        task = ["-c", "big.yaml", "--json"]
        found: dict[str, Any] = {"rows": rows}
        found["preprocess"] = measured([*ratchet, "preprocess", *task], place)
        found["train"] = measured([*ratchet, "train", *task], place)
        found["promote"] = measured([*ratchet, "promote", *task], place)
        few = place / "few.csv"
        with (place / "big.csv").open() as file, few.open("w") as out:
            out.writelines(line for _, line in zip(range(rows // 10 + 1), file, strict=False))
        for name, given in (("score_tenth", "few.csv"), ("score", "big.csv")):
            words = ["--input", given, "--output", "answers.parquet"]
            found[name] = measured([*ratchet, "score", *task, *words], place)
        return found


def main() -> None:
    """Measure; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.rows)
    if options.json:
        print(json.dumps(found))
        return
    print("| step | seconds | peak memory |")
    print("| --- | --: | --: |")
    for name, figures in found.items():
        if name != "rows":
            print(f"| {name} | {figures['wall_s']:.0f} | {figures['peak_mb']:,.0f} MB |")
    rate = 0.9 * options.rows / (found["score"]["wall_s"] - found["score_tenth"]["wall_s"])
    print(f"\n{options.rows:,} rows x 30 columns; scoring {rate:,.0f} rows a second beside its start.")
    print(f"{machine()}, commit `{head()}`.")


if __name__ == "__main__":
    main()
