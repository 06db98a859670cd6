"""The scripts for Google Cloud, with stand-ins for its programs and services: they have not met the real ones."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import google


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return google.place_in(tmp_path)


def deploy(place: Path, step: str) -> "subprocess.CompletedProcess[str]":
    return google.script(place, "deploy.sh", step)


def test_no_password_is_on_a_command_line_and_what_is_left_to_a_person_is_said(place: Path) -> None:
    done = deploy(place, "prepare")
    assert done.returncode == 0, done.stderr
    secrets = re.findall(r"^\w+=([0-9a-f]{64})$", (place / ".env").read_text(), re.MULTILINE)
    seen = (place / "seen").read_text()
    assert len(secrets) > 5
    assert not [secret for secret in secrets if secret in seen + done.stdout]
    assert re.search(r'^--password: "[0-9a-f]{64}"$', (place / "seen.flags").read_text(), re.MULTILINE)
    assert seen.index("sql instances create") < seen.index("secrets create")
    assert "run deploy" not in seen, "the server starts when its database is there"
    assert done.stdout.index("init.sh") < done.stdout.index("ratchet migrate") < done.stdout.index("deploy.sh tracking")


def test_only_the_server_may_write_the_bucket_and_each_account_reads_its_own_secrets(place: Path) -> None:
    assert deploy(place, "prepare").returncode == 0
    seen = (place / "seen").read_text()
    bound = re.findall(r"buckets add-iam-policy-binding \S+ --role (\S+) --member serviceAccount:([\w-]+)", seen)
    assert bound == [("roles/storage.objectAdmin", "ratchet-tracking")]
    readers = re.findall(r"secrets add-iam-policy-binding (\w+) .* serviceAccount:([\w-]+)", seen)
    assert [name for name, who in readers if who == "ratchet-model"] == [
        "MLFLOW_SERVING_PASSWORD", "RATCHET_GATEWAY_PASSWORD",
    ]  # fmt: skip
    mine = ["RATCHET_SCIENTIST_PASSWORD", "MLFLOW_TRAINER_PASSWORD"]
    assert [name for name, who in readers if who == "ratchet-trainer"] == mine


def test_a_job_of_vertex_ai_knows_where_database_and_server_are(place: Path) -> None:
    (place / ".env").write_text("MLFLOW_SERVING_USERNAME=serving\n")
    done = deploy(place, "train")
    assert done.returncode == 0, done.stderr
    job = yaml.safe_load((place / "seen.job").read_text())
    assert job["network"] == "projects/123456/global/networks/default"
    container = job["workerPoolSpecs"][0]["containerSpec"]
    told = {entry["name"]: entry["value"] for entry in container["env"]}
    assert told["DATABASE_ADDRESS"] == "10.0.0.3"
    assert told["MLFLOW_TRACKING_URI"] == "https://tracking.example"
    assert container["args"] == ["/ratchet/configs/quickstart.yaml"]


def test_a_step_that_is_none_is_told_which_there_are(place: Path) -> None:
    done = deploy(place, "everything")
    assert done.returncode == 2
    assert "deploy.sh prepare" in done.stdout


@pytest.fixture
def secrets() -> Iterator[str]:
    with google.secrets_of() as address:
        yield address


def test_the_job_fetches_its_passwords_and_works_in_a_folder_that_it_may_write(place: Path, secrets: str) -> None:
    (place / "bin" / "ratchet").write_text('#!/usr/bin/env bash\necho "$PWD $*"; env\n')
    (place / "bin" / "ratchet").chmod(0o755)
    env = {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "METADATA": secrets, "SECRETS": secrets, "PROJECT": "p",
        "DATABASE_ADDRESS": "10.0.0.3",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", place / "deploy" / "gcp" / "train.sh", "/ratchet/a.yaml"], env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.match(r"/tmp/\S+ evaluate -c /ratchet/a.yaml\n", done.stdout)
    assert "MLFLOW_TRACKING_PASSWORD=of MLFLOW_TRAINER_PASSWORD" in done.stdout
    assert "ratchet_scientist:of RATCHET_SCIENTIST_PASSWORD@10.0.0.3:5432/ratchet" in done.stdout
