"""What callers may send, as OpenAPI, made from the model's signature with its sample rows as examples."""

from typing import Any

from ratchet import __version__
from ratchet.config import Task
from ratchet.serving.bodies import CSV, JSON, MOST_REASONS, PARQUET
from ratchet.serving.problems import TYPE
from ratchet.serving.routes import Backend

Schema = dict[str, Any]
FAULTS = {
    "400": "the body is not as it must be; `errors` names each place", "401": "no key that is known",
    "403": "the key may not do that", "404": "no such address, or another model", "405": "another method",
    "408": "the body came too slowly", "413": "the body is too large", "415": "another Content-Type or charset",
    "429": "too many requests wait", "500": "the model failed on it",
    "503": "no model answers at the moment, or it was withdrawn", "504": "the model took too long",
}  # fmt: skip


def document(task: Task, champion: Backend | None, entity: str | None) -> Schema:
    """Return the OpenAPI document of the version that answers now; entity: the column that names it."""
    said: Schema = {
        "openapi": "3.1.0",
        "info": {"title": task.name, "version": str(champion.version if champion else 0),
                 "summary": task.problem.question or task.name, "description": f"Served by Ratchet {__version__}."},
        "paths": {
            "/invocations": {"post": _invocations(champion, entity)},
            f"/v1/models/{task.name}:predict": {"post": _predict(champion, entity)},
            "/outcomes": {"post": _outcomes()},
            **{path: {"get": _get(about, kind, faults)} for path, about, kind, faults in _GETS},
        },
        "components": {"schemas": {"Problem": _PROBLEM},
                       "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }  # fmt: skip
    return said


_GETS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("/ping", "Whether the gateway lives.", "text/plain", ()),
    ("/health", "The same.", "text/plain", ()),
    ("/ready", "Whether a model answers.", JSON, ("503",)),
    ("/version", "MLflow's version; the model's is in X-Model-Version.", "text/plain", ()),
    ("/metrics", "Figures for Prometheus.", "text/plain", ("401", "403")),
)
_PROBLEM: Schema = {
    "type": "object", "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "instance": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object", "properties": {
            "path": {"type": "string"}, "detail": {"type": "string"}}}},
    },
}  # fmt: skip


def _get(about: str, kind: str, faults: tuple[str, ...]) -> Schema:
    answers: Schema = {"200": {"description": "Yes.", "content": {kind: {}}}}
    return {"summary": about, "responses": answers | _faults(*faults)}


def _faults(*statuses: str) -> Schema:
    content = {TYPE.decode(): {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": FAULTS[status], "content": content} for status in statuses}


_CELLS: dict[str, list[Schema]] = {
    "number": [{"type": "number"}],
    "text": [{"type": "string"}],
    "numeral": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*$"}],
    "code": [{"type": "string"}, {"type": "number"}],
    "boolean": [{"type": "boolean"}, {"type": "string", "description": "true or false in any case"}],
}


def _cell(kind: str, required: bool) -> Schema:
    ways = _CELLS[kind]
    if len(ways) == 1:
        name = ways[0]["type"]
        return {"type": name} if required else {"type": [name, "null"]}
    return {"anyOf": [*ways, *([] if required else [{"type": "null"}])]}


def _record(champion: Backend, entity: str | None) -> Schema:
    inputs = champion.signature.inputs
    fields = {name: _cell(kind, required) for name, (kind, required) in inputs.items()}
    if entity and entity not in fields:
        fields[entity] = {"type": ["string", "number", "null"], "description": "Who it is about; no model reads it."}
    fields |= {name: {} for name in champion.signature.known if name not in fields}
    return {"type": "object", "properties": fields, "required": [n for n, (_, r) in inputs.items() if r],
            "additionalProperties": False}  # fmt: skip


def _many(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _by_place(champion: Backend) -> Schema:
    """A row as a list, in the order of the signature."""
    inputs = champion.signature.inputs
    cells = [_cell(*said) for said in inputs.values()]
    return {"type": "array", "prefixItems": cells, "items": False, "minItems": len(cells),
            "description": f"In this order: {', '.join(inputs)}."}  # fmt: skip


def _instances(champion: Backend, entity: str | None) -> Schema:
    return {"anyOf": [_many(_record(champion, entity)), _many(_by_place(champion))]}


def _predict(champion: Backend | None, entity: str | None) -> Schema:
    """The same by the name of the model, as KServe and TensorFlow Serving ask."""
    way = _invocations(champion, entity)
    way["summary"] = "The same, as KServe's and TensorFlow Serving's first protocol ask."
    content: Schema = {"schema": {}}
    if champion:
        instances = _instances(champion, entity)
        content["schema"] = {"type": "object", "required": ["instances"], "properties": {"instances": instances}}
    if champion and champion.sample:
        names, row = list(champion.signature.inputs), dict(champion.sample[0])
        content["examples"] = {
            "by name": {"value": {"instances": [row]}},
            "by place": {"value": {"instances": [[row.get(name) for name in names]]}},
        }
    way["requestBody"] = {"required": True, "content": {JSON: content}}
    way["responses"] |= _faults("404")
    return way


def _forms(champion: Backend, entity: str | None) -> Schema:
    record, inputs = _record(champion, entity), champion.signature.inputs
    split = {
        "type": "object", "required": ["columns", "data"], "additionalProperties": False,
        "properties": {"columns": {"const": list(inputs)}, "data": _many(_by_place(champion))},
    }  # fmt: skip
    forms = {"dataframe_records": _many(record), "dataframe_split": split, "inputs": _instances(champion, entity),
             "instances": _instances(champion, entity)}  # fmt: skip
    explained = {
        "type": "object", "additionalProperties": False, "required": ["explain"],
        "properties": {"explain": {"const": True},
                       "reasons": {"type": ["integer", "null"], "minimum": 1, "maximum": MOST_REASONS}},
    }  # fmt: skip
    plain = {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {"explain": {"const": False}, "reasons": {"type": "null"}},
    }
    params = {"anyOf": [explained, plain]}
    more = {"params": params} if champion.signature.explains else {}
    return {"oneOf": [
        {"type": "object", "required": [name], "properties": {name: form, **more}, "additionalProperties": False}
        for name, form in forms.items()
    ]}  # fmt: skip


def _invocations(champion: Backend | None, entity: str | None) -> Schema:
    schema: Schema = _forms(champion, entity) if champion else {}
    examples = {}
    if champion and champion.sample:
        rows = [dict(row) for row in champion.sample]
        examples = {
            "one row": {"value": {"dataframe_records": rows[:1]}},
            "rows": {"value": {"dataframe_records": rows}},
        }
    answers = {"type": "object", "required": ["predictions"], "properties": {"predictions": {"type": "array"}}}
    sample = {"predictions": [dict(answer) for answer in champion.answers]} if champion else {}
    headers = {name: {"schema": {"type": "string"}} for name in ("X-Request-Id", "X-Model-Version", "X-Arm")}
    return {
        "summary": "Answer rows.",
        "parameters": [{"name": "X-Warnings", "in": "header", "schema": {"type": "boolean"}, "description":
                        "true: each answer has `warnings`, its cells that training gives no ground for"}],
        "requestBody": {"required": True, "content": {
            JSON: {"schema": schema, **({"examples": examples} if examples else {})},
        }, "description": f"JSON in one of four forms; also {CSV} with a header, and {PARQUET}."},
        "responses": {
            "200": {"description": "One answer a row, in order.", "headers": headers,
                    "content": {JSON: {"schema": answers, **({"example": sample} if champion else {})}}},
            **_faults("400", "401", "403", "408", "413", "415", "429", "500", "503", "504"),
        },
    }  # fmt: skip


def _outcomes() -> Schema:
    one = {
        "type": "object", "required": ["label"], "additionalProperties": False,
        "properties": {
            "request_id": {"type": "string", "description": "X-Request-Id of the answer."},
            "row": {"type": "integer", "minimum": 0, "description": "Which row of it; unset: the first."},
            "entity": {"type": ["string", "number"], "description": "Or: who the answer was about."},
            "label": {"type": ["string", "number"], "description": "What came true."},
            "at": {"type": "string", "format": "date-time", "description": "When; unset: now."},
        },
    }  # fmt: skip
    return {
        "summary": "Say what came true; the same said twice counts once, a later one corrects.",
        "requestBody": {"required": True, "content": {JSON: {"schema": {"anyOf": [one, _many(one)]}}}},
        "responses": {"200": {"description": "How many were new.", "content": {JSON: {}}},
                      **_faults("400", "401", "403", "408", "413", "415", "429")},
    }  # fmt: skip
