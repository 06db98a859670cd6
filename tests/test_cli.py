"""What a person at the command line meets: help at once, exit codes, one line per fault, one JSON object."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from ratchet import cli
from tests.conftest import ROOT, Told
from tests.end_to_end.commands import settle

HEAVY = {"mlflow", "optuna", "pandas", "numpy", "sklearn", "xgboost", "duckdb", "pydantic"}
TASK = "name: small\ndata:\n  sources: {rows: {uris: [rows.csv]}}\n  target: left\n"
ONLY_THE_FILE = (
    "task {!r} is right as far as the file goes; the data were not read, `ratchet preprocess {}` checks them\n"
)
Say = Callable[..., Told]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command in this process, in a folder without a store: for what ends before a store is needed."""
    settle(monkeypatch, tmp_path)
    monkeypatch.delenv("RATCHET_DATA", raising=False)
    Path("task.yaml").write_text(TASK, encoding="utf-8")

    def call(*words: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["ratchet", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return call


def process(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment
    return subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def commands(group: click.Group = cli.cli, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command, by the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        elif not command.hidden:
            yield f"{before}{name}", command


ALL = dict(commands())
ABOUT_A_TASK = [name for name, command in ALL.items() if any(p.name == "config" for p in command.params)]
REQUIRED = {
    "score": ("--input", "rows.csv", "--output", "scored.csv"),
    "reproduce": ("--version", "1"),
    "diff": ("1", "2"),
    "approve": ("1",),
    "refuse": ("1",),
    "captured": ("--output", "rows.parquet"),
}


# ---------------------------------------------------------------- help


def documentation() -> str:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def test_every_command_is_documented() -> None:
    missing = [name for name in ALL if not re.search(rf"\bratchet {name}\b", documentation())]
    assert not missing, f"neither README.md nor docs/ shows: {', '.join(f'ratchet {name}' for name in missing)}"


def test_what_is_documented_is_a_command() -> None:
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", documentation(), re.DOTALL))
    shown = set(re.findall(r"(?m)(?:^|[`$;&|] ?|-m )ratchet ([a-z][a-z-]*)", code))
    assert "config" in shown
    assert not shown - set(cli.cli.commands)


@pytest.mark.parametrize("name", list(ALL))
def test_every_command_and_option_says_what_it_does(say: Say, name: str) -> None:
    told = say(*name.split(), "--help")
    assert told.code == 0
    assert ALL[name].help
    assert " ".join(str(ALL[name].help).split()) in " ".join(told.out.split())
    options = [option for option in ALL[name].params if isinstance(option, click.Option)]
    assert not [option.name for option in options if not option.help and not isinstance(option.type, click.Choice)]


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["run", "--help"], ["config", "--help"], ["--version"]])
def test_help_comes_at_once_without_the_heavy_libraries(tmp_path: Path, words: list[str]) -> None:
    done = process("-X", "importtime", "-m", "ratchet", *words, cwd=tmp_path)
    assert done.returncode == 0
    assert "ratchet" in done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & HEAVY


def test_the_version_is_that_of_the_package(say: Say) -> None:
    from importlib.metadata import version

    assert version("ratchet") in say("--version").out


def test_who_aborts_a_rollout_does_not_wait_for_mlflow_or_models_to_be_imported() -> None:
    words = ["-X", "importtime", "-c", "import ratchet.commands.rollout, ratchet.operate.underway, ratchet.taskfile"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "ratchet" in imported
    assert not imported & {"mlflow", "sklearn", "xgboost", "optuna"}


# ---------------------------------------------------------------- exit codes


def test_a_right_task_is_told_so_and_exits_0(say: Say) -> None:
    told = say("config", "check", "task.yaml")
    assert (told.code, told.out, told.err) == (0, f"task.yaml: {ONLY_THE_FILE.format('small', 'task.yaml')}", "")


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("problem: {kind: binary}\nsearch: {metric: rmse}\n", "search.metric: rmse is not defined for a binary target"),
        ("search: {space: {xgboost: {max_deph: [2, 4]}}}\n", "unknown parameter; did you mean 'max_depth'?"),
    ],
)
def test_a_check_finds_also_what_only_the_search_would_stumble_over(say: Say, more: str, fault: str) -> None:
    Path("task.yaml").write_text(TASK + more, encoding="utf-8")
    told = say("config", "check", "task.yaml")
    assert told.code == 1
    assert told.err.startswith("ratchet: task.yaml: ")
    assert fault in told.err


def test_a_check_lists_what_is_wrong_with_the_search_together(say: Say) -> None:
    wrong = "problem: {kind: binary}\nsearch: {metric: rmse, space: {xgboost: {max_deph: [2, 4]}}}\n"
    Path("task.yaml").write_text(TASK + wrong, encoding="utf-8")
    faults = say("config", "check", "task.yaml").err.splitlines()
    assert len(faults) == 2
    assert "rmse is not defined" in faults[0] and "did you mean 'max_depth'" in faults[1]


@pytest.mark.parametrize("name", ABOUT_A_TASK)
def test_a_missing_task_exits_1_with_one_line_and_makes_nothing(say: Say, name: str) -> None:
    told = say(*name.split(), "-c", "taks.yaml", *REQUIRED.get(name, ()))
    assert told.code == 1
    assert told.out == ""
    assert told.err == "ratchet: taks.yaml: no such file; did you mean 'task.yaml'?\n"
    assert [path.name for path in Path().iterdir()] == ["task.yaml"]


def test_a_wrong_task_exits_1_with_a_line_for_each_fault(say: Say) -> None:
    Path("task.yaml").write_text(f"{TASK}serach: {{}}\nsplit: {{by: hsah}}\n", encoding="utf-8")
    for words in (("config", "check", "task.yaml"), ("train", "-c", "task.yaml")):
        told = say(*words)
        assert told.code == 1
        assert [line.partition(": task.yaml: ")[::2] for line in told.err.splitlines()] == [
            ("ratchet", "split.by: no split 'hsah'; did you mean 'hash'?; one of hash, group, time, column, source"),
            ("ratchet", "serach: unknown key; did you mean 'search'?"),
        ]  # fmt: skip


def test_one_database_for_both_exits_1(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_DATABASE_URL", "sqlite:///mlflow.db")
    told = say("train", "-c", "task.yaml")
    assert told.code == 1
    assert told.err.startswith("ratchet: RATCHET_DATABASE_URL: the same database")
    assert not Path("mlflow.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Usage: "),
        (["trian"], "No such command 'trian'"),
        (["train", "-c", "task.yaml", "--trails", "3"], "No such option '--trails'. Did you mean '--trials'?"),
        (["train", "-c", "task.yaml", "--trials", "abc"], "Invalid value for '--trials': 'abc' is not a whole number"),
        (["train", "-c", "task.yaml", "--jobs", "1.5"], "Invalid value for '--jobs': '1.5' is not a whole number"),
        (["promote", "-c", "task.yaml", "--to", "prod"], "'prod' is not one of 'staging', 'production'"),
        (["serve", "-c", "task.yaml", "--port", "65536"], "Invalid value for '--port'"),
        (["score", "-c", "task.yaml", "--input", "rows.csv"], "Missing option '--output'"),
    ],
)
def test_bad_usage_exits_2_and_says_what_is_wrong(say: Say, words: list[str], said: str) -> None:
    told = say(*words)
    assert told.code == 2
    assert said in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("option", "value", "bound"),
    [
        ("--trials", "0", "greater than or equal to 1"),
        ("--trials", "-3", "greater than or equal to 1"),
        ("--trials", "100001", "less than or equal to 100000"),
        ("--jobs", "65", "less than or equal to 64"),
        ("--seed", "-1", "greater than or equal to 0"),
    ],
)
def test_an_option_is_held_to_the_bounds_of_the_file(say: Say, option: str, value: str, bound: str) -> None:
    told = say("train", "-c", "task.yaml", option, value)
    assert told.code == 1
    assert told.err == f"ratchet: {option}: input should be {bound}\n"


# ---------------------------------------------------------------- which task is meant


@pytest.mark.parametrize("name", ABOUT_A_TASK)
def test_a_task_is_named_without_an_option_too(say: Say, name: str) -> None:
    told = say(*name.split(), "taks.yaml", *REQUIRED.get(name, ()))
    assert (told.code, told.out) == (1, "")
    assert told.err == "ratchet: taks.yaml: no such file; did you mean 'task.yaml'?\n"


@pytest.mark.parametrize("name", [name for name in ABOUT_A_TASK if name != "prune"])  # which is then about all tasks
def test_the_only_task_here_or_in_configs_need_not_be_named(say: Say, name: str) -> None:
    Path("configs").mkdir()
    Path("conda.yaml").write_text("name: environment\ndependencies: [python]\n", encoding="utf-8")
    Path("task.yaml").rename("configs/task.yml")
    Path("configs/task.yml").write_text(f"{TASK}serach: {{}}\n", encoding="utf-8")
    told = say(*name.split(), *REQUIRED.get(name, ()))
    assert (told.code, told.out) == (1, "")
    assert told.err.splitlines() == [
        "ratchet: the task is configs/task.yml",
        "ratchet: configs/task.yml: serach: unknown key; did you mean 'search'?",
    ]


def test_one_of_several_tasks_has_to_be_named(say: Say) -> None:
    Path("configs").mkdir()
    Path("configs/other.yaml").write_text(TASK, encoding="utf-8")
    told = say("train")
    assert (told.code, told.out) == (1, "")
    assert "which task? There are configs/other.yaml, task.yaml; name one, as in `" in told.err
    assert told.err.endswith(" train configs/other.yaml`\n")


def test_without_any_task_the_way_to_write_one_is_told(say: Say) -> None:
    Path("task.yaml").unlink()
    told = say("train", "--json")
    assert told.code == 1
    assert "`ratchet init data.csv --target COLUMN > task.yaml`" in told.json["error"]


@pytest.mark.parametrize("words", [["other.yaml", "-c", "task.yaml"], ["other.yaml", "task.yaml"]])
def test_two_different_tasks_are_refused(say: Say, words: list[str]) -> None:
    told = say("train", *words)
    assert (told.code, told.out) == (1, "")
    assert "are named; one command is about one task, so name one of them" in told.err


def test_a_task_named_twice_is_one_task(say: Say) -> None:
    assert say("config", "check", "task.yaml", "-c", "./task.yaml").code == 0


# ---------------------------------------------------------------- --json


@pytest.mark.parametrize("name", [name for name in ABOUT_A_TASK if name != "config check"])
def test_with_json_a_failure_is_one_json_object_too(say: Say, name: str) -> None:
    told = say(*name.split(), "-c", "taks.yaml", "--json", *REQUIRED.get(name, ()))
    assert told.code == 1
    assert told.json == {"error": "taks.yaml: no such file; did you mean 'task.yaml'?"}
    assert told.err == "ratchet: taks.yaml: no such file; did you mean 'task.yaml'?\n"


def test_with_json_several_faults_are_one_json_object(say: Say) -> None:
    told = say("train", "-c", "task.yaml", "--json", "--trials", "0")
    assert told.json == {"error": "--trials: input should be greater than or equal to 1"}
    Path("task.yaml").write_text("name: 1\ndata: 2\n", encoding="utf-8")
    assert len(say("train", "-c", "task.yaml", "--json").json["error"].splitlines()) == 2


def test_the_schema_is_one_json_object(say: Say) -> None:
    told = say("config", "schema")
    assert told.code == 0
    assert told.json["title"] == "Ratchet task"


def test_a_process_fails_as_the_same_command_does_here(tmp_path: Path) -> None:
    done = process("-m", "ratchet", "train", "-c", "nothing.yaml", "--json", cwd=tmp_path, PYTHONWARNINGS="error")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"error": "nothing.yaml: no such file"}
    assert done.stderr == "ratchet: nothing.yaml: no such file\n"


# ---------------------------------------------------------------- init


def test_init_writes_a_task_that_check_finds_right(say: Say) -> None:
    drafted = say("init", "sklearn://wine", "--target", "target")
    assert (drafted.code, drafted.err) == (0, "")
    Path("wine.yaml").write_text(drafted.out, encoding="utf-8")
    assert say("config", "check", "wine.yaml").out == f"wine.yaml: {ONLY_THE_FILE.format('wine', 'wine.yaml')}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["sklearn://wien", "--target", "target"],
            "ratchet: sklearn://wien: scikit-learn ships no 'wien'; did you mean",
        ),
        (
            ["sklearn://wine", "--target", "targets"],
            "ratchet: data.target: no column 'targets'; did you mean 'target'?",
        ),
        (["sklearn://wine", "--target", "target", "--name", "my wine"], "ratchet: --name: string should match pattern"),
        (["rows.csv", "--target", "left"], "ratchet: data.sources.data: not found; tried rows.csv, data/rows.csv"),
        (["sklearn://wine"], "ratchet: --target: which column is to be predicted? Did you mean --target target?"),
        (["sqlite:///none.db"], "ratchet: data.sources.data: sqlite:///none.db: no such file"),
    ],
)
def test_init_says_in_one_line_why_it_cannot(say: Say, words: list[str], said: str) -> None:
    told = say("init", *words)
    assert told.code == 1
    assert told.out == ""
    assert told.err.startswith(said)
    assert len(told.err.splitlines()) == 1


# ---------------------------------------------------------------- with a store


def test_an_option_that_mlproject_leaves_empty_is_the_files_own(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    config = task_file()
    own = ratchet("run", "-c", config, "--plan", "--json")
    empty = ratchet("run", "-c", config, "--plan", "--json", "--trials", "", "--jobs", "", "--seed", "")
    assert own.code == empty.code == 0
    assert own.json["trials"] == empty.json["trials"] == 3
    assert ratchet("run", "-c", config, "--plan", "--json", "--trials", "7").json["trials"] == 7


def test_data_that_are_not_there_exit_1_with_one_json_object(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    config = task_file(data={"sources": {"rows": {"uris": ["nothing.csv"]}}, "target": "left"})
    told = ratchet("run", "-c", config, "--plan", "--json")
    assert told.code == 1
    assert told.json["error"].startswith("data.sources.rows: not found; tried nothing.csv")
    assert "Traceback" not in told.err
    assert told.err == f"ratchet: {told.json['error']}\n"
