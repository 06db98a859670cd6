"""The OpenAPI document as people read it: addresses, fields, curl lines and problems."""

import csv
import io
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratchet.serving.bodies import CSV, JSON
from ratchet.serving.routes import Backend


@dataclass(frozen=True)
class Asked:
    """One field of a body."""

    name: str
    kind: str
    required: bool
    about: str


@dataclass(frozen=True)
class Address:
    """One way to ask."""

    method: str
    path: str
    about: str
    statuses: tuple[str, ...]


@dataclass(frozen=True)
class Guide:
    """All of it. examples: (what it does, the line); problems: (status, what it means)."""

    addresses: list[Address]
    row: list[Asked]
    outcome: list[Asked]
    examples: list[tuple[str, str]]
    problems: list[tuple[str, str]]


def guide(document: Mapping[str, Any], champion: Backend | None, url: str, has_keys: bool) -> Guide:
    """Return the guide. url: of the gateway as its caller sees it."""
    addresses, problems = list[Address](), dict[str, str]()
    for path, ways in document["paths"].items():
        for method, way in ways.items():
            answers = way["responses"]
            addresses.append(Address(method.upper(), path, way["summary"], tuple(sorted(answers))))
            problems |= {status: told["description"] for status, told in answers.items() if status[0] != "2"}
    bodies = [document["paths"][path]["post"]["requestBody"]["content"][JSON]["schema"]
              for path in ("/invocations", "/outcomes")]  # fmt: skip
    row = bodies[0]["oneOf"][0]["properties"]["dataframe_records"]["items"] if champion else {}
    examples = _examples(champion, url, "-H 'Authorization: Bearer KEY' " if has_keys else "") if champion else []
    return Guide(addresses, _fields(row), _fields(bodies[1]["anyOf"][0]), examples, sorted(problems.items()))


def _fields(schema: Mapping[str, Any]) -> list[Asked]:
    required = schema.get("required", ())
    return [Asked(name, _kind(said), name in required, said.get("description", ""))
            for name, said in schema.get("properties", {}).items()]  # fmt: skip


def _kind(said: Mapping[str, Any]) -> str:
    if ways := said.get("anyOf"):
        return " or ".join(_kind(way) for way in ways if way["type"] != "null")
    kinds = said.get("type", "anything; it is not read")
    names = [kinds] if isinstance(kinds, str) else [name for name in kinds if name != "null"]
    return " or ".join({"string": "text", "integer": "whole number"}.get(name, name) for name in names)


def _examples(champion: Backend, url: str, key: str) -> list[tuple[str, str]]:
    rows = [dict(row) for row in champion.sample]
    if not rows:
        return []

    def line(path: str, kind: str, body: str) -> str:
        parts = [
            f"curl {shlex.quote(url + path)}",
            f"{key}-H 'Content-Type: {kind}'",
            f"--data-binary {shlex.quote(body)}",
        ]
        return " \\\n  ".join(parts)

    def said(document: Mapping[str, Any]) -> str:
        return json.dumps(document, ensure_ascii=False)

    found = [("One row", line("/invocations", JSON, said({"dataframe_records": rows[:1]})))]
    values = [rows[0].get(name) for name in champion.signature.inputs]
    found.append(("One row by place", line("/invocations", JSON, said({"instances": [values]}))))
    if champion.signature.explains:
        asked = {"dataframe_records": rows[:1], "params": {"explain": True}}
        found.append(("One row, with the reasons of its answer", line("/invocations", JSON, said(asked))))
    label = next((answer.get("label", answer.get("value")) for answer in champion.answers), 1)
    outcome = {"request_id": "ID", "label": label, "at": "2026-05-03T14:00:00Z"}
    return [
        *found,
        ("Two rows as CSV", line("/invocations", CSV, _csv(champion, rows[:2]))),
        ("What came true; ID is X-Request-Id of the answer", line("/outcomes", JSON, said(outcome))),
    ]


def _csv(champion: Backend, rows: list[dict[str, Any]]) -> str:
    names, text = list(champion.signature.inputs), io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerows([names, *([row.get(name) for name in names] for row in rows)])
    return text.getvalue()
