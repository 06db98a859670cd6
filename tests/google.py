"""Stand-ins for Google's programs and services, as their documentation has them: no test meets the real ones."""

import base64
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Says what it was called with, keeps what it was given in files, knows nothing yet (unless KNOWN), and one instance.
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
  *"services replace"*) cp "$4" "$SEEN.service" ;;
  *"services describe"*) echo https://tracking.example ;;
  *describe*) [ -n "${KNOWN:-}" ] ;;
esac
"""
# Says what it was called with, makes a secret of files, and keeps what is to be applied.
KUBECTL = """#!/usr/bin/env bash
echo "kubectl $*" >> "$SEEN"
case "$1 $2" in
  "create secret")
    echo "{apiVersion: v1, kind: Secret, metadata: {name: $4, namespace: $6}, stringData: {"
    for word in "$@"; do case "$word" in *=/*) echo "${word%%=*}: '$(cat "${word#*=}")'," ;; esac; done
    echo "}}" ;;
  "create namespace") echo "{apiVersion: v1, kind: Namespace, metadata: {name: $3}}" ;;
  apply*) { echo "---"; cat; } >> "$SEEN.applied" ;;
esac
"""
PROGRAMS = {"gcloud": GCLOUD, "kubectl": KUBECTL, "docker": "#!/usr/bin/env bash\n"}


def place_in(folder: Path) -> Path:
    """A copy of what the scripts read, and the programs that they call."""
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / ".env.example", folder)
    (folder / "bin").mkdir()
    for name, content in PROGRAMS.items():
        (folder / "bin" / name).write_text(content)
        (folder / "bin" / name).chmod(0o755)
    return folder


def script(place: Path, name: str, step: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a step of a script of deploy/gcp."""
    own = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "SEEN": str(place / "seen"), "HOME": str(place)}
    return subprocess.run(
        ["bash", place / "deploy" / "gcp" / name, step], env=own | env, capture_output=True, text=True, check=False
    )


@contextmanager
def secrets_of() -> Iterator[str]:
    """The metadata server and Secret Manager: yields the address of both."""

    class Both(BaseHTTPRequestHandler):
        def log_message(self, *said: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.endswith("/token") and self.headers["Metadata-Flavor"] == "Google":
                answer = {"access_token": "a-token"}
            elif self.headers["Authorization"] == "Bearer a-token" and self.path.startswith("/projects/p/"):
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
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
