"""The scripts for Google Cloud, with stand-ins for its programs and services: they have not met the real ones."""

import base64
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# Says what it was called with, keeps what it was given in files, knows nothing yet, and one instance.
GCLOUD = """#!/usr/bin/env bash
echo "gcloud $*" >> "$SEEN"
for word in "$@"; do case "$word" in /dev/fd/*) cat "$word" >> "$SEEN.flags" ;; esac; done
case "$*" in
  *"versions add"*) cat > /dev/null ;;
  *"sql instances describe"*json*)
    echo '{"ipAddresses": [{"type": "PRIMARY", "ipAddress": "8.8.8.8"},'
    echo ' {"type": "PRIVATE", "ipAddress": "10.0.0.3"}]}' ;;
  *"custom-jobs create"*) cp "${@: -1}" "$SEEN.job" ;;
  *"projects describe"*) echo 123456 ;;
  *"services describe"*) echo https://tracking.example ;;
  *describe*) exit 1 ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of what the scripts read, and the programs that they call."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    shutil.copy(ROOT / ".env.example", tmp_path)
    (tmp_path / "bin").mkdir()
    for name, content in {"gcloud": GCLOUD, "docker": "#!/usr/bin/env bash\n"}.items():
        (tmp_path / "bin" / name).write_text(content)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def deploy(place: Path, step: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "SEEN": str(place / "seen"), "HOME": str(place)}
    return subprocess.run(
        ["bash", place / "deploy" / "gcp" / "deploy.sh", step], env=env, capture_output=True, text=True, check=False
    )


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
    assert [name for name, who in readers if who == "ratchet-model"] == ["MLFLOW_SERVING_PASSWORD"]
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
    """The metadata server and Secret Manager, as their documentation has them."""

    class Both(BaseHTTPRequestHandler):
        def log_message(self, *said: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.endswith("/token") and self.headers["Metadata-Flavor"] == "Google":
                answer = {"access_token": "a-token"}
            elif self.headers["Authorization"] == "Bearer a-token":
                name = self.path.split("/secrets/")[1].split("/")[0]
                answer = {"payload": {"data": base64.b64encode(f"of {name}".encode()).decode()}}
            else:
                self.send_error(401)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Both)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


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
