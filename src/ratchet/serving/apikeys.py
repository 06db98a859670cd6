"""Who may ask: API keys, of which the file holds the hashes alone, and what each may do."""

import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ratchet.errors import ConfigError, did_you_mean

PREDICT, OUTCOMES, ADMIN = "predict", "outcomes", "admin"
SCOPES = (PREDICT, OUTCOMES, ADMIN)
PREFIX = "rk_"


def made(name: str, scopes: tuple[str, ...]) -> tuple[str, str]:
    """Return a new key, and the line of the file that stands for it.

    The key is random over 256 bits, so that a plain hash of it cannot be searched. Raises ConfigError.
    """
    if not name or not name.isprintable() or any(sign.isspace() or sign == "#" for sign in name):
        raise ConfigError(f"{name!r}: the name of a key is one word")
    for scope in scopes:
        if scope not in SCOPES:
            raise ConfigError(f"no scope {scope!r}{did_you_mean(scope, SCOPES)}; one of {', '.join(SCOPES)}")
    key = PREFIX + secrets.token_urlsafe(32)
    return key, f"{name} {','.join(scopes)} {_digest(key)}"


def added(file: Path, name: str, scopes: tuple[str, ...]) -> str:
    """Add a new key's line to the file, which is made if it is not there; return the key.

    Raises ConfigError if the file cannot be written, or has a key of that name.
    """
    key, line = made(name, scopes)
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if any(words[:1] == [name] for words in map(str.split, before.splitlines())):
            raise ConfigError(f"{file}: it has a key of that name ({name}); take its line out first, or choose another")
        text = before if not before or before.endswith("\n") else f"{before}\n"
        partial = file.with_name(f"{file.name}.part")
        partial.touch(mode=0o640)
        partial.write_text(f"{text}{line}\n", encoding="utf-8")
        partial.replace(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"RATCHET_API_KEYS_FILE: {file}: cannot be written: {error}") from None
    return key


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


class Caller(NamedTuple):
    """Who asks. name: that of their key; empty where no keys are asked for."""

    name: str
    scopes: frozenset[str]


class Keys:
    """The keys of a file, read again when it changes. Without a file everybody may do everything."""

    def __init__(self, file: Path | None) -> None:
        self.file, self._callers, self._read_ns = file, dict[str, Caller](), -1
        if file:
            self._refresh()

    def caller(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Return who asks, and what they may do; None if they show no key, or one that is not known."""
        if self.file is None:
            return Caller("", frozenset(SCOPES))
        said = headers.get(b"x-api-key", b"")
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if not said and scheme.lower() == b"bearer" else said
        return self._callers.get(_digest(key.decode("latin-1"))) if key else None

    def refresh(self) -> str:
        """Read the file again if it has changed; return what is wrong with it, and go on with the keys of before."""
        try:
            self._refresh()
        except ConfigError as error:
            return str(error)
        return ""

    def _refresh(self) -> None:
        assert self.file
        try:
            changed_ns = self.file.stat().st_mtime_ns
            if changed_ns == self._read_ns:
                return
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise ConfigError(f"RATCHET_API_KEYS_FILE: {self.file}: cannot be read: {error}") from None
        found = dict[str, Caller]()
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            scopes = frozenset(words[1].split(",")) if len(words) == 3 else frozenset()
            if not scopes or not scopes <= {*SCOPES} or len(words[2]) != 64:
                raise ConfigError(
                    f"{self.file}:{number}: expected NAME SCOPES HASH, as `ratchet key` writes it; scopes are of"
                    f" {', '.join(SCOPES)}, joined by commas"
                )
            found[words[2]] = Caller(words[0], scopes)
        self._callers, self._read_ns = found, changed_ns
