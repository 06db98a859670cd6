"""Each entry of the ledger, told to an address: at least once, signed, in order."""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from ratchet.errors import ConfigError, ServerError

URL, SECRET = "RATCHET_WEBHOOK_URL", "RATCHET_WEBHOOK_SECRET"
TIMEOUT_S, TRIES, WAIT_S = 10, 3, 1.0
HERE = ("127.0.0.1", "localhost", "::1")


def address() -> str:
    """Return RATCHET_WEBHOOK_URL, empty if it is unset.

    Raises ConfigError if others on the way could read it, or it could not be told from another sender's.
    """
    url = os.environ.get(URL, "")
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in HERE):
        raise ConfigError(f"{URL} ({_shown(url)}): give an https:// address")
    if not os.environ.get(SECRET):
        raise ConfigError(f"{SECRET}: unset; what is sent to {URL} is signed by it")
    return url


def _shown(url: str) -> str:
    """The address without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"


def send(url: str, row: Mapping[str, Any]) -> None:
    """Post a row as JSON; its hash is the id by which the receiver knows one that comes twice.

    X-Ratchet-Signature: sha256=HMAC of the body by RATCHET_WEBHOOK_SECRET, in hex (RFC 2104).
    Raises ServerError if it is not taken (2xx), after some tries.
    """
    import tenacity

    body = json.dumps(dict(row), sort_keys=True, ensure_ascii=False).encode()
    signature = hmac.new(os.environ[SECRET].encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Ratchet-Id": row["hash"],
               "X-Ratchet-Signature": f"sha256={signature}"}  # fmt: skip
    tries = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(TRIES), wait=tenacity.wait_exponential(WAIT_S),
        retry=tenacity.retry_if_exception_type(requests.RequestException), reraise=True,
    )  # fmt: skip

    def once() -> None:
        answer = requests.post(url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        answer.raise_for_status()
        if not answer.ok or answer.is_redirect:
            raise requests.HTTPError(f"answered {answer.status_code}")

    try:
        tries(once)
    except requests.RequestException as error:
        status = error.response.status_code if error.response is not None else type(error).__name__
        raise ServerError(f"{URL} ({_shown(url)}): entry {row['sequence']} was not taken ({status})") from None
