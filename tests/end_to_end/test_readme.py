"""The README's commands, typed as they stand, in order, in a copy of the repository."""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from ratchet.adapters.servers import answers, running
from tests.conftest import data_folders
from tests.end_to_end.commands import ROOT, environment

ELSEWHERE = ("make test", "mlflow ui")  # this very suite, and what does not end by itself
MAKE_RUN = "ratchet run -c configs/quickstart.yaml --ask"  # `make run` without its setup
TIMEOUT_S = 600


def commands() -> Iterator[str]:
    """Each command of the README's shell blocks, with continued lines joined."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s+#.*$", "", line).strip()
            if command and not command.startswith(ELSEWHERE):
                yield MAKE_RUN if command == "make run" else command


@pytest.fixture
def checkout(tmp_path: Path, migrated_store: Path) -> Path:
    """A copy of what git would give, with an empty store."""
    place = tmp_path / "ratchet"
    place.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    packed = subprocess.run(["tar", "--null", "-c", "-T", "-"], cwd=ROOT, input=listed, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=place, input=packed.stdout, check=True)
    (place / "mlflow.db").write_bytes(migrated_store.read_bytes())
    return place


def test_every_command_of_the_readme_works_as_it_stands(checkout: Path, real: Callable[[str], Path]) -> None:
    real("telco_customer_churn.csv.gz")
    env = environment(RATCHET_DATA=":".join(str(folder.resolve()) for folder in data_folders()))
    told: list[str] = []
    with ExitStack() as servers:
        for command in commands():
            if command.startswith("ratchet serve"):
                log = checkout / "serve.log"
                server = servers.enter_context(running(command, shlex.split(command), log, cwd=checkout, env=env))
                server.require(partial(answers, "http://127.0.0.1:5001/ready"), 120)
                continue
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=checkout,
                env=env,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            told.append(command.split()[0])
            if command.startswith("curl"):
                assert re.search('"(contribution|accepted)"', done.stdout), done.stdout
    assert {"ratchet", "mlflow", "curl"} <= set(told)


def test_make_run_is_the_command_that_is_tested_here() -> None:
    assert "@ratchet run -c $(CONFIG) --ask" in (ROOT / "Makefile").read_text(encoding="utf-8")
