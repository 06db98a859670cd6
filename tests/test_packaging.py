"""One home per version: what pyproject.toml says holds in conda.yaml, the lock, a served model and MLproject."""

import ast
import re
import shlex
import string
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ratchet.cli import cli
from ratchet.config import Task
from ratchet.taskfile import load

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY_POINTS = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
TASKS = sorted((ROOT / "configs").glob("*.yaml"))


@dataclass(frozen=True)
class Locked:
    """One entry of the lock: a requirement with exactly one version, and its hashes."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def version(self) -> str:
        """The one version."""
        (pin,) = self.requirement.specifier
        assert pin.operator == "==", self.requirement
        return pin.version


def locked() -> Iterator[Locked]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for entry in "\n".join(lines).replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s--hash=", entry)
        yield Locked(Requirement(requirement.strip()), tuple(part.strip() for part in hashes))


def versions() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in locked():
        found.setdefault(canonicalize_name(entry.requirement.name), set()).add(entry.version)
    return found


# ---------------------------------------------------------------- versions


def test_conda_installs_the_dependencies_of_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"]
    (pip,) = [part["pip"] for part in environment if isinstance(part, dict)]
    assert pip == PROJECT["dependencies"]


def test_conda_brings_a_python_that_the_package_accepts() -> None:
    environment = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"]
    (python,) = [part for part in environment if isinstance(part, str) and part.startswith("python")]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(f"{python.split('=')[1]}.0")


EXTRAS = [wanted for extra in PROJECT["optional-dependencies"].values() for wanted in extra]


@pytest.mark.parametrize("wanted", [w for w in (*PROJECT["dependencies"], *EXTRAS) if not w.startswith("ratchet[")])
def test_the_lock_holds_every_dependency_at_a_version_that_pyproject_accepts(wanted: str) -> None:
    requirement = Requirement(wanted)
    held = versions().get(canonicalize_name(requirement.name))
    assert held, f"{wanted} is not in requirements.lock: run `make lock`"
    assert all(requirement.specifier.contains(one) for one in held), f"{wanted}, not {held}: run `make lock`"


def test_what_is_locked_is_what_is_installed_here() -> None:
    wrong = {
        entry.requirement.name: (entry.version, version(entry.requirement.name))
        for entry in locked()
        if (entry.requirement.marker is None or entry.requirement.marker.evaluate())
        and version(entry.requirement.name) != entry.version
    }
    assert not wrong, "locked, installed: run `make setup`"


def test_every_entry_of_the_lock_has_hashes() -> None:
    entries = list(locked())
    assert len(entries) > 100
    assert not [e.requirement.name for e in entries if not e.hashes]
    assert not [e.requirement.name for e in entries for h in e.hashes if not re.fullmatch("sha256:[0-9a-f]{64}", h)]


def test_the_lock_names_no_package_index_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.findall(r"\S*://\S*|^\s*-[a-z-].*|\S* @ \S*", text.replace("    --hash=", "    "), re.MULTILINE)


def requirements_of(folder: Path, kind: str) -> list[Requirement]:
    """What is logged beside a model of a few rows."""
    from ratchet.steps.bench import Bench
    from ratchet.steps.package import requirements
    from ratchet.steps.preprocess import Prepared

    rows = pd.DataFrame({"age": range(40), "note": [f"word{n % 7} and more" for n in range(40)], "left": [0, 1] * 20})
    for side in ("train", "valid"):
        rows.to_parquet(folder / f"{side}.parquet")
    columns = {"note": "text"} if kind == "text" else {"age": "number"}
    about = {
        "kind": "binary",
        "classes": [0, 1],
        "target": "left",
        "features": columns,
        "formulas": {},
        "dropped": {},
        "sides": {"train": 0},
    }
    task = Task.model_validate({
        "name": "small", "data": {"sources": {"rows": {"uris": ["rows.csv"]}}, "target": "left"},
        "features": {"kind": kind, "hash_bits": 10}, "search": {"folds": 2},
    })  # fmt: skip
    return [Requirement(line) for line in requirements(Bench(task, Prepared("run", folder, about), threads=1))]


@pytest.mark.parametrize("kind", ["tabular", "text"])
def test_a_served_model_asks_for_the_locked_versions(tmp_path: Path, kind: str) -> None:
    held = versions()
    for requirement in requirements_of(tmp_path, kind):
        (pin,) = requirement.specifier
        assert (pin.operator, {pin.version}) == ("==", held[canonicalize_name(requirement.name)]), requirement


def test_a_served_model_asks_for_all_that_its_code_imports(tmp_path: Path) -> None:
    travels = [*(ROOT / "src/ratchet/scoring").glob("*.py"), ROOT / "src/ratchet/serving/model.py"]
    nodes = [node for file in travels for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    imported = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    asked = {r.name for kind in ("tabular", "text") for r in requirements_of(tmp_path, kind)}
    assert {{"sklearn": "scikit-learn"}.get(name, name) for name in imported} == asked


# ---------------------------------------------------------------- MLproject


def parameters(entry: dict[str, Any]) -> dict[str, str]:
    """A value for every parameter: its default, or a word where there is none."""
    return {name: str(about.get("default", "word.csv")) for name, about in entry["parameters"].items()}


def parsed(entry: dict[str, Any], given: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The command of an entry point as `mlflow run` would type it, as click reads it."""
    typed = entry["command"].format(**{name: shlex.quote(value) for name, value in given.items()})
    words = shlex.split(typed)
    assert words[:4] == ["PYTHONPATH=src", "python", "-m", "ratchet"]
    command = cli.commands[words[4]]
    return words[4], command.make_context(words[4], words[5:]).params


@pytest.mark.parametrize("name", list(ENTRY_POINTS))
def test_an_entry_point_is_a_command_that_understands_it(name: str) -> None:
    entry = ENTRY_POINTS[name]
    command, read = parsed(entry, parameters(entry))
    assert command == {"main": "run"}.get(name, name)
    assert read["config"] == "configs/quickstart.yaml"
    overrides = {"trials", "jobs", "seed"} & set(entry["parameters"])  # of what trains, or asks for what was trained
    assert {name: read[name] for name in overrides} == dict.fromkeys(overrides)


@pytest.mark.parametrize("name", list(ENTRY_POINTS))
def test_every_parameter_of_an_entry_point_reaches_its_command(name: str) -> None:
    entry = ENTRY_POINTS[name]
    used = [field for _, field, _, _ in string.Formatter().parse(entry["command"]) if field]
    assert sorted(used) == sorted(entry["parameters"])
    chosen = {"trials": "3", "jobs": "2", "seed": "5", "to": "staging", "port": "5002"}
    given = {field: chosen.get(field, f"it's a {field}.csv") for field in used}
    _, read = parsed(entry, given)
    assert set(given.values()) <= {str(value) for value in read.values()}


@pytest.mark.parametrize("name", list(ENTRY_POINTS))
def test_a_parameter_is_a_string_so_that_a_git_address_works(name: str) -> None:
    assert {about["type"] for about in ENTRY_POINTS[name]["parameters"].values()} == {"string"}


def test_the_steps_are_all_entry_points() -> None:
    assert {"main", "preprocess", "train", "evaluate", "promote", "serve", "score"} <= set(ENTRY_POINTS)


def test_the_task_that_runs_when_nothing_is_said_is_there() -> None:
    for entry in ENTRY_POINTS.values():
        assert (ROOT / entry["parameters"]["config"]["default"]).is_file()


def test_a_mistyped_option_in_mlproject_would_be_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed({"command": "PYTHONPATH=src python -m ratchet train -c {config} --trails 3"}, {"config": "x"})


# ---------------------------------------------------------------- tasks


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_a_shipped_task_loads_and_is_named_after_its_file(path: Path) -> None:
    assert load(path).name == path.stem.replace("_", "-")


def test_no_two_shipped_tasks_share_a_name() -> None:
    names = [load(path).name for path in TASKS]
    assert len(set(names)) == len(names) >= 7
