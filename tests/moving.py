"""Versions to move: one is trained, and registered again as often as a test needs one."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ratchet import taskfile
from ratchet.adapters import process, registry, tracking
from ratchet.adapters.registry import Version
from ratchet.config import override
from ratchet.console import Quiet
from ratchet.core.ledger import Entry
from ratchet.operate import rollback, withdraw
from ratchet.settings import Settings
from ratchet.stages import PRODUCTION, PROMOTE, STAGING
from ratchet.steps import chronicle, moves, train, yardstick
from ratchet.steps.session import Session

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"sources": {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=3"]}}, "target": "defaulted",
             "positive": 1, "id": "applicant_id", "drop": ["applied_at", "probability_of_default"]},
    "search": {"models": ["linear"], "trials": 1, "folds": 2},
    "gates": {"staging": [{"beats": "dummy", "point": True}], "production": [{"metric": "roc_auc", "max_drop": 0.5}]},
}  # fmt: skip


def task_in(place: Path, **sections: Any) -> Path:
    """The file of the small task, with sections replaced."""
    path = place / f"{sections.get('name', 'small')}.yaml"
    path.write_text(yaml.safe_dump(SMALL | sections), encoding="utf-8")
    return path


def session(config: Path, seed: int | None = None) -> Session:
    """A session as a command opens it, in the folder and the environment of now."""
    settings, task = Settings.from_env(), taskfile.load(config)
    task = task.model_copy(update={"search": override(task.search, seed=seed)})
    return Session(task, settings, tracking.client(settings), Quiet())


def again(at: Session, count: int = 1) -> list[int]:
    """Register the first version's model as further versions; their numbers."""
    first = registry.numbered(at.client, at.task.name, 1)
    kept = (*train.ORIGIN, yardstick.JUDGED_IN, "ratchet.evidence.production")
    tags = {name: first.tags.get(name, "") for name in kept}
    logged = at.client.get_logged_model(first.tags["ratchet.model_id"])
    made = [
        at.client.create_model_version(
            first.name, logged.artifact_location, first.run_id, tags=tags, model_id=logged.model_id
        )
        for _ in range(count)
    ]
    return [int(version.version) for version in made]


def promote(at: Session, number: int, to: str = PRODUCTION, seen: int | None = None) -> Version:
    """Bring a version through the stages as `ratchet promote` does once its gates are open.

    seen: the champion that it was compared with; unset: the one that there is.
    """
    with at.opened(PROMOTE) as run, moves.begun(at, run) as board:
        version = registry.numbered(at.client, at.task.name, number)
        moves.require_champion(version, seen or moves.champion(board.entries), board.entries)
        for stage in (STAGING, PRODUCTION) if to == PRODUCTION else (STAGING,):
            version = registry.numbered(at.client, at.task.name, number)
            if version.stage not in (stage, PRODUCTION):
                entries = chronicle.entries(at)
                moves.require_allowed(version, PROMOTE, stage, entries)
                moves.made(at, run, version, moves.change_of(version, PROMOTE, stage, entries))
    return registry.numbered(at.client, at.task.name, number)


def back(at: Session, number: int | None = None, why: str = "") -> int:
    """Roll back; the number of the version that is the champion now."""
    return rollback.rollback(at, number, why)[1].number


def withdrawn(at: Session, reason: str = "it approves everybody") -> int:
    """Withdraw the champion; its number."""
    return withdraw.withdraw(at, reason).version.number


def as_user(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have commands of this process run by that user of the system."""
    monkeypatch.setattr(process, "user", lambda: name)


def stages(at: Session) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Stage and aliases of each version, by the registry."""
    return {v.number: (v.stage, v.aliases) for v in registry.versions(at.client, at.task.name)}


def in_production(at: Session) -> list[int]:
    """The versions in Production, by the registry."""
    return [number for number, (stage, _) in stages(at).items() if stage == PRODUCTION]


def edited(at: Session, number: int, stage: str, archive: bool = False) -> None:
    """Move a version past the ledger, as in MLflow's UI."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        at.client.transition_model_version_stage(at.task.name, str(number), stage, archive_existing_versions=archive)


def copied(store: Path, place: Path) -> Path:
    """A copy of a prepared folder; its model files stay where they were."""
    for name in ("mlflow.db", "small.yaml"):
        shutil.copy(store / name, place / name)
    shutil.copytree(store / ".ratchet", place / ".ratchet", ignore=shutil.ignore_patterns("work-*"))
    return place / "small.yaml"


def whole(entries: Sequence[Entry]) -> bool:
    """Whether each intent came to its end."""
    from ratchet.core import history

    return not history.unfinished(entries)
