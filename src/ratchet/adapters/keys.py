"""Ed25519 keys by which the ledger's entries are signed, and those that are trusted (RFC 8032)."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ratchet.errors import ConfigError, RatchetError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE, TRUSTED = "RATCHET_LEDGER_KEY", "RATCHET_LEDGER_TRUST"
HEX = re.compile(r"[0-9a-f]{64}")


def signer() -> "Ed25519PrivateKey | None":
    """Return the key that signs, from RATCHET_LEDGER_KEY: 64 hex digits, or a file with them or a PEM; None if unset.

    Raises ConfigError if it is none.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not (said := os.environ.get(PRIVATE, "").strip()):
        return None
    text = said if HEX.fullmatch(said) else _content(PRIVATE, said)
    if HEX.fullmatch(text):
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
    try:
        found = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise ConfigError(f"{PRIVATE}: is no Ed25519 key; `ratchet ledger key FILE` makes one")
    return found


def trusted() -> "Mapping[str, Ed25519PublicKey]":
    """Return the keys that are believed, by their short name: those in RATCHET_LEDGER_TRUST, and our own.

    RATCHET_LEDGER_TRUST: public keys of 64 hex digits each, separated by blanks or commas, or a file with them.
    Raises ConfigError if one is none.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    said = os.environ.get(TRUSTED, "").strip()
    words = re.split(r"[\s,]+", said if not said or HEX.match(said) else _content(TRUSTED, said))
    if wrong := [word for word in words if word and not HEX.fullmatch(word)]:
        raise ConfigError(f"{TRUSTED}: {wrong[0][:80]!r} is no public key of 64 hex digits")
    found = [Ed25519PublicKey.from_public_bytes(bytes.fromhex(word)) for word in words if word]
    own = signer()
    return {name_of(key): key for key in [*found, *([own.public_key()] if own else [])]}


def _content(name: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        shown = file if os.sep in file else "its value"  # which may be a key with a slip in it
        raise ConfigError(f"{name} ({shown}): neither 64 hex digits nor a file with them: {reason}") from None


def name_of(key: "Ed25519PublicKey") -> str:
    """Return the short name of a public key: the first 16 hex digits of its sha256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def is_signed(key: "Ed25519PublicKey", signature: str, message: str) -> bool:
    """Whether a signature (hex) of a text is that of the key."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(bytes.fromhex(signature), message.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def make(file: Path) -> str:
    """Write a new private key to a new file that only its owner reads; return the public one, 64 hex digits.

    Raises RatchetError if the file is there.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            opened.write(f"{key.private_bytes_raw().hex()}\n")
    except FileExistsError:
        raise RatchetError(f"{file}: is there already; a key is never written over") from None
    except OSError as error:
        raise RatchetError(f"{file}: {error.strerror}; name a file in a folder that is there and yours") from None
    return key.public_key().public_bytes_raw().hex()
