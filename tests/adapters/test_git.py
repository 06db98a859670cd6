"""What git says of Ratchet's own source, wherever that lies."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ratchet.adapters import git
from ratchet.errors import RatchetError
from tests.conftest import ROOT


def run(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository that holds Ratchet's package as its own would, committed."""
    for name in ("__init__.py", "errors.py", "adapters/__init__.py", "adapters/git.py"):
        target = tmp_path / "src" / "ratchet" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "src" / "ratchet" / name, target)
    run(tmp_path, "init", "-q")
    run(tmp_path, "add", "-A")
    run(tmp_path, "commit", "-q", "-m", "feat: all of it")
    return tmp_path


def asked(source: Path, what: str) -> str:
    """What the copy of the adapter in that folder says of itself."""
    code = f"from ratchet.adapters import git; print(git.{what})"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env={"PYTHONPATH": str(source), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_a_changed_file_marks_the_commit_as_dirty(project: Path) -> None:
    clean = asked(project / "src", "commit()")
    assert len(clean) == 40
    (project / "src/ratchet/errors.py").open("a").write("\n")
    assert asked(project / "src", "commit()") == f"{clean}-dirty"


def test_installed_within_another_projects_checkout_it_has_no_commit_of_that_project(project: Path) -> None:
    site = project / ".venv" / "site-packages"
    shutil.copytree(project / "src", site)
    assert asked(site, "commit()") == ""
    assert asked(site, "repository()") == "None"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@host.example/team/ratchet.git", "https://host.example/team/ratchet.git"),
        ("git@host.example:team/ratchet.git", "git@host.example:team/ratchet.git"),
    ],
)
def test_the_address_of_a_clone_is_shown_without_its_password(project: Path, address: str, shown: str) -> None:
    run(project, "remote", "add", "origin", address)
    assert asked(project / "src", "origin()") == shown


def test_the_files_of_a_commit_come_out_as_they_were_and_leave_the_repository_alone(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    commit, file = asked(project / "src", "commit()"), project / "src/ratchet/errors.py"
    then = file.read_text(encoding="utf-8")
    file.write_text("pass\n", encoding="utf-8")
    target = tmp_path_factory.mktemp("out") / "code"
    git.extract(project, commit, target)
    assert (target / "src/ratchet/errors.py").read_text(encoding="utf-8") == then
    assert file.read_text(encoding="utf-8") == "pass\n"
    assert git.holds(project, commit) and not git.holds(project, "0" * 40)
    with pytest.raises(RatchetError, match="cannot write the files of commit 000"):
        git.extract(project, "0" * 40, target.with_name("none"))


def test_a_commit_that_leads_out_of_its_folder_is_refused_where_python_can(project: Path, tmp_path: Path) -> None:
    (project / "away").symlink_to("/etc")
    run(project, "add", "away")
    run(project, "commit", "-m", "a link")
    commit = asked(project / "src", "commit()")
    if not hasattr(tarfile, "data_filter"):  # before 3.11.4 the link is a link
        git.extract(project, commit, tmp_path / "code")
        assert (tmp_path / "code" / "away").is_symlink()
        return
    with pytest.raises(RatchetError, match=f"commit {commit} is not written out: .*away"):
        git.extract(project, commit, tmp_path / "code")
