"""Fetch one public file: resumed where it broke off, retried, its digest checked before it gets its name."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import requests
import urllib3

from ratchet.adapters.warehouse import with_secrets
from ratchet.errors import DataError

ATTEMPTS = 4
TIMEOUT_S = 10  # without a byte
CHUNK_BYTES = 1 << 20


def fetch(uri: str, folder: Path, accepted: Sequence[str], tried: list[str]) -> tuple[Path, ...]:
    """Download the file into the folder, unless it is there; return its path, or () after adding to `tried`.

    uri: may name environment variables as `${NAME}`. accepted: sha256 digests in hex; none: any content will do.
    Raises DataError if what came has another digest (the file is not kept), or a variable is not set.
    """
    target = folder / (PurePosixPath(unquote(urlsplit(uri).path)).name or "download")
    if target.is_file():
        return (target,)
    partial = target.with_name(f"{target.name}.part")
    if problem := _attempt(with_secrets(uri, "data.sources"), partial):
        tried.append(f"{uri} ({problem})")
        return ()
    with partial.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if accepted and digest not in accepted:
        partial.unlink()
        raise DataError(f"{uri}: sha256 of what came is {digest}, accepted are {', '.join(accepted)}; it was not kept")
    partial.replace(target)
    return (target,)


def _attempt(uri: str, partial: Path) -> str:
    """Transfer the file, again where that may help; return what stood in the way, or an empty string."""
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.5 * 2**attempt)
        try:
            _transfer(uri, partial)
            return ""
        except requests.HTTPError as error:
            problem = f"HTTP {error.response.status_code}"
            if error.response.status_code < 500 and error.response.status_code != 429:
                return problem
        except (requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
            return f"it redirects where nothing can be fetched: {str(error)[:200]}"
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            problem = type(error).__name__
    return f"{problem}, {ATTEMPTS} times"


def _transfer(uri: str, partial: Path) -> None:
    """Append what is missing of the file; raise an error of requests or urllib3 if it broke off."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(uri, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            partial.unlink(missing_ok=True)  # what is there is not a beginning of the file: from the start, next time
            raise requests.ConnectionError("the partial file does not fit")
        answer.raise_for_status()
        resumes = answer.status_code == requests.codes.partial_content
        expected = answer.headers.get("Content-Length", "")
        came = 0
        partial.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab" if resumes else "wb") as file:
            for chunk in answer.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                came += len(chunk)
        if expected.isdigit() and came != int(expected):
            raise requests.ConnectionError(f"{came} of {expected} bytes came")
