"""The pages made from config.py: they are what config.py says now, and the shipped tasks agree with them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from ratchet.config import METRICS, Task
from ratchet.operate import reference

ROOT = Path(__file__).parents[2]
TASKS = sorted((ROOT / "configs").glob("*.yaml"))
PAGE = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "configs" / "task.schema.json").read_text(encoding="utf-8"))


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the model and every model within it."""
    yield model
    waiting: list[Any] = [field.annotation for field in model.model_fields.values()]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from sections(kind)
        waiting += get_args(kind)


def keys_under_headings(page: str) -> dict[str, set[str]]:
    """The keys in the first column of each table, by what stands below the table's heading."""
    found: dict[str, set[str]] = {}
    for part in page.split("\n## ")[1:]:
        meaning = part.split("\n\n")[1].strip()
        found[meaning] = {line.split("`")[1] for line in part.splitlines() if line.startswith("| `")}
    return found


def test_the_reference_is_what_config_py_says_now() -> None:
    assert reference.markdown() == PAGE, "docs/config.md is stale: run `make docs`"


def test_the_schema_is_what_config_py_says_now() -> None:
    assert reference.json_schema() == SCHEMA, "configs/task.schema.json is stale: run `make docs`"


def test_the_reference_tells_every_key_of_every_section() -> None:
    told = keys_under_headings(PAGE)
    for section in sections(Task):
        meaning = (section.__doc__ or "").strip()
        assert told.get(meaning) == set(section.model_fields), section.__name__


def test_the_reference_tells_every_metric_with_its_better_direction() -> None:
    for name, metric in METRICS.items():
        better = "higher" if metric.higher_is_better else "lower"
        assert f"| `{name}` | {better} | {', '.join(metric.kinds)} |" in PAGE


@pytest.mark.parametrize(
    "row",
    [
        "| `seed` | whole number, >= 0, <= 2147483647 | `7` |",
        "| `uris` | list of text | required |",
        "| `characters` | [whole number, whole number] | `[1, 4]` |",
        "| `beats` | `rule` / `dummy` | – |",
        "| `sources` | mapping to section | required |",
        "| `read` | section | see below |",
    ],
)
def test_a_row_of_the_reference_shows_type_bounds_and_default(row: str) -> None:
    assert row in PAGE


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_a_shipped_task_is_right_in_an_editor(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=task.schema.json"
    assert (path.parent / first.rpartition("=")[2]).is_file()
    wrong = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(text)))
    assert not wrong, [f"{'.'.join(map(str, error.path))}: {error.message}" for error in wrong]


@pytest.mark.parametrize(
    "sections",
    [
        {"serach": {}},
        {"search": {"trials": 0}},
        {"search": {"models": ["lgbm"]}},
        {"split": {"by": "hsah"}},
        {"split": {"by": "time"}},
        {"gates": {"staging": [{"metrik": "f1"}]}},
        {"data": {"target": "left", "sources": {}}},
        {"data": {"target": "left", "sources": {"rows": {"uris": []}}}},
    ],
)
def test_what_is_wrong_is_wrong_in_an_editor_too(sections: dict[str, Any]) -> None:
    right = {"name": "small", "data": {"target": "left", "sources": {"rows": {"uris": ["rows.csv"]}}}}
    editor = jsonschema.Draft202012Validator(SCHEMA)
    assert editor.is_valid(right)
    assert not editor.is_valid(right | sections)
