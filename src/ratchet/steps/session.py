"""What the steps share: the task, the tracking store, who watches, and how a finished run is used again."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ratchet.adapters import sources, tracking
from ratchet.adapters.sources import Table
from ratchet.adapters.tracking import Run
from ratchet.config import Settings, Task

if TYPE_CHECKING:
    from mlflow import MlflowClient

Result = TypeVar("Result")
PACKAGE = Path(__file__).parents[1]


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
        return [sources.locate(name, source, self.settings) for name, source in self.task.data.sources.items()]

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A folder of one's own, beside the databases, removed at the end."""
        self.settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=self.settings.home) as folder:
            yield Path(folder)

    def step(
        self,
        name: str,
        key: str,
        parent: Run | None,
        recall: Callable[[str], Result],
        work: Callable[[Run], Result],
    ) -> Result:
        """Do the work in a run of its own, or recall the newest finished run whose inputs were the same.

        Within a session a step is done once, whoever asks for it.
        """
        if key not in self.results:
            self.results[key] = self._step(name, key, parent, recall, work)
        result: Result = self.results[key]
        return result

    def _step(
        self,
        name: str,
        key: str,
        parent: Run | None,
        recall: Callable[[str], Result],
        work: Callable[[Run], Result],
    ) -> Result:
        found = None if self.force else tracking.find_finished(self.client, name, key)
        adopts = parent is None and "MLFLOW_RUN_ID" in os.environ
        if found and not adopts:
            try:
                return self._recalled(name, found[0], recall)
            except FileNotFoundError:
                self.progress.note(f"{name}: the files of run {found[0]} are gone, so it runs again")
                found = None
        with tracking.opened(self.client, self.task.name, name, parent) as run:
            if found:  # `mlflow run` opened a run for this step: it points at the one that is used again
                run.set_tags({"ratchet.reused": found[0]})
                return self._recalled(name, found[0], recall)
            self.progress.step(name, "running")
            result = work(run)
            run.set_tags({tracking.KEY: key})
        self.progress.step(name, "done")
        return result

    def _recalled(self, name: str, run_id: str, recall: Callable[[str], Result]) -> Result:
        result = recall(run_id)
        self.progress.step(name, "reused")
        return result


def key_of(code: tuple[str, ...], *parts: Any) -> str:
    """Return the digest of what a step depends on: files and folders of the package, and plain values."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for name in code:
        place = PACKAGE / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:32]
