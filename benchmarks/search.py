"""How good is the model after a minute? `python benchmarks/search.py`: Ratchet, the naive loop and FLAML, same rows.

Each cell gives a system 60 s of both cores on the same split of the same rows; its model is judged on the same test
rows. Cells are kept in results/search.json with the digest of what they hang on (Ratchet's steps; the peers' script
and rows), so an interrupted benchmark goes on where it was.
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

import numpy as np
from cells import PLACE, ROOT, digest, engine, measured, once

SETS = ("credit_default", "churn", "quickstart")
SYSTEMS = ("ratchet", "naive", "flaml_xgboost", "flaml")
PEER = ROOT / "benchmarks" / "search_peer.py"
# What decides which rows and features the peers get.
READS = ("adapters/synthetic.py", "adapters/sides.py", "core/features.py", "scoring/encode.py", "scoring/values.py")
SECONDS = 60
FINISH_S = 8  # kept of the minute for the last fit, the plots and the log


def task_of(name: str, seed: int) -> Any:
    """Return a shipped task with a split and a search of its own seed."""
    from ratchet.taskfile import load

    task = load(str(ROOT / "configs" / f"{name}.yaml"))
    data = task.data
    if name == "quickstart":
        source = data.sources["applicants"].model_copy(update={"uris": ("synthetic://credit?rows=30000&seed=7",)})
        data = data.model_copy(update={"sources": {"applicants": source}})
    budget = {"trials": 100_000, "timeout_s": float(SECONDS - FINISH_S), "seed": seed, "jobs": os.cpu_count() or 1}
    return task.model_copy(
        update={
            "data": data,
            "split": task.split.model_copy(update={"salt": f"seed {seed}"}),
            "search": task.search.model_copy(update=budget),
        }
    )


def session_of(name: str, seed: int, folder: Path) -> Any:
    """Open the task in a fresh store of its own."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    from ratchet.adapters import tracking
    from ratchet.console import Quiet
    from ratchet.settings import Settings
    from ratchet.steps.session import Session

    settings = Settings.from_env()
    return Session(task_of(name, seed), settings, tracking.client(settings), Quiet())


def export(name: str, seed: int) -> Path:
    """Write what the peers read: the rows of train and valid, and of test, with the features that Ratchet sees."""
    import pandas as pd

    told = [ROOT / "configs" / f"{name}.yaml", *sorted((ROOT / "configs" / "features").glob("*.yaml"))]
    source = digest(*(ROOT / "src" / "ratchet" / part for part in READS), *told)
    folder = PLACE / "search-data" / f"{name}-{seed}-{source}"
    if (folder / "test.parquet").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        from ratchet.core import features
        from ratchet.steps import preprocess

        session = session_of(name, seed, Path(place))
        prepared = preprocess.preprocess(session)
        encoder = features.fit(
            prepared.rows("train"), prepared.plan, session.task.features, session.task.data.missing_words
        )

        def frame(sides: tuple[str, ...]) -> pd.DataFrame:
            rows = pd.concat([prepared.rows(side) for side in sides], ignore_index=True)
            found = pd.DataFrame(encoder.encode(rows), columns=encoder.names)
            for column in encoder.columns:
                if column.kind == "category":
                    codes = found[column.name].fillna(-1).astype(int)
                    levels = [str(level) for level in column.levels]
                    found[column.name] = pd.Categorical.from_codes(codes, levels)
            return found.assign(y=prepared.target(rows))

        frame(("train", "valid")).to_parquet(folder / "fit.parquet")
        frame(("test",)).to_parquet(folder / "test.part")
        (folder / "test.part").replace(folder / "test.parquet")  # last, and whole: with it the export is done
    return folder


def ratchet(name: str, seed: int) -> dict[str, Any]:
    """The step `train`, from prepared rows to the logged model; preprocessing is off the clock, as for the peers."""
    from search_peer import curve
    from sklearn.metrics import roc_auc_score

    with tempfile.TemporaryDirectory() as place:
        from ratchet.adapters import records, study
        from ratchet.steps import preprocess, train
        from ratchet.steps.bench import Bench

        session = session_of(name, seed, Path(place))
        prepared = preprocess.preprocess(session)
        began = time.time()
        trained = train.train(session)
        wall_s = time.time() - began
        rows = prepared.rows("test")
        truth = prepared.target(rows)
        bench = Bench(session.task, prepared, session.settings.threads)
        trials = [study.Trial(**t) for t in records.read_json(session.client, trained.run_id, "trials.json")]
        complete = [t for t in trials if t.status == "complete"]
        test = bench.encode(rows).matrix

        def judge(number: int) -> float:
            fitted = bench.refit(next(t for t in trials if t.number == number))
            return float(roc_auc_score(truth, fitted.model.margins(test)))

        done = [(t.times_ms[1] / 1000 - began, t.score, t.number) for t in complete]
        scorer = session.scorer(trained.model)
        return {
            "test_auc": float(roc_auc_score(truth, scorer.scores(rows))),
            "wall_s": wall_s,
            "trials": len(trials),
            "family": study.best(trials, bench.metric).family,
            "curve": curve(done, judge),
        }


def flaml_python() -> str:
    """Return the interpreter of FLAML's environment, made on first use."""
    folder = PLACE / "flaml"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        subprocess.run(
            ["uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)], check=True
        )
        wanted = str(ROOT / "benchmarks" / "flaml-requirements.txt")
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), "-r", wanted], check=True)
        (folder / ".ready").touch()
    return str(python)


def peer(system: str, name: str, seed: int) -> dict[str, Any]:
    """Run one cell of a peer in a process of its own."""
    python = sys.executable if system == "naive" else flaml_python()
    words = [python, str(PEER), system, str(export(name, seed)), str(SECONDS), str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{system} on {name}, seed {seed}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(system: str, name: str, seed: int) -> dict[str, Any]:
    """Return one cell, in a process of its own."""
    if system != "ratchet":
        folder = export(name, seed)
        packages = ROOT / ("requirements.lock" if system == "naive" else "benchmarks/flaml-requirements.txt")
        rows = digest(PEER, packages, *(folder / f"{side}.parquet" for side in ("fit", "test")))
        return once("search", (name, seed, system), f"{SECONDS} s {rows}", lambda: peer(system, name, seed))
    words = [sys.executable, __file__, "--cell", name, str(seed)]

    def run() -> dict[str, Any]:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"ratchet on {name}, seed {seed}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return once("search", (name, seed, system), engine(name, Path(__file__)), run)


def summary(found: dict[tuple[str, str, int], dict[str, Any]], seeds: range) -> dict[str, Any]:
    """Return, by set, each system's mean, and the paired difference from the better FLAML with its standard error."""

    def aucs(system: str, name: str) -> np.ndarray:
        return np.array([found[system, name, seed]["test_auc"] for seed in seeds])

    def at(system: str, name: str, seconds: int) -> np.ndarray:
        curves = (dict(found[system, name, seed]["curve"]) for seed in seeds)
        return np.array([points.get(seconds, 0.5) for points in curves])

    result: dict[str, Any] = {}
    for name in SETS:
        means = {system: float(aucs(system, name).mean()) for system in SYSTEMS}
        better = max(("flaml", "flaml_xgboost"), key=lambda system: means[system])
        gain = aucs("ratchet", name) - aucs(better, name)
        reached = at("ratchet", name, 12) >= aucs("naive", name)
        result[name] = {
            "test_auc": means,
            "trials": {s: float(np.mean([found[s, name, seed]["trials"] for seed in seeds])) for s in SYSTEMS},
            "wall_s": {s: float(np.mean([found[s, name, seed]["wall_s"] for seed in seeds])) for s in SYSTEMS},
            "better_flaml": better,
            "gain": float(gain.mean()),
            "gain_se": float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else float("nan"),
            "seeds_that_reach_naives_60_s_within_12_s": int(reached.sum()),
        }
    return result


def table(result: dict[str, Any], seeds: int, where: str) -> str:
    """Return the summary as Markdown. where: machine and commits, in words."""
    lines = [
        "| data | Ratchet | naive loop | FLAML, xgboost | FLAML, free | Ratchet - better FLAML"
        " | naive loop's 60 s reached within 12 s |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for name, row in result.items():
        # FLAML logs its improvements only, so how many trials it made is not known.
        made = {s: f" ({row['trials'][s]:.0f})" for s in ("ratchet", "naive")}
        figures = " | ".join(f"{row['test_auc'][s]:.4f}{made.get(s, '')}" for s in SYSTEMS)
        gain = f"{row['gain']:+.4f} ± {row['gain_se']:.4f}"
        early = f"{row['seeds_that_reach_naives_60_s_within_12_s']} of {seeds} seeds"
        lines.append(f"| {name} | {figures} | {gain} | {early} |")
    mean = np.mean([row["gain"] for row in result.values()])
    said = f"Test AUC (trials) after {SECONDS} s, mean of {seeds} seeds of split and search, {where}"
    peers = "FLAML 2.7.0 with XGBoost 2.1.4 (it takes no newer one) and LightGBM, without CatBoost."
    return "\n".join([*lines, "", f"{said}. Mean difference over the sets: {mean:+.4f}. {peers}"])


def plot(found: dict[tuple[str, str, int], dict[str, Any]], seeds: range, path: Path) -> None:
    """Draw the mean best-so-far over time, one panel per set."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(SETS)), SETS, strict=True):
        for system, style in zip(SYSTEMS, ("-o", "--s", ":^", "-.v"), strict=True):
            curves = [dict(found[system, name, seed]["curve"]) for seed in seeds]
            times = [at for at in sorted({t for c in curves for t in c}) if all(at in c for c in curves)]
            axes.plot(times, [np.mean([c[at] for c in curves]) for at in times], style, label=system, markersize=4)
        late = [y for line in axes.lines for x, y in zip(*line.get_data(), strict=True) if x >= 20]
        # The first seconds of one system would flatten all the rest.
        axes.set_ylim(bottom=max(axes.get_ylim()[0], min(late) - 3 * (max(late) - min(late))))
        axes.set(title=name, xlabel="seconds", ylabel="AUC on test, best so far")
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure what is missing; print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--systems", nargs="*", default=SYSTEMS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, help="where the plot goes, as PNG")
    parser.add_argument("--cell", nargs=2, metavar=("SET", "SEED"), help="measure one cell of Ratchet here and now")
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(ratchet(options.cell[0], int(options.cell[1]))))
        return
    seeds, found = range(options.seeds), {}
    for seed in seeds:
        for name in options.sets:
            for system in options.systems:
                found[system, name, seed] = cell = measure(system, name, seed)
                print(f"{name} {seed} {system}: {cell['test_auc']:.4f} in {cell['wall_s']:.0f} s", file=sys.stderr)
    if set(options.sets) != set(SETS) or set(options.systems) != set(SYSTEMS):
        return
    result = summary(found, seeds)
    where = measured(cell for (system, _, _), cell in found.items() if system == "ratchet")
    print(json.dumps(result, indent=1) if options.json else table(result, options.seeds, where))
    if options.plot:
        plot(found, seeds, options.plot)


if __name__ == "__main__":
    main()
