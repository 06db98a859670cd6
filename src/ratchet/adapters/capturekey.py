"""The key by which sensitive values become the same hash each time, and one that nobody can try out without it."""

import os
import secrets
from pathlib import Path

from ratchet.errors import ConfigError, ServerError

NAME, FILE, SHORTEST = "RATCHET_CAPTURE_KEY", "capture.key", 16


def capture_key(home: Path) -> bytes:
    """Return the key: RATCHET_CAPTURE_KEY, else that of a file below home, made once and read by its owner alone.

    Raises ConfigError for a key that could be guessed, ServerError if the file can be neither read nor made.
    """
    if said := os.environ.get(NAME, "").strip():
        if len(said) < SHORTEST:
            raise ConfigError(f"{NAME}: has {len(said)} characters; give it {SHORTEST} or more, all random")
        return said.encode("utf-8", "surrogateescape")
    file = home / FILE
    try:
        if not file.exists():
            _make(file)
        return file.read_bytes().strip()
    except OSError as error:
        raise ServerError(f"{file}: {error.strerror}; set {NAME} instead") from None


def _make(file: Path) -> None:
    """Write a key beside its place and put it there whole, unless another process was first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{secrets.token_hex(32)}\n")
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(partial, file)
    except FileExistsError:
        pass
    finally:
        partial.unlink()
