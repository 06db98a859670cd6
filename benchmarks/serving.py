"""How many one-row requests a second, and how soon? `python benchmarks/serving.py [--json] [--seconds 5] [--rounds 3]`.

Four servers of one XGBoost model, all up at once, asked in turn: (a) a scikit-learn pipeline with as many trees in
MLflow's own flavour under `mlflow models serve`, (b) Ratchet's model under `mlflow models serve`, (c) the gateway
before it, which checks, splits and captures, and (d) a bare FastAPI app on the booster, one call a request, without
any of that. The load is closed (each client waits for its answer) from 1, 8, 64 and 256 clients, then comes at a
constant rate; the last is a body of 1,000 rows from one client. Figures are medians of the rounds.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from cells import ROOT, head, machine
from load import Seen, Target, closed, constant

CLIENTS, RATES = (1, 8, 64, 256), (40, 400, 1_000)
NAMES = {
    "stock": "(a) scikit-learn flavour, `mlflow models serve`",
    "bare": "(b) Ratchet's model, `mlflow models serve`",
    "gateway": "(c) the gateway before (b)",
    "fastapi": "(d) FastAPI on the booster",
}
SEARCH = {"models": ["xgboost"], "trials": 4, "folds": 3}
BIN = Path(sys.executable).parent


@contextmanager
def up(*words: object, cwd: Path, env: dict[str, str], log: Path) -> Iterator[None]:
    """Run a server; its words go to a file."""
    with log.open("wb") as out:
        process = subprocess.Popen([*map(str, words)], cwd=cwd, env=env, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def task() -> dict[str, Any]:
    """The shipped task of credit cards, 23 columns, with a short search; its data must be where RATCHET_DATA says."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "credit_default.yaml").read_text(encoding="utf-8"))
    found["features"].pop("use"), found.pop("reasons")  # the pipeline beside it has no derived features either
    return found | {"name": "served", "search": SEARCH, "gates": {}}


def trained(place: Path, env: dict[str, str]) -> tuple[Any, Path, list[dict[str, Any]]]:
    """Make the model; return its scorer, its folder, and rows to ask with."""
    (place / "served.yaml").write_text(yaml.safe_dump(task()), encoding="utf-8")
    subprocess.run([BIN / "ratchet", "run", "-c", "served.yaml"], cwd=place, env=env, check=True, capture_output=True)
    folder = next(path.parent for path in place.glob("mlruns/**/scorer/state"))
    from ratchet.scoring.predict import load

    return load(folder / "state"), folder, json.loads((folder / "sample.json").read_text())["dataframe_records"]


def stocked(place: Path, scorer: Any) -> Path:
    """Fit (a) on the rows that (b) learned from; return its folder."""
    import pandas as pd
    from serving_peers import pipeline

    rows = pd.concat([pd.read_parquet(path) for path in place.glob("mlruns/**/splits/train.parquet")])
    pipeline(scorer, rows, rows[task()["data"]["target"]].astype(int), place / "stock")
    return place / "stock"


@contextmanager
def servers(place: Path) -> Iterator[tuple[dict[str, str], list[dict[str, Any]]]]:
    """Start all four; yield their addresses, and rows to ask with."""
    from ratchet.adapters.servers import answers, free_port

    data = os.environ.get("RATCHET_DATA") or f"{ROOT / 'data'}:{ROOT.parent / 'shared' / 'data'}"
    env = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "RATCHET_DATA": data}
    for name in ("MLFLOW_TRACKING_URI", "RATCHET_DATABASE_URL"):
        env.pop(name, None)
    scorer, folder, rows = trained(place, env)
    stock, ports = stocked(place, scorer), {name: free_port() for name in NAMES}
    words = {
        "stock": ["mlflow", "models", "serve", "-m", stock, "-p", ports["stock"], "--env-manager", "local"],
        "bare": ["ratchet", "serve", "--bare", "-c", "served.yaml", "--port", ports["bare"]],
        "gateway": ["ratchet", "serve", "-c", "served.yaml", "--port", ports["gateway"]],
        "fastapi": [sys.executable, Path(__file__).with_name("serving_peers.py"), folder / "state", ports["fastapi"]],
    }
    with ExitStack() as running:
        for name, command in words.items():
            running.enter_context(up(*command, cwd=place, env=env, log=place / f"{name}.log"))
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        wait(urls, answers)
        yield urls, rows


def wait(urls: dict[str, str], answers: Callable[[str], bool]) -> None:
    """Return when all answer."""
    import time

    paths = {"fastapi": "/docs", "gateway": "/ready"}
    until = time.monotonic() + 180
    while not all(answers(url + paths.get(name, "/ping")) for name, url in urls.items()):
        if time.monotonic() > until:
            raise SystemExit("a server did not come up")
        time.sleep(0.3)


def figures(seen: Seen) -> dict[str, float]:
    """What is told of one load."""
    return {
        "per_s": seen.per_s,
        "p50_ms": seen.quantile_ms(0.5),
        "p99_ms": seen.quantile_ms(0.99),
        "failed": seen.failed,
    }


def measure(seconds: float, rounds: int) -> dict[str, Any]:
    """Ask all of them in turn; return the medians by load and server."""
    place = Path(tempfile.mkdtemp(prefix="ratchet-serving-"))
    seen: dict[str, dict[str, list[dict[str, float]]]] = {}
    try:
        with servers(place) as (urls, rows):
            bodies = [json.dumps({"dataframe_records": [row]}).encode() for row in rows]
            large = [json.dumps({"dataframe_records": (rows * 200)[:1_000]}).encode()]
            loads: dict[str, Callable[[str], Seen]] = {
                f"{n} clients": lambda url, n=n: closed(Target(url, bodies), n, seconds) for n in CLIENTS
            }
            loads |= {f"{r}/s": lambda url, r=r: constant(Target(url, bodies), r, int(r * seconds)) for r in RATES}
            loads["1,000 rows"] = lambda url: closed(Target(url, large), 1, seconds)
            for url in urls.values():
                closed(Target(url, bodies), 8, 1)
            for _ in range(rounds):
                for load, run in loads.items():
                    for name, url in urls.items():
                        if load.endswith("/s") and name in ("stock", "bare") and load != "40/s":
                            continue  # they cannot answer so many: their queue would only grow
                        found = run(f"{url}/invocations")
                        seen.setdefault(load, {}).setdefault(name, []).append(figures(found))
                        told = f"{found.per_s:,.0f}/s, {found.failed} failed {found.broken[:1]}"
                        print(f"{load}, {name}: {told}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(place)
    return {load: {name: median(each) for name, each in found.items()} for load, found in seen.items()}


def median(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure; failures are added up."""
    found = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
    return found | {"failed": sum(each["failed"] for each in rounds)}


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """The figures that the goals are about."""

    def over(load: str, one: str, other: str, figure: str = "per_s") -> float:
        return float(found[load][one][figure] / found[load][other][figure])

    told = {f"gateway_over_stock_at_{n}": over(f"{n} clients", "gateway", "stock") for n in CLIENTS}
    told |= {f"gateway_over_fastapi_at_{n}": over(f"{n} clients", "gateway", "fastapi") for n in (64, 256)}
    for n in (64, 256):
        load = found[f"{n} clients"]
        told[f"gateway_p99_over_stock_p50_at_{n}"] = load["gateway"]["p99_ms"] / load["stock"]["p50_ms"]
    told["gateway_p50_over_bare_p50_at_1"] = over("1 clients", "gateway", "bare", "p50_ms")
    told["gateway_over_bare_with_1000_rows"] = over("1,000 rows", "gateway", "bare", "p50_ms")
    return told


GOALS = {
    "gateway_over_stock_at_64": ">= 25", "gateway_over_stock_at_256": ">= 40",
    "gateway_over_fastapi_at_64": ">= 1", "gateway_over_fastapi_at_256": ">= 1",
    "gateway_p99_over_stock_p50_at_64": "< 1", "gateway_p99_over_stock_p50_at_256": "< 1",
    "gateway_p50_over_bare_p50_at_1": "<= 1.2", "gateway_over_bare_with_1000_rows": "<= 1.15",
}  # fmt: skip


def main() -> None:
    """Measure; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = measure(options.seconds, options.rounds)
    told = ratios(found)
    if options.json:
        print(json.dumps({"ratios": told, "loads": found, "machine": machine(), "commit": head()}, indent=1))
        return
    loads = list(found)
    print(f"| requests/s (p50, p99 in ms) | {' | '.join(loads)} |\n| --- |{' --: |' * len(loads)}")
    for name, about in NAMES.items():
        cells = [f"{e['per_s']:,.0f} ({e['p50_ms']:.1f}, {e['p99_ms']:.1f})" if (e := found[load].get(name)) else "–"
                 for load in loads]  # fmt: skip
        print(f"| {about} | {' | '.join(cells)} |")
    print("\n| ratio | seen | goal |\n| --- | --: | --: |")
    for name, value in told.items():
        print(f"| {name} | {value:.2f} | {GOALS.get(name, '')} |")
    failed = sum(int(each["failed"]) for load in found.values() for each in load.values())
    print(f"\n{failed} requests failed. {machine()}, commit `{head()}`.")


if __name__ == "__main__":
    main()
