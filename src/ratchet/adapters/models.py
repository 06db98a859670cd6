"""Logged models: no other than the one of the manifest that was made at train (`logged`) is ever loaded.

MLflow checks no digest when it loads a model: whoever may write to the artifact store could have any code run.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratchet.adapters import copies, signatures
from ratchet.adapters.copies import MEND
from ratchet.adapters.registry import Version
from ratchet.errors import ModelError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCORER, ENTRY = "scorer", "model.py"
MANIFEST = "manifest.json"  # artifact of the run that logged it: the sha256 of each file of the model
DIGEST = "ratchet.manifest"  # tag of that run, and of a version: the digest of the manifest
MODEL = "ratchet.model_uri"  # tag of a run: the model that it made or judged
PICKLE_OFF = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}  # environment of whatever loads a model
NAMED = 3  # files, in an error


@dataclass(frozen=True)
class Model:
    """A logged model that is to be loaded. name: as people know it; run_id: of the run that logged it.

    claims: what the digest of its manifest is said to be, by who says it; the tag of its run is always asked.
    """

    name: str
    uri: str
    run_id: str
    claims: Mapping[str, str]


def of_version(version: Version) -> Model:
    """Return the model of a version.

    Raises ModelError if it was registered before versions carried the digest of a manifest.
    """
    name = f"{version.name} version {version.number}"
    if DIGEST not in version.tags:
        raise ModelError(
            f"{name}: has no tag {DIGEST}, so nobody can tell whether it is the model that was judged; it comes from an"
            " older release, or the tag was removed: train again with ratchet run"
        )
    return Model(name, version.uri, version.run_id, {f"the tag {DIGEST} of {name}": version.tags[DIGEST]})


def manifest_digest(manifest: Any) -> str:
    """Return the one sha256 that stands for a manifest, however it is laid out in its file."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fetched(client: "MlflowClient", model: Model, place: Path, public_key: Path | None = None) -> Path:
    """Copy a model into an empty folder of one's own; return where it lies there, once it is the one that was trained.

    Who changes the store afterwards changes nothing here. public_key: by whose other half it must be signed.
    Raises ModelError, with the names of the files, if anything was changed, added, removed or is a link.
    """
    try:
        return _checked(client, model, place, public_key)
    except ModelError as error:
        raise ModelError(f"{model.name}: {error}") from None


def load_scorer(folder: Path) -> Any:
    """Return the scorer inside a model that was fetched, run by the model's own code; pickle is off."""
    import mlflow

    with warnings.catch_warnings(), _without_pickle():
        warnings.simplefilter("ignore")
        return mlflow.pyfunc.load_model(str(folder)).unwrap_python_model().scorer


def metadata(folder: Path) -> dict[str, Any]:
    """Return what a model's folder says of itself beside its signature."""
    from mlflow.models import Model as Logged

    told: dict[str, Any] = Logged.load(str(folder)).metadata or {}
    return told


def _checked(client: "MlflowClient", model: Model, place: Path, public_key: Path | None) -> Path:
    run = client.get_run(model.run_id)
    manifest = _manifest(model, run, place)
    folder = copies.copied(model.uri, place / "model")
    if odd := copies.differences(manifest, folder):
        more = f" and {len(odd) - NAMED} more" if len(odd) > NAMED else ""
        raise ModelError(f"{'; '.join(odd[:NAMED])}{more}: {MEND}")
    # Where files, manifest and tags, or the signature, are all those of another version.
    if f"run_id: {model.run_id}" not in (folder / "MLmodel").read_text(encoding="utf-8").splitlines():
        raise ModelError(f"MLmodel is that of another run than {model.run_id}, which it is said to come from: {MEND}")
    if public_key:
        signature = _artifact(run, signatures.SIGNATURE, place)
        if signature is None:
            raise ModelError(
                f"is not signed (run {model.run_id} has no {signatures.SIGNATURE}), and {signatures.PUBLIC} asks for"
                f" it: train again with {signatures.PRIVATE} and --force"
            )
        signatures.verify(folder, public_key, signature)
    return folder


def _manifest(model: Model, run: Any, place: Path) -> dict[str, str]:
    """Return the manifest of a model; all who know its digest must agree on it."""
    tag = run.data.tags.get(DIGEST)
    if tag is None:
        raise ModelError(
            f"its run {model.run_id} has no tag {DIGEST}, so nobody can tell whether it is the model that"
            " was trained: train again with --force"
        )
    claims = {**model.claims, f"the tag {DIGEST} of run {model.run_id}": tag}
    kept = _artifact(run, MANIFEST, place)
    if kept is None:
        raise ModelError(f"{MANIFEST} of run {model.run_id} is gone: {MEND}")
    try:
        manifest: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
    except ValueError:
        manifest = {}
    digest = manifest_digest(manifest)
    odd = [who for who, claimed in claims.items() if claimed != digest]
    if len(odd) == len(claims):
        raise ModelError(f"{MANIFEST} of run {model.run_id} is not the one made at train: {MEND}")
    if odd:
        raise ModelError(f"{odd[0]} is not the digest of the manifest made at train: {MEND}")
    return manifest


def _artifact(run: Any, name: str, place: Path) -> Path | None:
    """Return a copy of an artifact as it is in the store now; None if it is not there."""
    from mlflow.artifacts import download_artifacts, list_artifacts

    root = run.info.artifact_uri  # asked by the run's id MLflow would read the run twice more
    # Asked for by name a missing artifact of a server is retried for long; its list of names is not.
    if name not in {Path(entry.path).name for entry in list_artifacts(artifact_uri=root)}:
        return None
    return Path(download_artifacts(artifact_uri=f"{root}/{name}", dst_path=str(place)))


@contextmanager
def _without_pickle() -> Iterator[None]:
    former = {name: os.environ.get(name) for name in PICKLE_OFF}
    os.environ.update(PICKLE_OFF)
    try:
        yield
    finally:
        for name, value in former.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
