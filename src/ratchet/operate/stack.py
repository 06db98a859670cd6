"""The team stack without Docker, on 127.0.0.1: PostgreSQL, an emulator of Google Cloud Storage, a tracking server.

It runs the very scripts in deploy/ that docker-compose.yml runs, so that what is shown here holds there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ratchet.adapters import database, postgres, schema, servers
from ratchet.adapters.postgres import Cluster
from ratchet.errors import ServerError
from ratchet.operate.part import DEPLOY, Part, Tell, Tracking
from ratchet.operate.people import ACCOUNT_VARIABLES, PEOPLE, ROLES
from ratchet.settings import SERVE_HOST

BUCKET = "ratchet-artifacts"


@dataclass(frozen=True)
class Ports:
    """Where each part listens."""

    postgres: int
    bucket: int
    tracking: int

    @classmethod
    def free(cls) -> "Ports":
        """Three ports that are free now."""
        return cls(*(servers.free_port() for _ in range(3)))

    @classmethod
    def remembered(cls, file: Path) -> "Ports":
        """Those of the last time, so that addresses which people hold stay right; others where one is taken by now."""
        if file.exists():
            found = cls(**json.loads(file.read_text(encoding="utf-8")))
            if all(map(servers.is_free, (found.postgres, found.bucket, found.tracking))):
                return found
        found = cls.free()
        file.write_text(json.dumps(asdict(found)), encoding="utf-8")
        return found


@dataclass(frozen=True)
class Stack:
    """A running stack. secrets: what `.env` holds; its parts may be stopped and started again."""

    folder: Path
    ports: Ports
    secrets: Mapping[str, str]
    cluster: Cluster
    bucket: "Part"
    tracking: "Tracking"

    @property
    def parts(self) -> dict[str, "Cluster | Part"]:
        """Its parts by their names, each after those that it stands on."""
        return {"postgres": self.cluster, "bucket": self.bucket, "tracking": self.tracking}

    def address(self, part: str) -> str:
        """Return the address at which a part listens."""
        return f"http://{SERVE_HOST}:{getattr(self.ports, part)}" if part != "postgres" else (
            f"{SERVE_HOST}:{self.ports.postgres}")  # fmt: skip

    @property
    def tracking_uri(self) -> str:
        """Address of the tracking server."""
        return f"http://{SERVE_HOST}:{self.ports.tracking}"

    def database_url(self, role: str = "ratchet_scientist") -> str:
        """Address of the database `ratchet`, for a role."""
        return self.cluster.url("ratchet", role, self.secrets[ROLES[role]])

    def operators(self) -> dict[str, str]:
        """What whoever backs it up exports: the superuser of PostgreSQL, the way to the bucket, the accounts."""
        accounts = {name: self.secrets[name] for name in ACCOUNT_VARIABLES}
        return (
            accounts
            | self.ledger_keys()
            | {
                "PGHOST": SERVE_HOST,
                "PGPORT": str(self.ports.postgres),
                "PGUSER": "postgres",
                "PGPASSWORD": self.cluster.password,
                "RATCHET_BUCKET": f"gs://{BUCKET}",
                "STORAGE_EMULATOR_HOST": f"http://{SERVE_HOST}:{self.ports.bucket}",
                "GOOGLE_CLOUD_PROJECT": "ratchet",
            }
        )

    def ledger_keys(self) -> dict[str, str]:
        """Return the key that signs the ledger, and those that are trusted beside it."""
        keys = {name: self.secrets.get(name, "") for name in ("RATCHET_LEDGER_KEY", "RATCHET_LEDGER_TRUST")}
        return {name: value for name, value in keys.items() if value}

    def environment(self, person: str = "admin") -> dict[str, str]:
        """Return what a person exports to work on the stack.

        Args:
            person: One of PEOPLE.
        """
        account, password, role, has_key = PEOPLE[person]
        key = {name: value for name, value in self.ledger_keys().items() if has_key or name != "RATCHET_LEDGER_KEY"}
        return {
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MLFLOW_TRACKING_USERNAME": account or self.secrets["MLFLOW_SERVING_USERNAME"],
            "MLFLOW_TRACKING_PASSWORD": self.secrets[password],
            "RATCHET_DATABASE_URL": self.database_url(role),
        } | key


@contextmanager
def running(folder: Path, ports: Ports | None = None, tell: Tell = lambda text: None) -> Iterator[Stack]:
    """Start the stack on the data of the folder, made on first use; stop all of it at the end.

    tell: hears what is wrong with an account.

    Raises ServerError that names the part which did not come up.
    """
    if not DEPLOY.is_dir():
        raise ServerError(f"{DEPLOY}: not there; the stack's scripts are in a checkout of Ratchet, so run it from one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "environment").touch(mode=0o600)
    except OSError as error:
        raise ServerError(f"{folder}: {error.strerror}; choose a folder that you may write to (--folder)") from None
    if pid := _is_running(folder):
        raise ServerError(f"{folder}: a stack runs there already (PostgreSQL is process {pid}); stop it, or choose"
                          " another folder (--folder)")  # fmt: skip
    for log in folder.glob("*.log"):  # those of the last time: one generation is kept
        log.replace(log.with_name(f"{log.name}.1"))
    ports, secrets = ports or Ports.remembered(folder / "ports.json"), _secrets(folder / ".env")
    cluster = Cluster(folder / "postgres", ports.postgres, secrets["POSTGRES_PASSWORD"])
    is_new, whole = not cluster.folder.exists(), folder / "initialised"
    with ExitStack() as parts:
        parts.enter_context(cluster.running())
        if is_new:
            _initialise(cluster, secrets)
        elif not whole.exists() and not _is_made(cluster, secrets):
            raise ServerError(f"{cluster.folder}: it was left half-made and holds nothing yet; remove it, start again")
        whole.touch()
        bucket = _bucket(folder, ports.bucket)
        tracking = Tracking(_tracking_environment(folder, ports, secrets), f"http://{SERVE_HOST}:{ports.tracking}",
                            folder / "tracking.log", tell)  # fmt: skip
        for part in (bucket, tracking):
            parts.callback(part.stop)
            part.start()
        yield Stack(folder, ports, secrets, cluster, bucket, tracking)


def _is_running(folder: Path) -> int:
    """The process of the PostgreSQL that runs on the folder's data; 0 if none does."""
    try:
        pid = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return 0
    return pid


def _secrets(file: Path) -> dict[str, str]:
    """What the file says, after writing it with random secrets where it is not there."""
    subprocess.run(["bash", str(DEPLOY / "secrets.sh"), str(file)], check=True)
    return dict(re.findall(r"^(\w+)=(.*)$", file.read_text(), re.MULTILINE))


def _initialise(cluster: Cluster, secrets: Mapping[str, str]) -> None:
    """Make databases and roles; a cluster on which that fails is not left behind for the next start."""
    reach = {"PGHOST": SERVE_HOST, "PGPORT": str(cluster.port), "PGPASSWORD": cluster.password}
    path = f"{postgres.binaries()}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        done = subprocess.run(
            ["bash", str(DEPLOY / "postgres" / "init.sh")],
            env={**os.environ, **secrets, **reach, "PATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ServerError(f"deploy/postgres/init.sh: {done.stderr.strip()[-300:]}")
        owned = cluster.url("ratchet", "ratchet_owner", secrets[ROLES["ratchet_owner"]])
        schema.migrate(database.with_driver(owned))
    except BaseException:
        cluster.stop()
        shutil.rmtree(cluster.folder)
        raise


def _is_made(cluster: Cluster, secrets: Mapping[str, str]) -> bool:
    """Whether the roles are there and the tables of `ratchet` are made, which comes last."""
    import psycopg2

    address = cluster.url("ratchet", "ratchet_promoter", secrets[ROLES["ratchet_promoter"]])
    try:
        with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT has_table_privilege('ledger', 'INSERT')")
            return bool(cursor.fetchone() == (True,))
    except psycopg2.Error:
        return False


def _bucket(folder: Path, port: int) -> Part:
    words = [sys.executable, "-m", "gcp_storage_emulator", f"--data-dir={folder / 'bucket'}", "start",
             f"--host={SERVE_HOST}", f"--port={port}", f"--default-bucket={BUCKET}"]  # fmt: skip
    health = f"http://{SERVE_HOST}:{port}/storage/v1/b/{BUCKET}"
    return Part("gcp-storage-emulator", words, folder / "bucket.log", health, os.environ)


def _tracking_environment(folder: Path, ports: Ports, secrets: Mapping[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        **secrets,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "POSTGRES_HOST": SERVE_HOST,
        "POSTGRES_PORT": str(ports.postgres),
        "STORAGE_EMULATOR_HOST": f"http://{SERVE_HOST}:{ports.bucket}",
        "RATCHET_BUCKET": f"gs://{BUCKET}",
        "MLFLOW_PORT": str(ports.tracking),
        "MLFLOW_STATE": str(folder / "tracking"),
        "RATCHET_ENV_FILE": str(folder / ".env"),
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{SERVE_HOST}:*,localhost:*",
    }
