"""What a version's model server must say before it answers anybody: its sample rows, as evaluate recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratchet.adapters import modelserver, records
from ratchet.adapters.registry import Version
from ratchet.config import GroupSplit, Task, TimeSplit
from ratchet.core import answers
from ratchet.errors import ServerError
from ratchet.serving.routes import Backend, Signature
from ratchet.steps.session import Session

EVALUATED = "ratchet.evaluate_run"  # tag of a version: the run that recorded its answers


@dataclass(frozen=True)
class Known:
    """What is known of a version. recorded: its answers to the sample rows; None where nobody recorded them."""

    version: int
    signature: Signature
    sample: tuple[Mapping[str, Any], ...]
    recorded: tuple[Mapping[str, Any], ...] | None

    def backend(self, url: str) -> Backend:
        """Return a server as one that answers, once it has said what it must.

        Raises Away if it does not answer, ServerError if it says anything else.
        """
        try:
            answered = list(modelserver.ask(url, {"dataframe_records": list(self.sample)})["predictions"])
        except (KeyError, TypeError, ValueError):
            raise ServerError(f"{url}: what answers there is no model server of MLflow") from None
        if self.recorded is not None and (odd := answers.difference(answered, self.recorded)):
            raise ServerError(f"version {self.version} does not take over: {odd}")
        if len(answered) != len(self.sample):
            raise ServerError(
                f"version {self.version} does not take over: it gives {len(answered)} answers to its"
                f" {len(self.sample)} sample rows"
            )
        return Backend(self.version, url, self.signature, self.sample, tuple(answered))


def known(session: Session, version: Version, model: Path) -> Known:
    """Return what is known of a version, by its verified copy and by the run that judged it."""
    run_id = version.tags.get(EVALUATED)
    report = records.read_json_if_there(session.client, run_id, "evaluation.json") if run_id else None
    recorded = report.get("answers") if report else None
    sample = modelserver.sample_rows(model)["dataframe_records"]
    return Known(
        version.number, _signature(session.task, model), tuple(sample), None if recorded is None else tuple(recorded)
    )


def _signature(task: Task, model: Path) -> Signature:
    said = modelserver.reads(model)
    further = {task.data.target, task.data.id, task.data.truth, task.rollout.key, *task.data.drop}
    if isinstance(task.split, TimeSplit):
        further.add(task.split.column)
    elif isinstance(task.split, GroupSplit):
        further.update(task.split.columns)
    columns = said.known | frozenset(name for name in further if name and name not in said.inputs)
    missing = task.data.missing_words if said.missing is None else said.missing
    return Signature(
        said.inputs, columns, said.outputs, "explain" in said.params, said.kind, said.classes, missing, said.columns,
        said.numbers,
    )  # fmt: skip
