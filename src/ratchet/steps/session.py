"""What the steps share: the task, the tracking store, who watches, and how a finished run is used again."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from ratchet.adapters import database, models, places, records, runs, sending, sources
from ratchet.adapters.models import Model
from ratchet.adapters.patience import Patience, is_away
from ratchet.adapters.runs import Run
from ratchet.adapters.sources import Table
from ratchet.adapters.spool import Spool
from ratchet.config import Task
from ratchet.settings import Settings, masked
from ratchet.steps.inputs import changes, digest_of, sentence

if TYPE_CHECKING:
    from mlflow import MlflowClient

Result = TypeVar("Result")
INPUTS, WORK = "inputs.json", "work-"
LOCK_WAIT_S = 300  # for the lock under which a trial is put on record


class Progress(Protocol):
    """Who watches: the command line, or nobody."""

    def step(self, name: str, state: str) -> None:
        """A step begins or ends; state: running, done, reused."""
        ...

    def trial(self, done: int, total: int, best: str, left_s: float) -> None:
        """A trial is finished."""
        ...

    def rows(self, done: int) -> None:
        """So many rows are scored."""
        ...

    def note(self, text: str) -> None:
        """Something to know."""
        ...


@dataclass(frozen=True)
class Session:
    """One task at work on one tracking store."""

    task: Task
    settings: Settings
    client: "MlflowClient"
    progress: Progress
    force: bool = False
    results: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def tables(self) -> list[Table]:
        """The sources of the task, found and checked."""
        return sources.located(self.task.data, self.settings, self.progress.note)

    @cached_property
    def patience(self) -> Patience:
        """How long a server or database that is away is waited for."""
        return Patience(self.settings.patience_s, self.progress.note)

    @cached_property
    def spool(self) -> Spool:
        """What is logged and not yet on the tracking server."""
        locked = partial(database.lock, self.settings, wait_s=LOCK_WAIT_S)
        send = partial(sending.send, self.client, locked, key=self.settings.model_key)
        server = masked(self.settings.tracking_uri)
        # Each server has its own, and each account: what one may log is refused to another.
        whose = hashlib.sha256(f"{same(server)} {os.environ.get('MLFLOW_TRACKING_USERNAME', '')}".encode()).hexdigest()
        home = self.settings.home / "spool" / whose[:8]
        return Spool(home, send, self.patience, server)

    @cached_property
    def came_first(self) -> int:
        """How many records of earlier commands, which are gone, were sent before this one looks at or logs a run."""
        if sent := self.spool.send_left_behind():
            self.progress.note(f"{sent} records that an earlier command had left behind are sent")
        return sent

    def opened(self, step: str, parent: Run | None = None) -> AbstractContextManager[Run]:
        """Open the run of a step; see `runs.opened`."""
        _ = self.came_first
        return runs.opened(self.client, self.spool, self.task.name, step, parent)

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A folder of one's own, removed at the end; what a kill leaves `ratchet prune` removes."""
        with places.place(self.settings.home, WORK) as folder:
            yield folder

    @contextmanager
    def fetched(self, model: Model) -> Iterator[Path]:
        """A copy of a model, checked and removed at the end; see `models.fetched`."""
        with self.work_folder() as place:
            yield models.fetched(self.client, model, place, self.settings.model_public_key)

    def scorer(self, model: Model) -> Any:
        """The scorer inside a model; see `models.fetched`."""
        with self.fetched(model) as folder:
            return models.load_scorer(folder)

    def scorer_with_metadata(self, model: Model) -> tuple[Any, dict[str, Any]]:
        """The scorer inside a model, and the metadata that it was logged with; see `models.fetched`."""
        with self.fetched(model) as folder:
            return models.load_scorer(folder), models.metadata(folder)

    def do(self, step: "Step[Result]", parent: Run | None) -> Result:
        """Do the work in a run of its own, or recall the newest finished run whose inputs were the same.

        Within a session a step is done once, whoever asks for it.
        """
        key = digest_of(step.inputs)
        _ = self.came_first
        if key not in self.results:
            self.results[key] = self._do(step, key, parent)
        result: Result = self.results[key]
        return result

    def _do(self, step: "Step[Result]", key: str, parent: Run | None) -> Result:
        found = self.finished(step.name, key)
        adopts = parent is None and "MLFLOW_RUN_ID" in os.environ
        if found and not adopts:
            try:
                return self._recalled(step, found)
            except FileNotFoundError:
                self.progress.note(f"{step.name}: the files of run {found} are gone, so it runs again")
                found = None
        elif not found and (changed := self.why(step.name, step.inputs)):
            self.progress.note(f"{step.name} runs again: {sentence(changed)}")
        with self.opened(step.name, parent) as run:
            if found:  # `mlflow run` opened a run for this step: it points at the one that is used again
                run.set_tags({"ratchet.reused": found})
                return self._recalled(step, found)
            self.progress.step(step.name, "running")
            step.work(run)
            inputs = step.settled() if step.settled else step.inputs
            run.log_json(inputs, INPUTS)
            run.set_tags({records.KEY: digest_of(inputs)})
        self.progress.step(step.name, "done")
        return step.recall(run.id)

    def finished(self, name: str, key: str) -> str | None:
        """Return the id of the newest finished run of a step with this key; with `force` there is none."""
        return None if self.force else records.find_finished(self.client, name, key)

    def finished_if_known(self, name: str, key: str) -> str | None:
        """Return what `finished` returns; None too where the server, which knows, is away."""
        try:
            return self.finished(name, key)
        except Exception as error:
            if not is_away(error):
                raise
            return None

    def why(self, name: str, inputs: Mapping[str, str]) -> dict[str, str] | None:
        """Return what differs from the step's newest finished run: input -> how; None if there is no such run."""
        if self.force:
            return {"--force": "was given"}
        former = records.last_finished(self.client, self.task.name, name)
        seen = records.read_json_if_there(self.client, former, INPUTS) if former else None
        return None if seen is None else changes(seen, inputs)

    def _recalled(self, step: "Step[Result]", run_id: str) -> Result:
        result = step.recall(run_id)
        self.progress.step(step.name, "reused")
        return result


@dataclass(frozen=True)
class Step(Generic[Result]):
    """One step of a task. inputs: name -> digest or value of all that the result depends on.

    work: makes the result in a new run; recall: reads it from a finished one; settled: the inputs as they are after
    the work, where it brings some of them itself.
    """

    name: str
    inputs: Mapping[str, str]
    recall: Callable[[str], Result]
    work: Callable[[Run], None]
    settled: Callable[[], Mapping[str, str]] | None = None


def same(address: str) -> str:
    """Return the address of a store in one way of writing: no account, small letters, no slash at the end."""
    parts = urlsplit(address)
    if parts.scheme == "sqlite":
        return str(Path(address.removeprefix("sqlite:///")).absolute())
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}{parts.path.rstrip('/')}"
