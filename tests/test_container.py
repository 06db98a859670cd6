"""What the image runs: at the port and for the task that its environment says, on each of the places it runs in."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from gcp_storage_emulator.server import create_server
from google.cloud import storage

from ratchet.adapters.servers import free_port
from ratchet.cli import cli
from tests import google

ROOT = Path(__file__).parents[1]


@pytest.fixture
def started(tmp_path: Path) -> "Started":
    return Started(tmp_path)


class Started:
    """The container's programs, with a stand-in for `ratchet` that says how it was called, and where."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "ratchet").write_text('#!/usr/bin/env bash\necho "$PWD"; echo "$@"; env; echo "pid=$$"\n')
        (folder / "bin" / "ratchet").chmod(0o755)

    def run(self, program: str, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        own = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "RATCHET_STATE": str(self.folder / "state"),
               "PYTHONPATH": str(ROOT / "src")}  # fmt: skip
        with subprocess.Popen(
            [sys.executable, ROOT / "deploy" / program, *words], env=own | env, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        ) as child:  # fmt: skip
            out, err = child.communicate(timeout=60)
        return subprocess.CompletedProcess([str(child.pid)], child.returncode, out, err)

    def options(self, *words: str, **env: str) -> str:
        done = self.run("gateway.py", *words, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[1]


@pytest.mark.parametrize(
    ("env", "port"),
    [({}, 5001), ({"PORT": "8080"}, 8080), ({"AIP_HTTP_PORT": "9000", "PORT": "8080"}, 9000), ({"PORT": ""}, 5001)],
)
def test_it_listens_where_the_place_it_runs_in_says(started: Started, env: dict[str, str], port: int) -> None:
    told = started.options(RATCHET_TASK="configs/quickstart.yaml", **env)
    assert told == f"serve -c {ROOT}/configs/quickstart.yaml --host 0.0.0.0 --port {port}"


def test_it_becomes_the_gateway_in_a_folder_that_it_may_write_so_that_a_stop_reaches_it(started: Started) -> None:
    done = started.run("gateway.py", RATCHET_TASK="/a/task.yaml", RATCHET_STAGE="Staging")
    (pid,) = done.args
    assert done.stdout.splitlines()[0] == str(started.folder / "state")
    assert done.stdout.splitlines()[1] == "serve -c /a/task.yaml --stage Staging --host 0.0.0.0 --port 5001"
    assert f"pid={pid}\n" in done.stdout


def test_its_options_are_those_of_the_command() -> None:
    known = {option for parameter in cli.commands["serve"].params for option in parameter.opts}
    assert {"-c", "--stage", "--host", "--port"} <= known


@pytest.mark.parametrize(
    ("address", "whole"),
    [
        (
            "postgresql://ratchet_gateway@/ratchet?host=/cloudsql/a:b:c",
            "postgresql://ratchet_gateway:p%40%2Fw@/ratchet?host=/cloudsql/a:b:c",
        ),
        ("sqlite:////state/a.db", "sqlite:////state/a.db"),
    ],
)
def test_a_password_of_its_own_becomes_part_of_the_address(started: Started, address: str, whole: str) -> None:
    done = started.run(
        "gateway.py", RATCHET_TASK="a.yaml", RATCHET_DATABASE_URL=address, RATCHET_GATEWAY_PASSWORD="p@/w"
    )
    assert f"RATCHET_DATABASE_URL={whole}\n" in done.stdout
    assert "RATCHET_GATEWAY_PASSWORD" not in done.stdout


def test_keys_that_are_named_are_asked_for(started: Started) -> None:
    assert started.options("--no-keys", RATCHET_TASK="a.yaml").endswith(" --no-keys")
    assert "--no-keys" not in started.options("--no-keys", RATCHET_TASK="a.yaml", RATCHET_API_KEYS_FILE="/keys/them")


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({}, "RATCHET_TASK: missing; name the YAML file of the task, such as configs/quickstart.yaml\n"),
        ({"RATCHET_TASK": "a.yaml", "PORT": "http"}, "PORT: 'http' is not a port; give a number from 1 to 65535\n"),
        ({"RATCHET_TASK": "a.yaml", "AIP_HTTP_PORT": "70000"},
         "AIP_HTTP_PORT: '70000' is not a port; give a number from 1 to 65535\n"),
    ],
)  # fmt: skip
def test_what_it_cannot_start_with_is_told_in_a_line(started: Started, env: dict[str, str], told: str) -> None:
    done = started.run("gateway.py", **env)
    assert (done.returncode, done.stderr) == (1, told)


@contextmanager
def answering(status: int) -> Iterator[str]:
    class Ping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ping" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield str(server.server_port)
    server.shutdown()
    server.server_close()


def test_the_health_check_is_a_ping(started: Started) -> None:
    with answering(200) as port:
        assert started.run("gateway.py", "--healthy", PORT=port).returncode == 0
    assert started.run("gateway.py", "--healthy", PORT=port).returncode == 1, "nobody listens"
    with answering(503) as port:
        assert started.run("gateway.py", "--healthy", PORT=port).returncode == 1


@pytest.fixture(scope="module")
def vertex() -> Iterator[dict[str, str]]:
    """What Vertex AI gives a container, with a bucket of the emulator that holds a task."""
    port = free_port()
    bucket = create_server("127.0.0.1", port, True, "uploaded")
    bucket.start()
    there = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    with google.secrets_of() as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", there["STORAGE_EMULATOR_HOST"])
        client = storage.Client.create_anonymous_client()
        client.bucket("uploaded").blob("1/task.yaml").upload_from_string("name: of the bucket\n")
        yield there | {"METADATA": address, "SECRETS": address, "PROJECT": "p", "AIP_HTTP_PORT": "8080",
                       "RATCHET_TASK": "configs/quickstart.yaml", "GOOGLE_CLOUD_PROJECT": "p"}  # fmt: skip
    bucket.stop()


def test_on_vertex_it_fetches_its_passwords_and_asks_no_keys(started: Started, vertex: dict[str, str]) -> None:
    done = started.run("gcp/vertex.py", **vertex, RATCHET_DATABASE_URL="postgresql://ratchet_gateway@a/ratchet")
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[1] == f"serve -c {ROOT}/configs/quickstart.yaml --host 0.0.0.0 --port 8080 --no-keys"
    assert "MLFLOW_TRACKING_PASSWORD=of MLFLOW_SERVING_PASSWORD" in told
    assert "RATCHET_DATABASE_URL=postgresql://ratchet_gateway:of%20RATCHET_GATEWAY_PASSWORD@a/ratchet" in told


def test_on_vertex_the_task_may_come_with_the_upload(started: Started, vertex: dict[str, str]) -> None:
    done = started.run("gcp/vertex.py", **vertex, AIP_STORAGE_URI="gs://uploaded/1/")
    assert done.returncode == 0, done.stderr
    file = Path(done.stdout.splitlines()[1].split()[2])
    assert file.is_relative_to(started.folder / "state") and file.read_text() == "name: of the bucket\n"
    assert "RATCHET_DATABASE_URL" not in done.stdout, "no database was named"


def test_on_vertex_what_is_not_there_is_told_in_a_line(started: Started, vertex: dict[str, str]) -> None:
    done = started.run("gcp/vertex.py", **vertex, AIP_STORAGE_URI="gs://uploaded/2")
    assert done.returncode == 1
    assert done.stderr == (
        "AIP_STORAGE_URI: gs://uploaded/2/task.yaml (no such object); put the task there, or upload without"
        " --artifact-uri\n"
    )


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"METADATA": "http://127.0.0.1:1"}, "Connection refused"),
        ({"PROJECT": "another"}, "the secret is made, and this account may read it, by deploy/gcp/deploy.sh secrets"),
    ],
)
def test_on_vertex_a_secret_that_cannot_be_read_is_told_in_a_line(
    started: Started, vertex: dict[str, str], changed: dict[str, str], why: str
) -> None:
    done = started.run("gcp/vertex.py", **vertex | changed)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert why in done.stderr and "/secrets/MLFLOW_SERVING_PASSWORD/" in done.stderr
