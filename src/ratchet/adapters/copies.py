"""Copies of models out of the store: every file by its digest, and how they differ from those of a manifest."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ratchet.errors import ModelError

META = "registered_model_meta"  # MLflow leaves it in a folder that it downloads or loads
MEND = "restore it from a backup, go back with ratchet rollback, or train again with --force"


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file below a folder, by its path there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def copied(uri: str, target: Path) -> Path:
    """Copy a model out of the store, without what Python and MLflow leave in a folder from which they load.

    Links stay links. Raises ModelError if a file cannot be read, or all are gone.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
    from mlflow.utils.file_utils import local_file_uri_to_path

    root = ModelsArtifactRepository.get_underlying_uri(uri)
    if urlsplit(root).scheme in ("", "file"):
        try:
            shutil.copytree(local_file_uri_to_path(root), target, symlinks=True)
        except shutil.Error as error:
            path, _, reason = error.args[0][0]
            raise ModelError(f"{path} cannot be read ({reason}): {MEND}") from None
        except FileNotFoundError as error:
            raise ModelError(f"its folder {error.filename} is gone: {MEND}") from None
    else:
        target.mkdir()
        download_artifacts(uri, dst_path=str(target))
    if (target / META).is_file():
        (target / META).unlink()
    for bytecode in target.rglob("*.pyc"):  # which enters no folder that is a link
        if bytecode.parent.name == "__pycache__" and bytecode.is_file():
            bytecode.unlink()
    return target


def differences(manifest: Mapping[str, str], folder: Path) -> list[str]:
    """Return what is not as it was when the model was trained, each with its path."""
    links = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink()}
    found, odd = digests(folder), []
    for path in sorted({*manifest, *found, *links}):
        name = path if path.isprintable() else ascii(path)
        if path in links:
            odd.append(f"{name} is a link, not a file")
        elif path not in manifest:
            odd.append(f"{name} was not there when it was trained")
        elif path not in found:
            odd.append(f"{name} is gone")
        elif found[path] != manifest[path]:
            now, then = found[path][:12], manifest[path][:12]
            odd.append(f"{name} is not the file that was trained (sha256 {now}, not {then})")
    return odd
