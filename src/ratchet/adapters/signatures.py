"""Signatures of models, made and checked by OpenSSF model-signing with an elliptic curve key of one's own; no network.

Source: OpenSSF Model Signing specification 1.0, a detached Sigstore bundle over the digests of all files.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ratchet.errors import ConfigError, ModelError

SIGNATURE = "model.sig"  # artifact of the run that logged the model
PRIVATE, PUBLIC = "RATCHET_MODEL_KEY", "RATCHET_MODEL_PUBLIC_KEY"
WANTED = "a PEM file with a key of the curve P-256, P-384 or P-521"


def require_key(key: Path | None) -> None:
    """Raise ConfigError if the key is named and cannot sign."""
    if key:
        _signer(key)


def sign(folder: Path, key: Path, target: Path) -> None:
    """Write the signature of all files of a folder.

    key: a private one, without password. Raises ConfigError if it cannot sign.
    """
    _signer(key).set_hashing_config(_every_file()).sign(folder, target)


def verify(folder: Path, key: Path, signature: Path) -> None:
    """Check that a signature is made by the key's other half, over exactly the files of a folder.

    key: the public one. Raises ModelError if it is not, ConfigError if there is no such key.
    """
    from cryptography.exceptions import InvalidSignature

    verifying = _library("verifying", PUBLIC)
    with _readable(PUBLIC, key):
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=key)
    try:
        with redirect_stdout(sys.stderr):  # it prints its warnings
            verifier.set_hashing_config(_every_file()).verify(folder, signature)
    except InvalidSignature:
        raise ModelError(f"the signature {SIGNATURE} is not by the key of {PUBLIC} ({key})") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # whatever else it may meet in a forged file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ModelError(f"the signature {SIGNATURE} does not hold for {PUBLIC} ({key}): {reason}") from None


def _signer(key: Path) -> Any:
    signing = _library("signing", PRIVATE)
    with _readable(PRIVATE, key):
        return signing.Config().use_elliptic_key_signer(private_key=key)


def _every_file() -> Any:
    """Nothing is left out: by itself it would pass over what belongs to git."""
    return _library("hashing", PRIVATE).Config().set_ignored_paths(paths=[], ignore_git_paths=False)


def _library(part: str, variable: str) -> Any:
    try:
        return importlib.import_module(f"model_signing.{part}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{variable}: {error.name} is not installed here; pip install 'ratchet[signing]', or unset {variable}"
        ) from None


@contextmanager
def _readable(variable: str, key: Path) -> Iterator[None]:
    """What goes wrong inside is the key's fault."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        yield
    except OSError as error:
        raise ConfigError(f"{variable} ({key}): {error.strerror}; name {WANTED}") from None
    # An encrypted key is a TypeError, an RSA one, which has no curve, an AttributeError.
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        raise ConfigError(f"{variable} ({key}): no such key; name {WANTED}, without password") from None
