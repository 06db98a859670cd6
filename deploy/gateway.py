"""What the container runs where nothing else is said: `ratchet serve`, at the port and for the task of its environment.

    gateway.py [OPTION...]    starts the gateway in its own place; the options are those of `ratchet serve`
    gateway.py --healthy      ends with 0 if it answers /ping

AIP_HTTP_PORT (Vertex AI), else PORT (Cloud Run, Knative), else 5001: where it listens. RATCHET_TASK: the YAML file,
below /ratchet unless it is absolute. RATCHET_STAGE: another stage than Production. RATCHET_STATE: where it writes, else
/state. RATCHET_GATEWAY_PASSWORD: what RATCHET_DATABASE_URL lacks, where a secret cannot be part of a longer value.
"""

import os
import sys
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

IMAGE = Path(__file__).resolve().parents[1]


def port() -> str:
    """Return the port that the place this runs in has chosen.

    Raises SystemExit if that is none.
    """
    name = "AIP_HTTP_PORT" if os.environ.get("AIP_HTTP_PORT") else "PORT"
    said = os.environ.get(name) or "5001"
    if not said.isdigit() or not 0 < int(said) < 65_536:
        raise SystemExit(f"{name}: {said!r} is not a port; give a number from 1 to 65535")
    return said


def words(options: list[str]) -> list[str]:
    """Return the command that serves. options: of `ratchet serve`; --no-keys counts only where there are no keys."""
    task = os.environ.get("RATCHET_TASK")
    if not task:
        raise SystemExit("RATCHET_TASK: missing; name the YAML file of the task, such as configs/quickstart.yaml")
    stage = os.environ.get("RATCHET_STAGE")
    has_keys = bool(os.environ.get("RATCHET_API_KEYS_FILE"))
    given = [option for option in options if option != "--no-keys" or not has_keys]
    asked = ["--stage", stage] if stage else []
    return ["ratchet", "serve", "-c", str(IMAGE / task), *asked, "--host", "0.0.0.0", "--port", port(), *given]


def database() -> str:
    """Return the address of the database, with the password."""
    address, password = os.environ.get("RATCHET_DATABASE_URL", ""), os.environ.get("RATCHET_GATEWAY_PASSWORD", "")
    role, at, rest = address.partition("@")
    return f"{role}:{quote(password, safe='')}@{rest}" if at and password else address


def healthy() -> bool:
    """Whether the gateway of this container answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port()}/ping", timeout=4) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def main(options: list[str]) -> None:
    """Become the gateway, so that the signals of who stops the container reach it; or say how it is."""
    if options == ["--healthy"]:
        raise SystemExit(0 if healthy() else 1)
    command = words(options)
    if address := database():
        os.environ["RATCHET_DATABASE_URL"] = address
    os.environ.pop("RATCHET_GATEWAY_PASSWORD", None)
    os.chdir(os.environ.get("RATCHET_STATE") or "/state")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
