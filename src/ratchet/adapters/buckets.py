"""Files in Google Cloud Storage, by Google's own client: an object, or all that a pattern stands for."""

import fnmatch
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ratchet.errors import DataError, ServerError

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client


def fetch(uri: str, folder: Path, tried: list[str]) -> tuple[Path, ...]:
    """Download `gs://bucket/path`, where path may be a pattern; return the files, or () after adding to `tried`.

    What is there already is not fetched again, unless the object was overwritten since. A name keeps its place below
    the folder, so that parts of the same name do not meet. Google's client checks each file's checksum as it comes.
    Raises DataError if access is refused.
    """
    from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthorized
    from google.auth.exceptions import GoogleAuthError

    bucket, path = require_name(uri), urlsplit(uri).path.removeprefix("/")
    try:
        found = _objects(bucket, path)
        if not found:
            tried.append(f"{uri} (no such object)")
        return tuple(_fetched(blob, folder) for blob in found)
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


def _objects(bucket: str, path: str) -> list["Blob"]:
    fixed = path.partition("*")[0]
    blobs = _client().list_blobs(bucket, prefix=fixed)
    wanted = [blob for blob in blobs if blob.name == path or ("*" in path and _fits(blob.name, path))]
    return sorted(wanted, key=lambda blob: blob.name)


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern, in which `*` stops at a slash, as in a shell."""
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _fetched(blob: "Blob", folder: Path) -> Path:
    version = hashlib.sha256(f"{blob.bucket.name} {blob.name} {blob.generation} {blob.md5_hash}".encode()).hexdigest()
    target = folder / "gs" / version[:16] / PurePosixPath(blob.name).name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        _download(blob, partial)
        partial.replace(target)
    return target
