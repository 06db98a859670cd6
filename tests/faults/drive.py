"""A case brought to its place and driven through the real command."""

import contextlib
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.end_to_end.commands import environment
from tests.faults import forked
from tests.faults.case import Case, data
from tests.faults.forked import Done
from tests.web import Server

SOUND: dict[str, Any] = {
    "name": "small", **data(),
    "split": {"by": "hash", "train": 0.6, "valid": 0.2, "test": 0.2},
    "search": {"models": ["linear"], "trials": 1, "folds": 2},
}  # fmt: skip


# Root in a namespace of its own, where the system lets people have one.
NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def mounts(case: Case) -> bool:
    return "mount" in case.around


@cache
def can_mount() -> bool:
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def put_in_place(case: Case, place: Path) -> None:
    if case.data is not None:
        content = case.data() if callable(case.data) else case.data
        name = "data.csv.gz" if content.startswith(b"\x1f\x8b") else "data.csv"
        (place / name).write_bytes(content)
    text = case.yaml or yaml.safe_dump(SOUND | case.task, allow_unicode=True)
    (place / "task.yaml").write_text(text, encoding="utf-8")
    if case.prepare:
        case.prepare(place)


def words_of(case: Case) -> list[str]:
    named = case.command[0] not in ("trian",) and "-c" not in case.command
    return ["ratchet", *case.command, *(["-c", "task.yaml"] if named else [])]


def drive(case: Case, place: Path) -> Done:
    """Run the case's command in the folder to its end."""
    with contextlib.ExitStack() as until_end:
        put_in_place(case, place)
        words = words_of(case)
        env = {name: value for name, value in environment(**case.env).items() if name != "RATCHET_DATA"}
        if case.answer:
            server = until_end.enter_context(contextlib.closing(Server()))
            server.answers = [case.answer]
            task = place / "task.yaml"
            task.write_text(task.read_text(encoding="utf-8").replace("SERVER", server.url), encoding="utf-8")
            words = [word.replace("PORT", server.url.rpartition(":")[2]) for word in words]
        if not case.around:
            done = forked.run(words, place, env)
        else:
            words = [
                *(NAMESPACE if mounts(case) else []),
                "bash",
                "-c",
                f'{case.around}; cd "$PWD"; "$@"',
                "bash",
                *words,
            ]
            ended = subprocess.run(words, cwd=place, env=env, capture_output=True, text=True, timeout=300, check=False)
            done = Done(ended.returncode, ended.stdout, ended.stderr)
        return Done(done.returncode, *(text.replace(server.url, "SERVER") if case.answer else text
                                       for text in (done.stdout, done.stderr)))  # fmt: skip
