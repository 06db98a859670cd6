"""Remove what nobody needs any more: old splits, models of no version, deleted runs, leftovers in `.ratchet`.

What kept versions need to answer, to be rolled back to and to be built again stays, and is named.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ratchet.adapters import leftovers, models, records, registry, runs, storedfiles
from ratchet.adapters.leftovers import Kept, Needed, Removable
from ratchet.adapters.registry import Version
from ratchet.core import history
from ratchet.core.ledger import Entry
from ratchet.settings import Settings
from ratchet.stages import PRODUCTION, STAGING
from ratchet.steps import chronicle, recipe

if TYPE_CHECKING:
    from mlflow import MlflowClient

DAYS = 7.0  # what is younger stays
MOST = 50_000  # runs of a step that are looked at
SPLITS = "splits"


@dataclass(frozen=True)
class Found:
    """What may be removed and what is kept; notes: what cannot be done from here."""

    removable: list[Removable]
    kept: list[Kept]
    notes: list[str]


def find(settings: Settings, client: "MlflowClient", task: str | None = None, days: float = DAYS) -> Found:
    """Look for what may be removed; nothing is changed.

    Args:
        settings: Where the records are.
        client: Of the tracking store.
        task: Whose splits, models and runs are looked at; None: those of all tasks.
        days: What is younger than so many days stays.
    """
    look = _Look(settings, client, task, time.time() - days * 86_400)
    removable = [*look.splits(), *look.models(), *look.erasable(), *leftovers.find(settings, look.needed)]
    gone = {item.name for item in removable}
    kept = [*look.kept(), *(kept for kept in leftovers.find_kept(settings) if kept.name not in gone)]
    return Found(removable, kept, list(look.notes()))


def remove(found: Found) -> None:
    """Remove what was found."""
    for item in found.removable:
        item.remove()


@dataclass(frozen=True)
class _Look:
    """One look at the records of a task, or of all."""

    settings: Settings
    client: "MlflowClient"
    task: str | None
    before: float
    today: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d}")

    @cached_property
    def busy(self) -> set[str]:
        """The tasks at which somebody works now: their splits and models stay."""
        return runs.at_work(self.client)

    @cached_property
    def entries(self) -> list[Entry]:
        return chronicle.all_entries(self.settings)

    @cached_property
    def prepared(self) -> list[Any]:
        """The runs of preprocess, newest first."""
        return self._runs("preprocess")

    @cached_property
    def trained(self) -> list[Any]:
        """The runs of train, newest first."""
        return self._runs("train")

    @cached_property
    def tasks(self) -> list[str]:
        return sorted({run.data.tags[records.TASK] for run in (*self.prepared, *self.trained)})

    @cached_property
    def versions(self) -> dict[str, list[Version]]:
        """The versions of each task's model, newest first."""
        return {task: registry.versions(self.client, task) for task in self.tasks}

    @cached_property
    def reasons(self) -> dict[tuple[str, int], str]:
        """Why a version is kept with all that it takes to build it again, by task and number."""
        found = {}
        for task, versions in self.versions.items():
            champions = history.champions(history.of_task(self.entries, task))
            for version in versions:
                if version.stage in (STAGING, PRODUCTION):
                    found[task, version.number] = f"it is in {version.stage}"
                elif version.number in champions:
                    found[task, version.number] = "it was in Production; `ratchet rollback` may lead back to it"
                elif version is versions[0]:
                    found[task, version.number] = "it is the newest one"
        return found

    @cached_property
    def needed_splits(self) -> dict[str, str | None]:
        """The run of preprocess of each kept version, by version; None where an older release has not recorded it."""
        found: dict[str, str | None] = {}
        for task, number in self.reasons:
            version = next(version for version in self.versions[task] if version.number == number)
            known = recipe.read(self.client, version) or {}
            found[f"{task} version {number}"] = known.get("preprocess_run")
        return found

    @cached_property
    def needed(self) -> Needed:
        kept = {run for run in self.needed_splits.values() if run} | {run.info.run_id for run in self._newest.values()}
        kept |= {recipe.run_of(version) for versions in self.versions.values() for version in versions}
        locks = {version.tags.get("ratchet.lock", "") for versions in self.versions.values() for version in versions}
        others = self.task is not None  # the copies and environments of other tasks were not looked at
        return Needed(self.before, bool(self.busy) or others, kept, locks - {"", "unknown"})

    @cached_property
    def _newest(self) -> dict[str, Any]:
        """The newest finished run of preprocess of each task, which the next command uses again."""
        found: dict[str, Any] = {}
        for run in self.prepared:
            if run.info.status == "FINISHED" and records.KEY in run.data.tags:
                found.setdefault(run.data.tags[records.TASK], run)
        return found

    def splits(self) -> Iterator[Removable]:
        """Yield the splits that no kept version learned from and the next command does not use."""
        kept = set(self.needed_splits.values()) | {run.info.run_id for run in self._newest.values()}
        unknown = {name.rpartition(" version ")[0] for name, run in self.needed_splits.items() if run is None}
        for run in self.prepared:
            task, run_id = run.data.tags[records.TASK], run.info.run_id
            if run_id in kept or task in self.busy | unknown or not self._is_old(run):
                continue
            if size := storedfiles.bytes_below(run.info.artifact_uri, SPLITS):
                yield Removable("splits", f"{task}: splits of run {run_id}", size, partial(self._drop_splits, run))

    def _drop_splits(self, run: Any) -> None:
        storedfiles.forget(self.client, run, self.today)  # first: nobody uses it again from now on
        storedfiles.remove(run.info.artifact_uri, SPLITS)

    def models(self) -> Iterator[Removable]:
        """Yield the models that are no version's, and that the next command does not use."""
        registered, learned = registry.models_and_runs(self.client)
        newest: dict[str, str] = {}
        for run in self.trained:
            if run.info.status == "FINISHED" and models.MODEL in run.data.tags:
                newest.setdefault(run.data.tags[records.TASK], run.data.tags[models.MODEL])
        for run in self.trained:
            uri, task = run.data.tags.get(models.MODEL, ""), run.data.tags[records.TASK]
            model_id = uri.removeprefix("models:/")
            is_needed = model_id in registered or run.info.run_id in learned or uri == newest.get(task)
            if not uri or "ratchet.reused" in run.data.tags or is_needed or task in self.busy or not self._is_old(run):
                continue
            place = self.client.get_logged_model(model_id).artifact_location
            size = storedfiles.bytes_below(place)
            yield Removable("models of no version", f"{task}: model of run {run.info.run_id}", size,
                            partial(self._drop_model, uri, place))  # fmt: skip

    def _drop_model(self, uri: str, place: str) -> None:
        for run in self.trained:
            if run.data.tags.get(models.MODEL) == uri:
                storedfiles.forget(self.client, run, self.today)
        storedfiles.remove(place)
        self.client.delete_logged_model(uri.removeprefix("models:/"))

    def erasable(self) -> Iterator[Removable]:
        """Yield the runs that somebody deleted in MLflow, unless a version comes from one; through a server, none."""
        if storedfiles.may_erase(self.client):
            for run in self._deleted:
                size = storedfiles.bytes_below(run.info.artifact_uri)
                yield Removable("deleted runs", run.info.run_id, size, partial(storedfiles.erase, self.client, run))

    @cached_property
    def _deleted(self) -> list[Any]:
        needed = {run for run in self.needed_splits.values() if run} | set(self.needed.runs)
        needed |= {version.tags.get("ratchet.evaluate_run", "") for each in self.versions.values() for version in each}
        needed |= registry.models_and_runs(self.client)[1]
        found = storedfiles.deleted_runs(self.client, self._whose)
        # What those have written of the ledger is what tells that it was changed since.
        found = [run for run in found if run.data.tags.get(records.STEP) not in chronicle.WRITERS]
        return [run for run in found if run.info.run_id not in needed and self._is_old(run)]

    def kept(self) -> Iterator[Kept]:
        """Yield what is kept of each task, and why."""
        for (task, number), why in self.reasons.items():
            run = self.needed_splits[f"{task} version {number}"]
            what = f"splits of run {run}" if run else "all splits, since its own are not on record"
            yield Kept(f"{task} version {number}", f"{why}: its model, recipe and study, and {what}")
        for task, run in self._newest.items():
            yield Kept(f"{task}: splits of run {run.info.run_id}", "the newest ones, which the next command uses again")
        for task in sorted(self.busy & set(self.tasks)):
            yield Kept(f"{task}: its splits and models", "a command works at it now")

    def notes(self) -> Iterator[str]:
        """Yield what cannot be done from here."""
        if not storedfiles.may_erase(self.client) and (count := len(self._deleted)):
            yield (f"{count} deleted runs are on the server; whoever keeps it types there: mlflow gc --older-than 30d"
                   " (it erases deleted experiments too)")  # fmt: skip

    @property
    def _whose(self) -> str:
        return f"tags.`{records.TASK}` " + (f"= '{self.task}'" if self.task else "LIKE '%'")

    def _runs(self, step: str) -> list[Any]:
        found = records.find(self.client, f"{self._whose} and tags.`{records.STEP}` = '{step}'", MOST)
        return [run for run in found if run.info.status != "RUNNING" and storedfiles.PRUNED not in run.data.tags]

    def _is_old(self, run: Any) -> bool:
        return bool((run.info.end_time or run.info.start_time) / 1000 < self.before)


def as_json(found: Found, is_removed: bool) -> dict[str, Any]:
    """Return what was found as plain values: counts and bytes by kind, each thing, and what is kept."""
    kinds: dict[str, dict[str, int]] = {}
    for item in found.removable:
        kind = kinds.setdefault(item.kind, {"count": 0, "bytes": 0})
        kind["count"] += 1
        kind["bytes"] += item.bytes
    return {
        "removed": is_removed,
        "kinds": kinds,
        "bytes": sum(item.bytes for item in found.removable),
        "items": [{"kind": item.kind, "name": item.name, "bytes": item.bytes} for item in found.removable],
        "kept": [vars(kept) for kept in found.kept],
        "notes": found.notes,
    }
