"""What does keeping records cost a search? `python benchmarks/tracking.py`: through a real server on PostgreSQL.

A trial of 0.2 s that reports three folds, five parameters and its score is logged in five ways, on the same server:
not at all, by Ratchet's spool, by MLflow's fluent calls key by key, by `log_params` and `log_metrics`, and by MLflow's
own asynchronous logging. What the objective itself pays is timed apart from the whole. Then the trials of one training
are multiplied, in PostgreSQL itself, and `ratchet status` is timed as a whole command, with few and with many of them,
beside the import of MLflow that it begins with.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cells import head, machine

TRIALS, TRIAL_S, MANY = 50, 0.2, 10_000
TASK = """
name: status
data: {sources: {applicants: {uris: ["synthetic://credit?rows=2000&seed=3"]}}, target: defaulted, positive: 1,
       id: applicant_id, drop: [applied_at, probability_of_default]}
search: {models: [linear], trials: 2, folds: 2}
"""
PARAMS = {f"parameter_{n}": n / 7 for n in range(5)}
FOLDS = [0.71, 0.72, 0.73]


@contextmanager
def logging_nothing() -> Iterator[Callable[[int], None]]:
    """Yield a way to log one trial: none."""
    yield lambda number: None


@contextmanager
def ratchets(client: Any, experiment: str, home: Path) -> Iterator[Callable[[int], None]]:
    """Yield Ratchet's way: kept at once on this machine, sent by a thread."""
    from contextlib import nullcontext
    from dataclasses import asdict

    from ratchet.adapters import runs, sending, trialruns
    from ratchet.adapters.patience import Patience
    from ratchet.adapters.spool import Spool

    spool = Spool(home, partial(sending.send, client, lambda name: nullcontext()), Patience(60), "the server")
    run = runs.Run(spool, client.create_run(experiment).info.run_id, experiment)

    def log(number: int) -> None:
        metrics = [("fold", step, value) for step, value in enumerate(FOLDS)] + [("score", 0, 0.72)]
        now = int(time.time() * 1000)
        run.log_trial(
            asdict(trialruns.Entry("s", number, f"trial {number}", (now, now), "FINISHED", PARAMS, metrics, {})),
            "record",
        )

    yield log
    run.close("FINISHED")
    spool.close()


@contextmanager
def fluent(experiment: str, how: str) -> Iterator[Callable[[int], None]]:
    """Yield MLflow's way: how is by key, by dict or asynchronous."""
    import mlflow

    is_later = how == "asynchronous"

    def log(number: int) -> None:
        with mlflow.start_run(experiment_id=experiment, nested=True, run_name=f"trial {number}"):
            if how == "by key":
                for name, value in PARAMS.items():
                    mlflow.log_param(name, value)
                mlflow.log_metric("score", 0.72)
            else:
                mlflow.log_params(PARAMS, synchronous=not is_later)
                mlflow.log_metrics({"score": 0.72}, synchronous=not is_later)
            for step, value in enumerate(FOLDS):
                mlflow.log_metric("fold", value, step=step, synchronous=not is_later)

    with mlflow.start_run(experiment_id=experiment):
        yield log
    mlflow.flush_async_logging()


def timed(way: Any) -> dict[str, float]:
    """Run the trials; return the whole time in s, and the median that logging took of the objective's, in ms."""
    paid = []
    began = time.perf_counter()
    with way as log:
        for number in range(TRIALS):
            time.sleep(TRIAL_S)
            before = time.perf_counter()
            log(number)
            paid.append((time.perf_counter() - before) * 1000)
    return {"whole_s": time.perf_counter() - began, "objective_ms": statistics.median(paid)}


def multiply(running: Any, run_id: str, copies: int) -> None:
    """Put copies of a run beside it, by SQL."""
    import psycopg2

    address = running.cluster.url("mlflow", "mlflow", running.secrets["MLFLOW_DB_PASSWORD"])
    with closing(psycopg2.connect(address)) as connection, connection, connection.cursor() as cursor:
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            cursor.execute(f"SELECT * FROM {table} LIMIT 0")
            names = [column.name for column in cursor.description]
            copied = ", ".join("md5('copy ' || n)" if name == "run_uuid" else f'"{name}"' for name in names)
            listed = ", ".join(f'"{name}"' for name in names)
            rows = f"SELECT {copied} FROM {table}, generate_series(1, {copies}) AS numbers(n) WHERE run_uuid = %s"
            cursor.execute(f"INSERT INTO {table} ({listed}) {rows}", [run_id])


def status_s(running: Any, place: Path) -> dict[str, float]:
    """Return the median time of `ratchet status` with few trials and with MANY more, in s."""
    import mlflow

    config = place / "status.yaml"
    config.write_text(TASK, encoding="utf-8")
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def once(*words: str) -> float:
        began = time.perf_counter()
        subprocess.run(["ratchet", *words, "-c", str(config)], cwd=place, env=env, capture_output=True, check=True)
        return time.perf_counter() - began

    def importing() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import mlflow"], env=env, check=True)
        return time.perf_counter() - began

    once("run")
    few = statistics.median(once("status") for _ in range(5))
    experiment = mlflow.get_experiment_by_name("status").experiment_id
    trial = mlflow.MlflowClient().search_runs([experiment], "tags.`ratchet.step` = 'trial'")[0]
    multiply(running, trial.info.run_id, MANY)
    many = statistics.median(once("status") for _ in range(5))
    return {"few": few, "many": many, "import": statistics.median(importing() for _ in range(5))}


def measure() -> dict[str, dict[str, float]]:
    """Start the stack; return the figures of each way."""
    from ratchet.operate import stack

    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        Path(place).chmod(0o711)
        with stack.running(Path(place) / "stack") as running:
            os.environ.update(running.environment() | {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"})
            import mlflow

            import ratchet.adapters.sending  # noqa: F401  (imports are nobody's logging)

            mlflow.set_tracking_uri(running.tracking_uri)
            client = mlflow.MlflowClient()
            ways: dict[str, Any] = {
                "nothing is logged": logging_nothing(),
                "Ratchet": ratchets(client, client.create_experiment("ratchet"), Path(place) / "spool"),
                "mlflow.log_params, log_metrics": fluent(client.create_experiment("dict"), "by dict"),
                "mlflow.log_param, log_metric by key": fluent(client.create_experiment("key"), "by key"),
                "mlflow, asynchronous": fluent(client.create_experiment("later"), "asynchronous"),
            }
            found = {name: timed(way) for name, way in ways.items()}
            return found | {"status": status_s(running, Path(place))}


def main() -> None:
    """Measure; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure()
    if options.json:
        print(json.dumps(found, indent=1))
        return
    status = found.pop("status")
    bare_s = found["nothing is logged"]["whole_s"]
    print(f"| {TRIALS} trials of {TRIAL_S} s | seconds | ratio | what a trial pays |\n| --- | --: | --: | --: |")
    for name, each in found.items():
        print(f"| {name} | {each['whole_s']:.1f} | {each['whole_s'] / bare_s:.2f} | {each['objective_ms']:.2f} ms |")
    print(
        f"\n`ratchet status`: {status['few']:.1f} s, with {MANY:,} more trials {status['many']:.1f} s;"
        f" `import mlflow` alone: {status['import']:.1f} s (medians of 5)."
    )
    print(f"\n{machine()}, commit `{head()}`.", file=sys.stdout)


if __name__ == "__main__":
    main()
