"""Commands as a user types them: real processes, in a folder of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    """The user's environment, without what this test run may have set; requests are not logged: nobody reads that."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTEST_"))}
    kept.pop("RATCHET_DATABASE_URL", None)
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "RATCHET_LOG": "off"} | more


def settle(patch: pytest.MonkeyPatch, place: Path) -> None:
    """Work in the folder, in this process, as who set nothing: MLflow leaves the last store in its variable."""
    patch.chdir(place)
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "RATCHET_DATABASE_URL",
             "RATCHET_UPSTREAMS")  # fmt: skip
    for name in names:
        patch.delenv(name, raising=False)


def run(
    *words: object, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd, env=env or environment(), capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip


def start(*words: object, cwd: Path, env: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start a command and return at once; its output is one text stream."""
    return subprocess.Popen(
        [str(word) for word in words],
        cwd=cwd, env=env or environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
