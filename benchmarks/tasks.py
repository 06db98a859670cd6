"""The shipped tasks, each from its YAML to Production: `python benchmarks/tasks.py [--json]`, into docs/benchmarks.md.

Each runs in a fresh store, once, with the budget and the seed of its YAML; figures are of the test side.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cells import ROOT, head, machine, publish

# What others reached, with the data's README as the source; "measured" there means on exactly these files.
PUBLISHED = {
    "quickstart": ("roc_auc", "the truth itself: {truth}"),
    "credit_default": ("roc_auc", "0.780 (zkneupper), 0.787 (Zhou & Zhao 2024)"),
    "credit_approval": ("roc_auc", "0.593 ± 0.027 by group, measured; published scores split at random, which leaks"),
    "german_credit": ("roc_auc", "0.787 ± 0.029 boosted, 0.791 ± 0.024 logistic, measured"),
    "churn": ("roc_auc", "0.834 (LightGBM benchmark); 0.845 ± 0.012, measured"),
    "reviews_ko": ("accuracy", "0.841 (eodud0582); 0.872, measured"),
    "reviews_en": ("accuracy", "0.777 to 0.794 (Wang & Manning 2012); 0.815 (Kim 2014, CNN)"),
}


def call(place: Path, *words: str) -> dict[str, Any]:
    """Run a command with --json; return its object."""
    done = subprocess.run(
        [sys.executable, "-m", "ratchet", *words, "--json"],
        cwd=place, capture_output=True, text=True, check=False,
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(name: str) -> dict[str, Any]:
    """Run one task in a fresh store; return its figures."""
    config = str(ROOT / "configs" / f"{name}.yaml")
    metric, published = PUBLISHED[name]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        done = call(Path(folder), "run", "-c", config)
        minutes = (time.monotonic() - began) / 60
        judged = call(Path(folder), "evaluate", "-c", config)
        sides = call(Path(folder), "preprocess", "-c", config)["sides"]
    truth = judged["baselines"].get("truth", {}).get(metric)
    return {
        "task": name,
        "metric": metric,
        "value": judged["metrics"][metric],
        "interval": judged["intervals"][metric],
        "rule": judged["baselines"]["rule"][metric],
        "published": published.format(truth=f"{truth:.3f}" if truth else ""),
        "rows": sum(sides.values()),
        "test_rows": sides["test"],
        "minutes": minutes,
        "stage": done["stage"],
    }


def table(found: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = [
        "| task | rows (test) | metric | ours (95 % interval) | the rule | published | minutes | stage |",
        "| --- | --: | --- | --- | --: | --- | --: | --- |",
    ]
    for f in found:
        low, high = f["interval"]
        lines.append(
            f"| [`{f['task']}`](../configs/{f['task']}.yaml) | {f['rows']:,} ({f['test_rows']:,}) | {f['metric']}"
            f" | **{f['value']:.3f}** ({low:.3f} to {high:.3f}) | {f['rule']:.3f} | {f['published']}"
            f" | {f['minutes']:.1f} | {f['stage']} |"
        )
    return "\n".join([*lines, "", f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, commit `{head()}`."])


def main() -> None:
    """Measure the tasks that are named, or all; put the table of all on its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=list(PUBLISHED))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = [measure(name) for name in options.tasks]
    if options.json:
        print(json.dumps(found))
        return
    print(table(found))
    if options.tasks == list(PUBLISHED):
        publish(table(found), ROOT / "docs" / "benchmarks.md", "tasks")


if __name__ == "__main__":
    main()
