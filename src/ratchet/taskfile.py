"""A YAML file becomes a frozen Task, or one list of all its faults."""

import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from ratchet.config import Definitions, Task
from ratchet.errors import ConfigError, did_you_mean
from ratchet.yaml_mend import NO_BLANK, quote
from ratchet.yaml_text import describe_yaml_error, parse_yaml

MAX_BYTES = 1_000_000
DATA_FILES = (".csv", ".tsv", ".parquet", ".xlsx", ".jsonl", ".gz", ".zip")
SPLIT_KINDS = ("hash", "group", "time", "column", "source")
PLAIN_WORDS = {
    **dict.fromkeys(("tuple_type", "list_type"), "input should be a list, as in [one, two]"),
    "string_type": "input should be a text",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "input should be a mapping"),
}


def load(path: Path | str) -> Task:
    """Read a task.

    Raises ConfigError with one line per fault: `file: field: fault; hint`.
    """
    path = Path(path)
    document = _read(path)
    faults = list(_shared_definitions(path, document))
    try:
        task = Task.model_validate(document)
    except ValidationError as error:
        faults += [f"{path}: {line}" for line in _faults(Task, error)]
    if faults:
        raise ConfigError("\n".join(faults))
    return task


def _read(path: Path) -> dict[str, Any]:
    if path.suffix.lower() in DATA_FILES and path.is_file():
        raise ConfigError(
            f"{path}: is data, no task; `ratchet init {path} --target COLUMN > task.yaml` writes a task for it"
        )
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{path}: {size:,} bytes; a task has at most {MAX_BYTES:,}")
        text = path.read_text(encoding="utf-8")
        document = parse_yaml(text)
    except FileNotFoundError:
        nearby = sorted(str(p) for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"{path}: no such file{did_you_mean(str(path), nearby)}") from None
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(describe_yaml_error(path, text, error)) from None
    if document is None:
        raise ConfigError(f"{path}: is empty; did the command that should write it fail?")
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: a task is a mapping (name: …, data: …), this is {type(document).__name__}")
    return document


def _shared_definitions(path: Path, document: dict[str, Any]) -> Iterator[str]:
    """Merge the files of `features.use` into the document; yield their faults. The task's own words win.

    What has the wrong shape is left as it is, for the models to refuse.
    """
    features = document.get("features")
    names = features.get("use") if isinstance(features, dict) else None
    if not isinstance(features, dict) or not isinstance(names, list):
        return
    for name in names:
        if not isinstance(name, str):
            continue
        shared = path.parent / name
        try:
            found = Definitions.model_validate(_read(shared))
        except ConfigError as error:
            yield f"{path}: features.use: {error}"
            continue
        except ValidationError as error:
            yield from (f"{shared}: {line}" for line in _faults(Definitions, error))
            continue
        if isinstance(derive := features.get("derive", {}), dict):
            features["derive"] = {**found.derive, **derive}
        own = {key: features.get(key, []) for key in ("categorical", "numeric")}
        if all(isinstance(columns, list) for columns in own.values()):
            named = [column for columns in own.values() for column in columns]
            for key, columns in own.items():
                features[key] = [*columns, *(c for c in getattr(found, key) if c not in named)]


def _faults(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        place = list(fault["loc"])
        if place[:1] == ["split"] and len(place) > 1 and place[1] in SPLIT_KINDS:
            del place[1]
        parts = (str(part) for part in place if part != "[key]")
        where = ".".join(part if part.isprintable() else repr(part) for part in parts)
        if fault["type"] == "extra_forbidden":
            known = _keys_at(model, fault["loc"][:-1])
            mend = _blank_after_colon(str(place[-1]), known)
            yield f"{where}: unknown key{mend or did_you_mean(str(place[-1]), known) or _one_of(known)}"
        elif fault["type"] == "union_tag_invalid":
            tag = str(fault["input"].get("by"))
            yield f"{where}.by: no split {tag[:80]!r}{did_you_mean(tag, SPLIT_KINDS)}; one of {', '.join(SPLIT_KINDS)}"
        elif fault["type"] == "missing":
            yield f"{where}: missing; it has to be given"
        else:
            own = fault["type"] == "value_error"
            text = fault["msg"].removeprefix("Value error, ").replace("Tuple should", "List should")
            text = PLAIN_WORDS.get(fault["type"]) or (text if own else text[0].lower() + text[1:])
            given = fault["input"]
            shown = f", not {given!r:.80}" if isinstance(given, str | int | float) and not own else ""
            if "dict" in fault["type"] or "model" in fault["type"]:
                shown += _blank_after_colon(str(given), _keys_at(model, fault["loc"]))
            elif fault["type"] == "string_type":
                shown += _in_quotes(given, bool(shown))
            yield f"{where}: {text}{shown}" if where else text


def _blank_after_colon(given: str, known: list[str]) -> str:
    match = NO_BLANK.match(given)
    return f"; write a blank after the colon of {match[1]!r}" if match and match[1] in known else ""


def _in_quotes(given: Any, is_shown: bool) -> str:
    """Return the mend for a value that is no text, though it was meant as one."""
    if given is None:
        return ", it is empty; what follows a # is a comment, unless it stands in quotes"
    if isinstance(given, dict) and len(given) == 1:
        key, value = next(iter(given.items()))
        return f"; write it in quotes: {quote(f'{key}: {value}')}" if isinstance(value, str | int | float) else ""
    return "; write it in quotes" if is_shown else ""


def _one_of(known: list[str]) -> str:
    return f"; known here: {', '.join(known)}" if known else ""


def _keys_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at a place of the document."""
    here: list[Any] = [model]
    for part in place:
        here = [inner for kind in here for inner in _inside(kind, part)]
    return sorted({key for kind in _plain(here) for key in getattr(kind, "model_fields", {})})


def _inside(kind: Any, part: int | str) -> Iterator[Any]:
    for plain in _plain([kind]):
        fields: Mapping[str, Any] = getattr(plain, "model_fields", {})
        if part in fields:
            yield fields[str(part)].annotation
        elif "by" in fields and part in get_args(fields["by"].annotation):
            yield plain  # the tag of a discriminated union stands in the place of an error
        elif get_origin(plain) in (dict, tuple, list):
            yield get_args(plain)[-1] if get_origin(plain) is dict else get_args(plain)[0]


def _plain(kinds: list[Any]) -> Iterator[Any]:
    """Unwrap Annotated, Optional and unions."""
    for kind in kinds:
        if get_origin(kind) is Annotated:
            yield from _plain([get_args(kind)[0]])
        elif get_origin(kind) in (Union, types.UnionType, typing.Union):
            yield from _plain(list(get_args(kind)))
        else:
            yield kind
