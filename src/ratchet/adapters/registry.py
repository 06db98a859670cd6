"""The model registry: versions, their stages and aliases.

MLflow's own stage transition is not atomic, so every move happens under the caller's lock and is read back. Stages
are deprecated in MLflow; every move also sets the alias, so that this file and stages.py change on the day they go.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ratchet.adapters import stops
from ratchet.adapters.patience import made_once
from ratchet.errors import RatchetError, ServerError, did_you_mean
from ratchet.stages import ALIASES, ARCHIVED, PRODUCTION, STAGING

if TYPE_CHECKING:
    from mlflow import MlflowClient


PAGE = 1_000  # versions that are asked for at a time
MODEL_ID = "ratchet.model_id"  # tag of a version: the logged model that it is


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
    description: str = ""

    @property
    def uri(self) -> str:
        """The address by which MLflow loads it."""
        return f"models:/{self.name}/{self.number}"


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
    found = client.search_model_versions(f"name = '{name}'")
    return sorted((_version(v, aliases.get(int(v.version), [])) for v in found), key=lambda version: -version.number)


def models_and_runs(client: "MlflowClient") -> tuple[set[str], set[str]]:
    """Return the logged models and the runs that versions come from, whatever name they are registered under."""
    models, runs, token = set[str](), set[str](), None
    while True:
        page = client.search_model_versions(max_results=PAGE, page_token=token)
        for version in page:
            found = (version.tags.get(MODEL_ID), version.model_id, version.source.removeprefix("models:/"))
            models |= {each for each in found if each}
            runs |= {version.run_id} if version.run_id else set()
        if not (token := page.token):
            return models, runs


def _version(found: Any, aliases: Iterable[str]) -> Version:
    tags, moved_ms = dict(found.tags), found.last_updated_timestamp or 0
    return Version(found.name, int(found.version), found.current_stage, found.run_id or "", found.source, tags,
                   tuple(sorted(aliases)), moved_ms, found.description or "")  # fmt: skip


def numbered(client: "MlflowClient", name: str, number: int) -> Version:
    """Return the version of that number as it is now.

    Raises RatchetError if there is none.
    """
    from mlflow.exceptions import MlflowException

    try:  # not by `versions`: where there are hundreds of them that takes a second
        found = client.get_model_version(name, str(number))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise RatchetError(f"{name}: there is no version {number}") from None
    return _version(found, found.aliases)


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


def holder(client: "MlflowClient", name: str, stage: str) -> Version | None:
    """Return the version in the stage, or None; by its alias in one short call, for who asks again and again.

    Raises RatchetError as `in_stage` does, which is asked where stage and alias do not agree.
    """
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_model_version_by_alias(name, ALIASES[stage])
    except MlflowException as error:
        if error.error_code not in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            raise
        return in_stage(client, name, stage)
    return _version(found, found.aliases) if found.current_stage == stage else in_stage(client, name, stage)


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

    about: `description` and `tags` (by name) of the version; `of_model`: the description of a model that is new,
    unset: that of the version.
    """
    from mlflow.exceptions import MlflowException

    model_id = model_uri.removeprefix("models:/")
    known = [version for version in versions(client, name) if version.tags.get(MODEL_ID) == model_id]
    if known:
        return known[0]
    try:
        client.create_registered_model(name, description=about.get("of_model", about["description"]))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {key: str(value) for key, value in about["tags"].items()} | {MODEL_ID: model_id}
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
    if stage in ALIASES and ALIASES[stage] not in version.aliases:
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
