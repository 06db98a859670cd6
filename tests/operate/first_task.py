"""A first task as a newcomer gets it: drafted, read back from its file, and its rows split as it says."""

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from ratchet.adapters import sources
from ratchet.config import Task
from ratchet.operate.init import Reading, draft
from ratchet.settings import Settings
from ratchet.steps import preprocess
from ratchet.taskfile import load


def draft_task(uri: str, target: str | None, **reading: str) -> tuple[Task, str]:
    """Return the drafted task, read back from its file, and the file's text."""
    text = draft(uri, target, Settings.from_env(), reading=Reading(**reading))
    return read_back(text), text


def read_back(text: str) -> Task:
    Path("draft.yaml").write_text(text, encoding="utf-8")
    return load("draft.yaml")


def prepare(task: Task) -> dict[str, Any]:
    """Return what preprocess knows of the task's rows."""
    settings = Settings.from_env()
    with tempfile.TemporaryDirectory() as place:
        about, _ = preprocess.prepare(task, sources.located(task.data, settings, print), Path(place))
    return about


def write_csv(columns: dict[str, Any], name: str = "rows.csv", **how: Any) -> str:
    pd.DataFrame(columns).to_csv(name, **{"index": False} | how)
    return name
