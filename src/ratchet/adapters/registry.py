"""The model registry: versions, their stages and aliases.

MLflow's own stage transition is not atomic, so every move happens under the caller's lock and is read back. Stages
are deprecated in MLflow; every move also sets the alias, so that this file and stages.py change on the day they go.
"""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters import stops
from ratchet.adapters.patience import made_once
from ratchet.errors import Away, RatchetError, ServerError, did_you_mean
from ratchet.stages import ALIASES, ARCHIVED, PRODUCTION, STAGING

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCORER, ENTRY = "scorer", "model.py"
MANIFEST = "manifest.json"  # artifact of that run: the sha256 of each file of the model
MODEL = "ratchet.model_uri"  # tag of a run: the model that it made or judged


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    number: int
    stage: str
    run_id: str
    source: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    updated_ms: int

    @property
    def uri(self) -> str:
        """The address by which MLflow loads it."""
        return f"models:/{self.name}/{self.number}"


def log_model(client: "MlflowClient", run_id: str, folder: Path, about: Mapping[str, Any]) -> str:
    """Log a scorer as an MLflow model of the run, unless it is there; return its URI, `models:/<model id>`.

    One that an earlier call began and did not finish is written over.
    It is read back and compared before the run names it, so no version ever stands on a model that is not whole.
    folder: holds the scorer's folder and the file that MLflow copies into the model and runs to load it, as SCORER and
    ENTRY; about: signature columns (`inputs`, `outputs`: name -> (type, required)), `requirements` and `metadata`.
    Raises Away if it came back as another one.
    """
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    def schema(columns: Mapping[str, tuple[str, bool]]) -> Any:
        return Schema([ColSpec(kind, name, required=required) for name, (kind, required) in columns.items()])

    run = client.get_run(run_id)
    if MODEL in run.data.tags:
        return str(run.data.tags[MODEL])
    experiment = run.info.experiment_id
    begun = client.search_logged_models([experiment], f"source_run_id = '{run_id}'", max_results=1)
    # Made here: left to MLflow it would belong to the experiment Default, where a scientist has no rights.
    with made_once():
        made = begun[0] if begun else client.create_logged_model(experiment, "model", run_id, params=run.data.params)
    # Explicit signature and requirements: inferring them costs seconds per model.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Model.log(
            None,
            mlflow.pyfunc,
            model_id=made.model_id,
            run_id=run_id,
            python_model=str(folder / ENTRY),
            artifacts={SCORER: str(folder / SCORER)},
            signature=ModelSignature(schema(about["inputs"]), schema(about["outputs"])),
            pip_requirements=about["requirements"],
            metadata=about["metadata"],
        )
    uri = f"models:/{made.model_id}"
    with tempfile.TemporaryDirectory() as place:
        came = download(uri, Path(place))
        (came / "registered_model_meta").unlink(missing_ok=True)  # MLflow's, of the download itself
        if digests(came / "artifacts" / SCORER) != digests(folder / SCORER):
            raise Away(f"{uri}: what is in the store is not what was sent")
        client.log_dict(run_id, digests(came), MANIFEST)
    client.set_tag(run_id, MODEL, uri)  # last: with it the model is whole
    return uri


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file below a folder, by its path there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def load_scorer(uri: str) -> Any:
    """Return the scorer inside a logged model, run by the model's own code."""
    import mlflow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlflow.pyfunc.load_model(uri).unwrap_python_model().scorer


def download(uri: str, target: Path | None = None) -> Path:
    """Return the local folder of a model."""
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(target) if target else None))


def versions(client: "MlflowClient", name: str) -> list[Version]:
    """Return all versions of a model, newest first; none if it is not registered."""
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return []
        raise
    aliases: dict[int, list[str]] = {}
    for alias, number in model.aliases.items():
        aliases.setdefault(int(number), []).append(alias)
    found = [
        Version(
            name,
            int(v.version),
            v.current_stage,
            v.run_id or "",
            v.source,
            dict(v.tags),
            tuple(sorted(aliases.get(int(v.version), []))),
            v.last_updated_timestamp or 0,
        )
        for v in client.search_model_versions(f"name = '{name}'")
    ]
    return sorted(found, key=lambda version: -version.number)


def numbered(client: "MlflowClient", name: str, number: int) -> Version:
    """Return the version of that number as it is now.

    Raises RatchetError if there is none.
    """
    for version in versions(client, name):
        if version.number == number:
            return version
    raise RatchetError(f"{name}: there is no version {number}")


def in_stage(client: "MlflowClient", name: str, stage: str) -> Version | None:
    """Return the version in the stage, or None.

    Raises RatchetError if more than one is there.
    """
    found = [version for version in versions(client, name) if version.stage == stage]
    if len(found) > 1:
        numbers = ", ".join(str(version.number) for version in found)
        raise RatchetError(
            f"{name}: versions {numbers} are all in {stage}; `ratchet reconcile -c FILE --revert` puts back what the"
            " ledger says"
        )
    return found[0] if found else None


def behind(client: "MlflowClient", name: str, stage: str) -> Version:
    """Return the version in the stage; the stage may be written in any case.

    Raises RatchetError that says what to do if there is none.
    """
    known = {stage.lower(): stage for stage in (STAGING, PRODUCTION, ARCHIVED)}
    if stage.lower() not in known:
        hint = did_you_mean(stage, known.values()) or f"; one of {', '.join(known.values())}"
        raise RatchetError(f"stage {stage!r}: no such stage{hint}")
    found = in_stage(client, name, known[stage.lower()])
    if found is None:
        raise RatchetError(
            f"{name}: no version is in {known[stage.lower()]}; ratchet promote -c FILE --to staging brings one to"
            " Staging, ratchet run to Production"
        )
    return found


def register(client: "MlflowClient", name: str, model_uri: str, run_id: str, about: Mapping[str, Any]) -> Version:
    """Register a logged model as a version, or return the version that it already is: after a lost answer call again.

    about: `description`, and `tags` by name.
    """
    from mlflow.exceptions import MlflowException

    model_id = model_uri.removeprefix("models:/")
    known = [version for version in versions(client, name) if version.tags.get("ratchet.model_id") == model_id]
    if known:
        return known[0]
    try:
        client.create_registered_model(name, description=about["description"])
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {key: str(value) for key, value in about["tags"].items()} | {"ratchet.model_id": model_id}
    # Given the logged model's own place: a `models:/` source would be resolved by a server that may lack rights.
    source = client.get_logged_model(model_id).artifact_location
    with made_once():
        made = client.create_model_version(
            name, source, run_id, tags=tags, description=about["description"], model_id=model_id
        )
    return numbered(client, name, int(made.version))


def tagged(client: "MlflowClient", version: Version, tags: Mapping[str, str], description: str | None = None) -> None:
    """Write what is said of a version on its page: tags and, if given, its description; what stands there is left."""
    for name, value in tags.items():
        if version.tags.get(name) != value:
            client.set_model_version_tag(version.name, str(version.number), name, value)
    if description is not None:
        client.update_model_version(version.name, str(version.number), description)


@stops.uninterrupted()
def move(client: "MlflowClient", version: Version, stage: str) -> None:
    """Move a version to a stage, its alias with it; who was there is archived.

    It may be called again after it was cut off anywhere. Call it under the lock of the model; a SIGINT waits until it
    is done. Raises ServerError if the registry does not show the move afterwards.
    """
    name = version.name
    version = numbered(client, name, version.number)
    # First, since it takes the most rights: whoever lacks them is refused before anything has moved.
    for alias in set(version.aliases) & (set(ALIASES.values()) - {ALIASES.get(stage)}):
        client.delete_registered_model_alias(name, alias)
    there = [v.number for v in versions(client, name) if v.stage == stage]
    if version.stage != stage or (stage in ALIASES and there != [version.number]):
        _transition(client, version, stage)
    if stage in ALIASES:
        client.set_registered_model_alias(name, ALIASES[stage], str(version.number))
    _verify(client, version, stage)


def _transition(client: "MlflowClient", version: Version, stage: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*transition_model_version_stage.*", category=FutureWarning)
        client.transition_model_version_stage(
            version.name, str(version.number), stage, archive_existing_versions=stage in ALIASES
        )


def _verify(client: "MlflowClient", version: Version, stage: str) -> None:
    now = {v.number: v for v in versions(client, version.name)}
    there = [v.number for v in now.values() if v.stage == stage]
    right_alias = stage not in ALIASES or ALIASES[stage] in now[version.number].aliases
    if now[version.number].stage != stage or (stage in ALIASES and there != [version.number]) or not right_alias:
        state = json.dumps({v.number: [v.stage, *v.aliases] for v in now.values()})
        raise ServerError(f"{version.name}: version {version.number} did not reach {stage}: the registry shows {state}")
