"""The runs of trials, nested under the train run: found, adopted and written."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ratchet.adapters import records, tracking
from ratchet.adapters.patience import made_once
from ratchet.adapters.runs import PARENT
from ratchet.adapters.study import GRACE_S
from ratchet.errors import Away

if TYPE_CHECKING:
    from mlflow import MlflowClient

STUDY, TRIAL = "ratchet.study", "ratchet.trial"


@dataclass(frozen=True)
class Entry:
    """What the run of a trial holds; times in ms since 1970; metrics as (name, step, value)."""

    study: str
    number: int
    name: str
    times_ms: tuple[int, int]
    status: str
    params: Mapping[str, Any]
    metrics: Sequence[tuple[str, int, float]]
    tags: Mapping[str, str]

    def is_own(self) -> bool:
        """Whether it is still for the process that ran it to write: after GRACE_S another may."""
        return time.time() - self.times_ms[1] / 1000 < GRACE_S / 2  # half, for clocks that differ


@dataclass(frozen=True)
class Found:
    """The run of a trial that is on record, whole or half-written."""

    run_id: str
    number: int
    parent: str | None
    is_whole: bool


def of_study(client: "MlflowClient", study: str, number: int | None = None) -> list[Found]:
    """Return the runs of a study's trials, or of one of them."""
    condition = f"tags.`{STUDY}` = '{study}'" + (f" and tags.`{TRIAL}` = '{number}'" if number is not None else "")
    return [
        Found(
            run.info.run_id, int(run.data.tags[TRIAL]), run.data.tags.get(PARENT), run.info.status != "RUNNING"
        )
        for run in records.find(client, condition, 50_000)
    ]  # fmt: skip


def adopt(client: "MlflowClient", parent: str, study: str) -> set[int]:
    """Put the study's trials whose own train run is over under this one; return the numbers of those on record."""
    found = of_study(client, study)
    others = {trial.parent for trial in found if trial.parent and trial.parent != parent}
    over = {other for other in others if client.get_run(other).info.status != "RUNNING"}
    for trial in found:
        if trial.parent in over:
            client.set_tag(trial.run_id, PARENT, parent)
    return {trial.number for trial in found if trial.is_whole}


def settle(client: "MlflowClient", study: str) -> None:
    """Remove what is there twice: the lock of who wrote it may have been lost with the database's connection.

    An account that may write runs and not delete them puts it aside under another step.
    """
    from mlflow.exceptions import MlflowException

    kept: dict[int, Found] = {}
    for trial in sorted(of_study(client, study), key=lambda trial: not trial.is_whole):
        if kept.setdefault(trial.number, trial) is not trial:
            try:
                client.delete_run(trial.run_id)
            except MlflowException as error:
                if "error code 403" not in str(error):
                    raise
                client.set_tag(trial.run_id, records.STEP, "double")


def record(client: "MlflowClient", experiment: str, parent: str, entry: Entry) -> None:
    """Write a finished trial as a run nested under the train run, unless it is there; complete one left half-written.

    The caller holds a lock, so that nobody else writes the same one.
    """
    there = of_study(client, entry.study, entry.number)
    if not there:
        write(client, experiment, parent, entry)
    elif not there[0].is_whole:
        _fill(client, there[0].run_id, entry)


def write(client: "MlflowClient", experiment: str, parent: str, entry: Entry) -> None:
    """Write a finished trial that nobody has begun to write: three calls of the server, and no lock.

    Raises Away if another wrote it in the meantime, over a call that hung, and took this half away: look again.
    """
    from mlflow.exceptions import MlflowException

    tags = {PARENT: parent, "mlflow.runName": entry.name, records.STEP: "trial", STUDY: entry.study}
    tags |= {TRIAL: str(entry.number), **tracking.source(), **entry.tags}
    with made_once():
        run = client.create_run(experiment, entry.times_ms[0], tags=tags)
    try:
        _fill(client, run.info.run_id, entry)
    except MlflowException as error:
        if "must be in the 'active' state" in str(error):
            raise Away(f"{entry.name}: it is on record already") from error
        raise


def _fill(client: "MlflowClient", run_id: str, entry: Entry) -> None:
    from mlflow.entities import Metric, Param

    metrics = [Metric(n, float(v), entry.times_ms[1], int(s)) for n, s, v in entry.metrics if not math.isnan(v)]
    client.log_batch(run_id, metrics=metrics, params=[Param(n, str(v)) for n, v in entry.params.items()])
    client.set_terminated(run_id, entry.status, entry.times_ms[1])
