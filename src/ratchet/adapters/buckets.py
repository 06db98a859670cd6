"""Files in Google Cloud Storage, by Google's own client: an object, or all that a pattern stands for."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ratchet.adapters import lookup
from ratchet.adapters.lookup import Part
from ratchet.errors import DataError, ServerError

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client


def fetch(uri: str, folder: Path, tried: list[str]) -> tuple[Part, ...]:
    """Download `gs://bucket/path`, a folder (with a `/` at its end) or a pattern; return the files.

    Nothing found: (), after adding to `tried`. What is there already is not fetched again, unless the object was
    overwritten since. A name keeps its place below the folder, so that parts of the same name do not meet. Google's
    client checks each file's checksum as it comes.
    Raises DataError if access is refused.
    """
    from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthorized
    from google.auth.exceptions import GoogleAuthError

    bucket, path = require_name(uri), urlsplit(uri).path.removeprefix("/")
    try:
        blobs, root = _objects(bucket, path)
        if not blobs:
            tried.append(f"{uri} (no such object)")
        keys = [lookup.partition_keys(PurePosixPath(blob.name.removeprefix(root))) for blob in blobs]
        return tuple(Part(_fetched(blob, folder), own) for blob, own in zip(blobs, keys, strict=True))
    except NotFound:
        tried.append(f"{uri} (no such bucket)")
        return ()
    except (Forbidden, Unauthorized) as error:
        raise DataError(
            f"{uri}: access is refused ({error.code}); give the account of this machine roles/storage.objectViewer on"
            " the bucket, and sign in: gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS"
        ) from None
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        tried.append(f"{uri} ({type(error).__name__})")
        return ()


def copy_out(bucket: str, folder: Path) -> int:
    """Download all of `gs://bucket` into a folder; return how many files that were.

    Raises ServerError if the bucket cannot be read.
    """
    with _told(bucket):
        listed = _client().list_blobs(require_name(bucket))
        blobs = [blob for blob in listed if not blob.name.endswith("/")]  # a folder that the console made
        for blob in blobs:
            target = folder / blob.name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise DataError(f"{bucket}: an object is named {blob.name!r}, which leads out of a folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            _download(blob, target)
    return len(blobs)


def copy_in(folder: Path, bucket: str) -> int:
    """Upload all files below a folder into `gs://bucket`; return how many that were.

    Raises ServerError if the bucket cannot be written.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with _told(bucket):
        there = _client().bucket(require_name(bucket))
        for path in files:
            there.blob(path.relative_to(folder).as_posix()).upload_from_filename(str(path))
    return len(files)


def require_name(bucket: str) -> str:
    """Return the name in `gs://NAME`.

    Raises DataError if that is none.
    """
    if not bucket.startswith("gs://") or not urlsplit(bucket).netloc:
        raise DataError(f"{bucket!r} is no bucket: gs://NAME")
    return urlsplit(bucket).netloc


@contextmanager
def _told(bucket: str) -> Iterator[None]:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise ServerError(f"{bucket}: {(str(error).splitlines() or [type(error).__name__])[0][:300]}") from None


def _client() -> "Client":
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage

    try:
        return storage.Client()
    except DefaultCredentialsError:  # a public bucket asks for none
        return storage.Client.create_anonymous_client()


def _download(listed: "Blob", target: Path) -> None:
    """Download an object that was listed.

    Asked for by name: where the listing says that it lies (`mediaLink`) is, with an emulator, the host by which it
    came, which may be a container's name.
    """
    listed.bucket.blob(listed.name, generation=listed.generation).download_to_filename(str(target))


def _objects(bucket: str, path: str) -> tuple[list["Blob"], str]:
    """Return the objects that a path stands for, by name, and the folder that it spells out."""
    is_folder = not path or path.endswith("/")
    listed = list(_client().list_blobs(bucket, prefix=lookup.MAGIC.split(path)[0]))
    blobs = {blob.name: blob for blob in listed if not blob.name.endswith("/")}
    if path in blobs:
        return [blobs[path]], f"{path.rpartition('/')[0]}/"
    if is_folder:
        below = lookup.in_folder(f"gs://{bucket}/{path}", [name.removeprefix(path) for name in blobs])
        return [blobs[f"{path}{name}"] for name in sorted(below)], path
    if not lookup.is_pattern(path):
        return [], ""
    spelled_out, pattern = lookup.split_pattern(path)
    root = f"{spelled_out}/" if spelled_out else ""
    fitting = [name for name in sorted(blobs) if lookup.fits(name.split("/"), path.split("/"))]
    shown = [name for name in fitting if lookup.is_shown(PurePosixPath(name.removeprefix(root)), pattern)]
    return [blobs[name] for name in shown], root


def _fetched(blob: "Blob", folder: Path) -> Path:
    version = hashlib.sha256(f"{blob.bucket.name} {blob.name} {blob.generation} {blob.md5_hash}".encode()).hexdigest()
    target = folder / "gs" / version[:16] / PurePosixPath(blob.name).name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        _download(blob, partial)
        partial.replace(target)
    return target
