"""A big CSV to split Parquet with schema, checks and profile, beside DuckDB merely copying it.

`python benchmarks/preprocess.py [--rows 1000000 10000000]`; each in a process of its own, peak memory by the kernel.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cells import head, machine

COPY = """
import duckdb, sys
db = duckdb.connect()
db.execute(f"COPY (SELECT * FROM read_csv('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT parquet)")
"""
CLEAN = "name: big\ndata: {sources: {rows: {uris: [big.csv]}}, target: y, positive: 1, id: id}\n"


def write(path: Path, rows: int) -> None:
    """Write the file: an id, 22 numbers, 6 categories and a target, 30 columns."""
    import duckdb

    whole = ", ".join(f"(random() * {10 ** (1 + i % 5)})::INTEGER AS n{i}" for i in range(11))
    real = ", ".join(f"CASE WHEN random() < 0.95 THEN round(random() * 1000, 3) END AS x{i}" for i in range(11))
    words = ", ".join(f"'level ' || (random() * {3 * (i + 1) ** 2})::INTEGER AS c{i}" for i in range(6))
    signal = "(random() < 1 / (1 + exp(3 - n0 / 5.0)))::INTEGER AS y"
    sql = f"SELECT i AS id, {whole}, {real}, {words} FROM range({rows}) t(i)"
    with duckdb.connect() as db:
        db.execute("SET threads = 1; SELECT setseed(0.5)")
        db.execute(f"COPY (SELECT *, {signal} FROM ({sql})) TO '{path}'")


def measured(words: list[str], place: Path) -> dict[str, float]:
    """Run a command; return its wall time and the peak memory of its process."""
    script = "import os, resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)"
    script += ".returncode; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}", "RATCHET_DATA": str(place)}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script, *words], cwd=place, env=env, capture_output=True, text=True,
                          check=False)  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return {"wall_s": time.monotonic() - began, "peak_mb": int(done.stdout) / 1024}


def measure(rows: int) -> dict[str, Any]:
    """Return both figures for a file of so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write(place / "big.csv", rows)
        (place / "big.yaml").write_text(CLEAN, encoding="utf-8")
        subprocess.run([sys.executable, "-c", "import mlflow; mlflow.MlflowClient().search_experiments()"], cwd=place,
                       env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}"}, check=True,
                       capture_output=True)  # fmt: skip
        copy = measured([sys.executable, "-c", COPY, "big.csv", "copy.parquet"], place)
        ours = measured([sys.executable, "-m", "ratchet", "preprocess", "-c", "big.yaml", "--json"], place)
        return {"rows": rows, "bytes": (place / "big.csv").stat().st_size, "copy": copy, "ratchet": ours,
                "ratio": ours["wall_s"] / copy["wall_s"]}  # fmt: skip


def main() -> None:
    """Measure each size; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 10_000_000])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = [measure(rows) for rows in options.rows]
    if options.json:
        print(json.dumps(found))
        return
    print("| rows x 30 columns | DuckDB copies | Ratchet preprocesses | ratio | peak memory, copy / Ratchet |")
    print("| --: | --: | --: | --: | --: |")
    for f in found:
        copy, ours = f["copy"], f["ratchet"]
        print(f"| {f['rows']:,} ({f['bytes'] / 1e6:,.0f} MB) | {copy['wall_s']:.1f} s | {ours['wall_s']:.1f}"
              f" s | {f['ratio']:.1f} | {copy['peak_mb']:,.0f} / {ours['peak_mb']:,.0f} MB |")  # fmt: skip
    print(f"\n{machine()}, commit `{head()}`.")


if __name__ == "__main__":
    main()
