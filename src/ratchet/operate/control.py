"""How a running stack is asked from another shell: what its parts do, and to start or stop one."""

import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from ratchet.errors import ConfigError, RatchetError, ServerError, did_you_mean
from ratchet.operate.kept import Kept
from ratchet.operate.part import READY_S
from ratchet.operate.stack import Stack
from ratchet.settings import SERVE_HOST

FILE = "control.json"  # in the stack's folder: where it is asked, and the key that only its user can read
STATUS, START, STOP = "status", "start", "stop"
LONGEST_BODY = 10_000
ANSWER_S = 3 * READY_S  # three parts may be started


class Control:
    """What may be asked of a running stack. is_over: set when all of it is to end."""

    def __init__(self, stack: Stack, kept: Mapping[str, Kept]) -> None:
        self.stack, self.kept = stack, kept
        self.is_over = threading.Event()
        self.key = secrets.token_hex(16)

    def do(self, what: str, names: Sequence[str]) -> dict[str, Any]:
        """Do what is asked.

        Args:
            what: STATUS, START or STOP.
            names: Of which parts; empty for all. To stop all is to end the stack.

        Returns:
            `parts`, with the state of each, and `error`, empty where all went well.
        """
        error = ""
        if what == STOP and not names:
            self.is_over.set()
            return {"parts": [], "error": ""}
        try:
            for name in (each for each in self.kept if not names or each in names):
                if what == START:
                    self.kept[name].start()
                elif what == STOP:
                    self.kept[name].stop()
        except (RatchetError, OSError) as fault:
            error = str(fault)
        return {"parts": [self._state(name) for name in self.kept], "error": error}

    def _state(self, name: str) -> dict[str, Any]:
        kept, part = self.kept[name], self.stack.parts[name]
        child = part.child
        return {
            "part": name,
            "state": kept.state,
            "answers": part.is_up(),
            "process": child.process.pid if child and child.is_alive else None,
            "address": self.stack.address(name),
            "restarts": kept.restarts,
            "log": str(self.stack.folder / f"{name}.log"),
        }


@contextmanager
def listening(control: Control) -> Iterator[None]:
    """Answer whoever has the key, on a free port of this machine, which a file in the stack's folder names."""
    server = ThreadingHTTPServer((SERVE_HOST, 0), partial(_Handler, control))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="control", daemon=True).start()
    file = control.stack.folder / FILE
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps({"url": f"http://{SERVE_HOST}:{server.server_port}", "key": control.key,
                                "process": os.getpid()}))  # fmt: skip
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        server.shutdown()
        server.server_close()


def ask(folder: Path, what: str, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Ask the stack that runs on a folder.

    Args:
        folder: The stack's folder.
        what: STATUS, START or STOP.
        names: Of which parts; empty for all.

    Returns:
        The state of each part, as `Control.do` gives it.

    Raises:
        ConfigError: There is no such part.
        ServerError: No stack runs there, or a part did not become healthy.
    """
    known = ("postgres", "bucket", "tracking")
    if wrong := [name for name in names if name not in known]:
        raise ConfigError(f"{wrong[0]}: no part of the stack{did_you_mean(wrong[0], known)}; its parts are"
                          f" {', '.join(known)}")  # fmt: skip
    nobody = ServerError(f"{folder}: no stack runs there; `ratchet stack` starts one (another folder: --folder)")
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        answer = requests.post(
            f"{told['url']}/{what}", json=list(names), timeout=ANSWER_S,
            headers={"Authorization": f"Bearer {told['key']}"},
        )  # fmt: skip
        found = answer.json() if answer.ok else {"error": f"{folder / FILE}: the stack refuses its key; start it again"}
        fault, parts = found["error"], found.get("parts", [])
    except FileNotFoundError:
        raise nobody from None
    except PermissionError as error:
        raise ServerError(f"{folder / FILE}: {error.strerror}; ask as the user who started the stack") from None
    except requests.ReadTimeout:
        raise ServerError(f"{folder}: the stack has not answered within {ANSWER_S} s; look at its output") from None
    except (requests.RequestException, ValueError, KeyError, TypeError):  # it was killed, and left its file
        raise nobody from None
    if fault:
        raise ServerError(fault)
    return list(parts)


class _Handler(BaseHTTPRequestHandler):
    """POST /status, /start, /stop, with a list of names."""

    def __init__(self, control: Control, *request: Any) -> None:
        self.control = control
        super().__init__(*request)

    def do_POST(self) -> None:
        """Answer one call."""
        said, size = self.headers.get("Authorization", ""), self.headers.get("Content-Length", "")
        what = self.path.removeprefix("/")
        if not secrets.compare_digest(said.encode(), f"Bearer {self.control.key}".encode()):
            return self._answer(403, {})
        if what not in (STATUS, START, STOP) or not size.isdigit() or int(size) > LONGEST_BODY:
            return self._answer(404, {})
        self._answer(200, self.control.do(what, json.loads(self.rfile.read(int(size)))))

    def _answer(self, status: int, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
