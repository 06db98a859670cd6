"""Build a version again from what its train run recorded, in the code and environment of then, and compare."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import ValidationError

from ratchet.adapters import copies, environments, git, machine, models, records, registry, sources
from ratchet.adapters.registry import Version
from ratchet.config import Task, is_database
from ratchet.core import compare
from ratchet.errors import DataError, RatchetError, ServerError
from ratchet.steps import recipe
from ratchet.steps.session import Session

TAG = "ratchet.reproduced"  # of a version: when it was built again, and what came of it
PLATFORM = ("system", "processor", "instructions")  # on another one the last bits of a sum may differ
SCORER = f"artifacts/{models.SCORER}/"
Recipe = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What is asked. environment: built from the recorded lock, or this one; repository: a clone that holds the commit.

    tolerance: the largest difference of a score that is let pass on another platform.
    """

    number: int
    environment: Literal["locked", "here"] = "locked"
    repository: Path | None = None
    tolerance: float = 0.0


def reproduce(session: Session, asked: Asked) -> dict[str, Any]:
    """Fit the recorded configuration again, search nothing, and return how what came out compares.

    Raises RatchetError, a line for each input that is missing.
    """
    version = registry.numbered(session.client, session.task.name, asked.number)
    known = recipe.read(session.client, version)
    if known is None:
        raise RatchetError(
            f"{version.name} version {version.number}: its run {recipe.run_of(version)} holds no {recipe.RECIPE}: an"
            " older release trained it, or its files are gone; what is trained now can be built again"
        )
    repository = _require_inputs(session, asked, version, known)
    session.progress.step("reproduce", "running")
    with session.work_folder() as place:
        git.extract(repository, _commit(known), place / "code")
        python = Path(sys.executable)
        if asked.environment == "locked":
            lock, wanted = place / "code" / recipe.LOCK, known["machine"]["python"]
            python = environments.locked(lock, wanted, session.settings.home, session.progress.note)
        made = _fit(python, place, known, session.settings.data_folders)
        found = _compared(session, version, known, made)
    found |= {"task": version.name, "version": version.number, "environment": asked.environment}
    close = found["largest"] <= asked.tolerance and not found["decided_otherwise"]
    found["passes"] = found["identical"] or (not found["same_platform"] and close)
    _keep(session, version, found)
    session.progress.step("reproduce", "done")
    return found


def _require_inputs(session: Session, asked: Asked, version: Version, known: Recipe) -> Path:
    """Return the repository that holds the commit.

    Raises RatchetError that names all that is missing.
    """
    repository = git.repository(asked.repository)
    missing = [*_missing_code(asked, known, repository), *_missing_data(session, known)]
    if asked.environment == "here" and known["digests"]["lock"] != recipe.lock_digest():
        missing.append(
            f"its environment: it was trained with lock {known['digests']['lock'][:12]}, here it is"
            f" {recipe.lock_digest()[:12]}; leave --environment out, and the recorded one is built"
        )
    if missing or repository is None:
        raise RatchetError(
            "\n".join(f"{version.name} version {version.number} cannot be built again: {line}" for line in missing)
        )
    return repository


def _missing_code(asked: Asked, known: Recipe, repository: Path | None) -> Iterator[str]:
    commit, origin = _commit(known), known["origin"] or "where it came from"
    if commit == "unknown":
        yield "its commit is not known: Ratchet was installed without its repository when it was trained"
    elif repository is None:
        place = asked.repository or "Ratchet's own folder"
        yield f"{place} is no git repository; clone {origin} and name the clone with --repository"
    elif not git.holds(repository, commit):
        yield f"commit {commit} is not in {repository}; fetch it from {origin}, or name a clone with --repository"
    elif git.read(repository, commit, recipe.LOCK) is None:
        yield f"commit {commit} holds no {recipe.LOCK}"


def _missing_data(session: Session, known: Recipe) -> Iterator[str]:
    """Look at the sources before an environment is built for them; the code of then looks again."""
    try:
        task = Task.model_validate(known["task"])
        if any(is_database(uri) for source in task.data.sources.values() for uri in source.uris):
            return  # asked twice it would be paid twice
        recipe.require_data(known, sources.located(task.data, session.settings, session.progress.note))
    except ValidationError:
        return  # a task of another release
    except DataError as error:
        yield from str(error).splitlines()


def _commit(known: Recipe) -> str:
    return str(known["commit"]).removesuffix(git.DIRTY)


def _fit(python: Path, place: Path, known: Recipe, data_folders: Sequence[Path]) -> Path:
    """Fit the recipe by the code in the place; return the folder of what was made."""
    asked, made = place / recipe.RECIPE, place / "made"
    asked.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")
    dropped = {*machine.VARIABLES, "MLFLOW_RUN_ID", "PYTHONHOME"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    told = {
        "PYTHONPATH": str(place / "code" / "src"),
        "PYTHONNOUSERSITE": "1",
        "RATCHET_DATA": ":".join(map(str, data_folders)),
        **machine.of_threads(known["variables"]),
    }
    if os.cpu_count() != known["threads"]:  # where nothing is said the libraries take all processors
        told = {"OMP_NUM_THREADS": str(known["threads"]), **told}
    command = [str(python), "-P", "-m", "ratchet", "fit", str(asked), "--output", str(made), "--json"]
    done = subprocess.run(command, env=kept | told, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1].removeprefix("ratchet: ")
        raise RatchetError(f"commit {_commit(known)} could not fit it again: {said}")
    return made


def _compared(session: Session, version: Version, known: Recipe, made: Path) -> dict[str, Any]:
    here: Recipe = json.loads((made / recipe.RECIPE).read_text(encoding="utf-8"))
    was = pd.read_parquet(records.fetch(session.client, recipe.run_of(version), recipe.PREDICTIONS))
    now = pd.read_parquet(made / recipe.PREDICTIONS)
    apart = compare.predictions(was, now) if was[recipe.ROW].equals(now[recipe.ROW]) else None
    manifest = records.read_json_if_there(session.client, recipe.run_of(version), models.MANIFEST) or {}
    files = {n.removeprefix(SCORER): digest for n, digest in manifest.items() if n.startswith(SCORER)}
    parts = list(_parts(known, here))
    return {
        "identical": bool(apart and apart.is_identical),
        "comparable": apart is not None,
        "largest": apart.largest if apart else float("inf"),
        "decided_otherwise": apart.decided if apart else 1.0,
        "rows": len(was),
        "parts": parts,
        "same_platform": all(part["same"] for part in parts if part["part"] in PLATFORM),
        "from_changed_code": known["commit"].endswith(git.DIRTY),
        "changed_code": _changed(known["code"], here["code"]),
        "files": len(files),
        "changed_files": _changed(files, copies.digests(made / "scorer")),
    }


def _parts(known: Recipe, here: Recipe) -> Iterator[dict[str, Any]]:
    """Yield, of each thing that decides the outcome, what was recorded and what it is here."""
    changed = _changed(known["code"], here["code"])
    yield _part("commit", known["commit"], _commit(known))
    yield _part("code", f"{len(known['code'])} files", f"changed: {', '.join(changed)}" if changed else "the same",
                same=not changed)  # fmt: skip
    for name in ("data", "split", "config", "lock"):
        yield _part(name, known["digests"][name], here["digests"][name])
    for name in ("seed", "threads", "device"):
        yield _part(name, str(known[name]), str(here[name]))
    for name in ("python", "packages", *PLATFORM):
        yield _part(name, known["machine"][name], here["machine"][name])


def _part(name: str, was: str, now: str, same: bool | None = None) -> dict[str, Any]:
    return {"part": name, "recorded": was, "here": now, "same": was == now if same is None else same}


def _changed(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*was, *now} if was.get(name) != now.get(name))


def verdict(found: Mapping[str, Any]) -> str:
    """Return what came of it in a few words."""
    if not found["comparable"]:
        return "answers another question, or for other rows"
    return "is identical" if found["identical"] else f"differs by up to {found['largest']:.3g}"


def _keep(session: Session, version: Version, found: Mapping[str, Any]) -> None:
    """Put it on record as a run and as a tag of the version, where the account may."""
    from mlflow.exceptions import MlflowException

    said = f"{datetime.now(UTC):%Y-%m-%d} {verdict(found).removeprefix('is ')}"
    try:
        with session.opened("reproduce") as run:
            run.log_json(found, "reproduction.json")
            run.set_tags({"ratchet.version": version.number, TAG: said})
        session.client.set_model_version_tag(version.name, str(version.number), TAG, said)
    except (MlflowException, ServerError) as error:
        session.progress.note(f"it is not put on record: {(str(error).splitlines() or [''])[0][:200]}")
