"""Files in Google Cloud Storage, by Google's own client: an object, or all that a pattern stands for."""

import fnmatch
import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ratchet.errors import DataError

if TYPE_CHECKING:
    from google.cloud.storage import Blob


def fetch(uri: str, folder: Path, tried: list[str]) -> tuple[Path, ...]:
    """Download `gs://bucket/path`, where path may be a pattern; return the files, or () after adding to `tried`.

    What is there already is not fetched again, unless the object was overwritten since. A name keeps its place below
    the folder, so that parts of the same name do not meet. Google's client checks each file's checksum as it comes.
    Raises DataError if access is refused.
    """
    from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, Unauthorized

    bucket, path = urlsplit(uri).netloc, urlsplit(uri).path.removeprefix("/")
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
    except (GoogleAPIError, OSError) as error:
        tried.append(f"{uri} ({type(error).__name__})")
        return ()


def _objects(bucket: str, path: str) -> list["Blob"]:
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage

    try:
        client = storage.Client()
    except DefaultCredentialsError:  # a public bucket asks for none
        client = storage.Client.create_anonymous_client()
    fixed = path.partition("*")[0]
    blobs = client.list_blobs(bucket, prefix=fixed)
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
        partial = target.with_name(f"{target.name}.part")
        blob.download_to_filename(str(partial))
        partial.replace(target)
    return target
