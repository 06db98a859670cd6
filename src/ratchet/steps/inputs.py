"""What a step depends on, each input by its name: its digests, the key that they make, and how they differ."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


def digest_of(inputs: Mapping[str, str]) -> str:
    """Return the key under which a step's result is found again."""
    return key_of((), dict(inputs))


def code_of(names: Iterable[str]) -> dict[str, str]:
    """Return the digest of each file of the package that is named, or lies in a folder that is."""
    found = {}
    for name in names:
        place = PACKAGE / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            found[f"code {file.relative_to(PACKAGE)}"] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return found


def config_of(section: Mapping[str, Any], place: str = "") -> dict[str, str]:
    """Return each value of a part of the task, by its place in the YAML file."""
    found: dict[str, str] = {}
    for name, value in section.items():
        if isinstance(value, Mapping) and value:
            found |= config_of(value, f"{place}{name}.")
        else:
            found[f"{place}{name}"] = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return found


def changes(former: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return how inputs differ from former ones, by name."""
    found = {}
    for name in sorted({*former, *now}):
        if former.get(name) == now.get(name):
            continue
        if name not in former:
            found[name] = "is new"
        elif name not in now:
            found[name] = "is gone"
        elif name.startswith(("code ", "source ", "step ", "lock")):
            found[name] = "changed"
        else:
            found[name] = f"{former[name][:60]} -> {now[name][:60]}"
    return found


def sentence(changed: Mapping[str, str]) -> str:
    """Return the changes in one line, a few of them by name."""
    told = [f"{name} {how}" for name, how in changed.items()][:4]
    more = f" and {len(changed) - len(told)} more" if len(changed) > len(told) else ""
    return "; ".join(told) + more


def key_of(code: tuple[str, ...], *parts: Any) -> str:
    """Return the digest of what a step depends on: files and folders of the package, and plain values."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for name in code:
        place = PACKAGE / name
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:32]
