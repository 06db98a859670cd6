"""The runs of steps: opened, adopted, nested and filled; what is logged is kept at once, and sent beside the work."""

import contextlib
import itertools
import json
import math
import os
import shutil
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters import models, process, records
from ratchet.adapters.outbox import Record
from ratchet.adapters.patience import made_once
from ratchet.adapters.records import STEP, TASK
from ratchet.adapters.spool import Spool
from ratchet.adapters.tracking import experiment_of, source
from ratchet.errors import Away, GateRefused, RatchetError

if TYPE_CHECKING:
    from mlflow import MlflowClient

WORKER, BEAT, OPENING = "ratchet.worker", "ratchet.beat", "ratchet.opening"
BEAT_S, GRACE_S = 20, 60
STOPPED_S, BEAT_END_S = 5, 2  # how long the end of an interrupted run, and of a beat, may take
PARENT, NAME, NOTE = "mlflow.parentRunId", "mlflow.runName", "mlflow.note.content"
VERDICT, REASONS = "ratchet.verdict", "ratchet.reasons"  # tags of a run whose version was refused a stage
MAIN = "main"


@dataclass(frozen=True)
class Run:
    """One open run. What is logged is kept at once on this machine, and sent beside the work.

    name: the one that it begins with; what was found is added to it at the end.
    """

    spool: Spool
    id: str
    experiment_id: str
    name: str = ""
    until_closed: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, compare=False)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters, each cut at 500 characters."""
        self._log("batch", {"params": [(name, str(value)[:500]) for name, value in params.items()]})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics at one step; NaN ones are left out, since a chart cannot show them."""
        self.log_curves({name: [(step, value)] for name, value in metrics.items()})

    def log_curves(self, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Log metrics as (step, value) pairs."""
        now = int(time.time() * 1000)
        points = [(n, float(v), now, step) for n, pairs in curves.items() for step, v in pairs if not math.isnan(v)]
        self._log("batch", {"metrics": points})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags on the run."""
        self._log("batch", {"tags": [(name, str(value)[:5000]) for name, value in tags.items()]})

    def log_json(self, content: Any, path: str) -> None:
        """Log plain values as a JSON artifact."""
        room = self.spool.room()
        (room / Path(path).name).write_text(
            json.dumps(content, ensure_ascii=False, indent=1, default=str), encoding="utf-8"
        )
        self._log("files", {"path": str(Path(path).parent).removeprefix(".")}, room)

    def log_figures(self, figures: Mapping[str, Any], folder: str = "plots") -> None:
        """Log matplotlib figures as PNG artifacts, in one upload."""
        room = self.spool.room()
        with warnings.catch_warnings():  # without a font for Hangul its letters are boxes; that stops nothing
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            for name, figure in figures.items():
                figure.savefig(room / f"{name}.png", dpi=110)
        self._log("files", {"path": folder}, room)

    def log_files(self, folder: Path, path: str) -> None:
        """Log the files of a folder as artifacts."""
        self._log("files", {"path": path}, self._kept(folder))

    def log_data(self, name: str, digest: str, origin: str, context: str) -> None:
        """Record the data set that the run used, with its digest."""
        self._log("data", {"name": name, "digest": digest, "origin": origin, "context": context})

    def log_model(self, scorer: Path, entry_point: Path, about: Mapping[str, Any]) -> None:
        """Log a scorer's folder as the run's model; see `logged.log_model`."""
        room = self.spool.room()
        shutil.copytree(scorer, room / models.SCORER)
        shutil.copy(entry_point, room / models.ENTRY)
        self._log("model", about, room)

    def log_trial(self, entry: Mapping[str, Any], lock: str) -> None:
        """Record a finished trial as a nested run, unless somebody did; lock: under which that is looked up."""
        self._log("trial", {"experiment": self.experiment_id, "entry": entry, "lock": lock})

    def settle_trials(self, study: str, lock: str) -> None:
        """Have those of a study's trials removed that are on record twice; lock: as for `log_trial`."""
        self._log("study", {"study": study, "lock": lock})

    def close(self, status: str) -> None:
        """End the run, and wait until the server has all of it; an interrupted one waits for a server that is there.

        Raises Away if the server is away for too long; what is left is then sent by the next command.
        """
        end = {"status": status, "at_ms": int(time.time() * 1000)}
        try:
            self._log("end", end)
            self.spool.flush(STOPPED_S if status == "KILLED" else None)
        except Away:
            raise
        except Exception:  # a record was refused, so what follows it is not sent
            with contextlib.suppress(Exception):
                self.spool.send(Record("end", self.id, end | {"status": "FAILED"}))
            raise

    def _log(self, kind: str, content: Mapping[str, Any], files: Path | None = None) -> None:
        self.spool.append(Record(kind, self.id, content, files))

    def _kept(self, folder: Path) -> Path:
        """The same files in a folder of the spool: linked, since they may be large, else copied."""
        room = self.spool.room()
        try:
            shutil.copytree(folder, room, copy_function=os.link, dirs_exist_ok=True)
        except (OSError, shutil.Error):
            shutil.copytree(folder, room, dirs_exist_ok=True)
        return room


@contextlib.contextmanager
def opened(client: "MlflowClient", spool: Spool, task: str, step: str, parent: Run | None = None) -> Iterator[Run]:
    """Open the run of a step: the one that `mlflow run` opened, else a new one, nested under the parent if given.

    It ends FINISHED, FAILED, or KILLED when interrupted. A refusal is a result and no failure: the run ends FINISHED,
    with tags that say what was refused and why. What hangs on `until_closed`, such as a lock, is let go after that. A
    run whose process was killed outright stays RUNNING until a later one of the task begins.
    """
    if not parent:
        _close_abandoned(client, task)
    name = step if parent else task if step == MAIN else f"{task} · {step}"
    tags = {STEP: step, TASK: task, WORKER: process.me(), NAME: name} | source()
    adopted = None if parent else os.environ.pop("MLFLOW_RUN_ID", None)
    if adopted:
        opened_by_mlflow = client.get_run(adopted)
        run = Run(spool, adopted, opened_by_mlflow.info.experiment_id, name)
        named = set(opened_by_mlflow.data.tags) - {NAME}  # the source, such as a git URL, is its own
        run.set_tags({name: value for name, value in tags.items() if name not in named})
    else:
        experiment = parent.experiment_id if parent else experiment_of(client, task)
        if parent:
            tags[PARENT] = parent.id
        run = Run(spool, spool.patience.call(_creation(client, experiment, tags), spool.server), experiment, name)
    with run.until_closed:
        try:
            with _beating(run):
                yield run
        except BaseException as error:
            with contextlib.suppress(Exception):  # what ended the work is told, and no refusal or absence after it
                with contextlib.suppress(Exception):  # the run is ended also where this is refused
                    run.set_tags(_told(error))
                run.close(_status(error))
            raise
        run.close("FINISHED")


def _told(error: BaseException) -> dict[str, str]:
    """Return the tags that say why the work ended."""
    if isinstance(error, GateRefused):
        return {VERDICT: "refused", REASONS: str(error)}
    return {"ratchet.error": str(error)} if isinstance(error, RatchetError) else {}


def _status(error: BaseException) -> str:
    if isinstance(error, GateRefused):
        return "FINISHED"
    return "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"


def _creation(client: "MlflowClient", experiment: str, tags: Mapping[str, str]) -> Callable[[], str]:
    """Return what makes a run and returns its id; called again it looks first whether the call before has made it."""
    mark, tries = uuid.uuid4().hex, itertools.count()

    def once() -> str:
        made = records.find(client, f"tags.`{OPENING}` = '{mark}'", 1) if next(tries) else []
        with made_once():
            run = made[0] if made else client.create_run(experiment, tags={**tags, OPENING: mark})
        return str(run.info.run_id)

    return once


@contextlib.contextmanager
def _beating(run: Run) -> Iterator[None]:
    """Say every BEAT_S that the run lives, for other machines, which cannot see its process."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_S):
            with contextlib.suppress(Exception):  # an absent server is noticed by the work itself
                run.spool.send(Record("batch", run.id, {"tags": [(BEAT, str(int(time.time())))]}))

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(BEAT_END_S)


def _close_abandoned(client: "MlflowClient", task: str) -> None:
    """End, as KILLED, the runs whose process is gone; of another machine: those that no longer say that they live."""
    for run in _open_runs(client, task):
        if _is_abandoned(run):
            client.set_terminated(run.info.run_id, "KILLED")


def at_work(client: "MlflowClient") -> set[str]:
    """Return the tasks that some process works at, on this machine or another."""
    return {run.data.tags[TASK] for run in _open_runs(client) if not _is_abandoned(run)}


def _open_runs(client: "MlflowClient", task: str | None = None) -> list[Any]:
    whose = f"= '{task}'" if task else "LIKE '%'"
    steps = f"tags.`{TASK}` {whose} and tags.`{STEP}` != 'trial' and attributes.status = 'RUNNING'"
    return records.find(client, steps, 1000)


def _is_abandoned(run: Any) -> bool:
    tags = run.data.tags
    said = float(tags.get(BEAT, run.info.start_time / 1000))
    worker = tags.get(WORKER, "")
    silent = time.time() - said > BEAT_S + GRACE_S
    return process.is_gone(worker) or (silent and not process.is_here(worker))
