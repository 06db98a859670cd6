"""What the tests of the record share: rows of requests, and moments."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from ratchet.adapters import captured

BEGAN = datetime(2026, 5, 3, 14, tzinfo=UTC)


def moment(minute: float) -> datetime:
    return BEGAN + timedelta(minutes=minute)


def asked(request_id: str, minute: float = 0, **more: Any) -> dict[str, Any]:
    """A row as the gateway keeps it."""
    return {
        "task": "credit", "request_id": request_id, "row": 0, "at": f"{moment(minute):%Y-%m-%dT%H:%M:%S.%f}Z",
        "entity": "anna", "version": 3, "arm": "champion", "rollout": None, "status": 200, "latency_ms": 1.5,
        "inputs": {"AGE": 31, "JOB": "광부"}, "answer": {"label": "No", "probability": 0.125}, "problem": "",
    } | more  # fmt: skip


def append_rows(engine: Engine, rows: Iterable[Mapping[str, Any]]) -> int:
    """Put rows on record, past the gateway and its files; how many were not there yet."""
    return captured.append(engine, [captured.line(row) for row in rows])
