"""The config reference, generated from the models in config.py."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ratchet import config
from ratchet.config import METRICS, Task

INTRO = """# The keys of a task

Generated from `src/ratchet/config/` by `make docs`; a test fails when it is stale. `ratchet config check FILE`
lists every fault of a file at once.
"""


def markdown() -> str:
    """Return the reference: a table per section, and the metrics."""
    parts = [INTRO]
    seen: set[type[BaseModel]] = set()
    for place, model in _sections("", Task):
        if model not in seen:
            seen.add(model)
            parts.append(f"## {place or 'the file'}\n\n{(model.__doc__ or '').strip()}\n\n{_table(model)}")
    rows = [
        f"| `{name}` | {'higher' if metric.higher_is_better else 'lower'} | {', '.join(metric.kinds)} |"
        for name, metric in METRICS.items()
    ]
    parts.append("## Metrics\n\n| name | better | kinds |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _sections(place: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield place, model
    for name, field in model.model_fields.items():
        for inner, suffix in _models(field.annotation):
            label = f"{place}.{name}" if place else name
            tag = inner.model_fields.get("by") if label == "split" else None
            yield from _sections(f"{label}{suffix}" + (f" (by: {get_args(tag.annotation)[0]})" if tag else ""), inner)


def _models(kind: Any) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind, ""
    for part in get_args(kind):
        suffix = ".NAME" if get_origin(kind) is dict else "[]" if get_origin(kind) is tuple else ""
        yield from ((inner, suffix + more) for inner, more in _models(part))


def _table(model: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_shown(field)} | {_default(field)} | {_meaning(field)} |"
        for name, field in model.model_fields.items()
    ]
    return "| key | type | default | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"


def _shown(field: FieldInfo) -> str:
    kind = _words(field.annotation)
    bounds = [
        f"{sign} {getattr(mark, name)}"
        for mark in field.metadata
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
        if getattr(mark, name, None) is not None
    ]
    return f"{kind}{', ' if bounds else ''}{', '.join(bounds)}".replace("|", "\\|")


def _words(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
    if kind in plain:
        return plain[kind]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "section"
    if origin is dict:
        return f"mapping to {_words(parts[1])}"
    if origin is tuple:
        return f"list of {_words(parts[0])}" if parts[-1] is Ellipsis else f"[{', '.join(map(_words, parts))}]"
    if "Literal" in str(origin):
        return " / ".join(f"`{part}`" for part in parts)
    if hasattr(kind, "__metadata__"):
        return _words(parts[0])
    words = dict.fromkeys(_words(part) for part in parts if part is not type(None))
    return " or ".join(words)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None or value is PydanticUndefined:
        return "–"
    if isinstance(value, BaseModel):
        return "see below"
    if value in ((), {}, ""):
        return "empty"
    parts = value if isinstance(value, tuple) else (value,)
    shown = [part.model_dump(exclude_unset=True) if isinstance(part, BaseModel) else part for part in parts]
    return f"`{shown if isinstance(value, tuple) else value}`"


def _meaning(field: FieldInfo) -> str:
    inner = [m for m, _ in _models(field.annotation)]
    text = field.description or ((inner[0].__doc__ or "").strip().splitlines()[0] if inner else "")
    return text.replace("|", "\\|").replace("\n", " ")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a task, for editors."""
    return {"$id": "task.schema.json", **config.Task.model_json_schema(), "title": "Ratchet task"}
