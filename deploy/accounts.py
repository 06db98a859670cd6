"""Makes the accounts of the tracking server for which the stack writes an environment, where they are not there yet.

`make up`, `make model` and `ratchet stack` run it, with what `.env` holds in the environment; it needs nothing but
Python. What an account may do is granted when it is made, on all experiments and models, and never again: an admin may
take it back. An account whose password on the server is another than that of `.env` is named on stderr, and the exit
code is 1.
"""

import base64
import json
import os
import sys
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

SCIENTIST = {"experiment": "EDIT", "registered_model": "EDIT"}
PROMOTER = {"experiment": "EDIT", "registered_model": "MANAGE"}  # which it takes to move an alias
GATEWAY: dict[str, str] = {}  # every account may read
ADMIN = ("admin", "MLFLOW_AUTH_ADMIN_PASSWORD")
TIMEOUT_S = 60


def ask(path: str, account: tuple[str, str], body: dict[str, str] | None = None) -> int:
    """Ask the server and return the status of its answer.

    Args:
        path: The path below /api.
        account: Who asks: the name of the account, and the variable that holds its password.
        body: What is sent, by POST; None for GET.
    """
    name, variable = account
    who = base64.b64encode(f"{name}:{os.environ.get(variable, '')}".encode()).decode()
    request = Request(
        f"http://127.0.0.1:{os.environ['MLFLOW_PORT']}/api/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Basic {who}", "Content-Type": "application/json"},
    )
    try:
        with urlopen(request, timeout=TIMEOUT_S) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def make(account: tuple[str, str], rights: dict[str, str]) -> None:
    """Make an account with its rights, unless it is there.

    Raises SystemExit if the server refuses.
    """
    name, variable = account
    if ask(f"2.0/mlflow/users/get?username={name}", ADMIN) == 200:
        return
    status = ask("2.0/mlflow/users/create", ADMIN, {"username": name, "password": os.environ[variable]})
    for kind, right in rights.items():
        grant = {"username": name, "resource_type": kind, "resource_id": "*", "permission": right}
        status = max(status, ask("3.0/mlflow/users/permissions/grant", ADMIN, grant))
    if status != 200:
        raise SystemExit(f"the account {name} could not be made on the tracking server ({status}); see its log")
    sys.stdout.write(f"made the account {name}\n")


def main() -> int:
    """Make each account, and check that all passwords are right."""
    gateway = os.environ.get("MLFLOW_SERVING_USERNAME") or "serving"
    accounts = {
        ("scientist", "MLFLOW_SCIENTIST_PASSWORD"): SCIENTIST,
        ("promoter", "MLFLOW_PROMOTER_PASSWORD"): PROMOTER,
        (gateway, "MLFLOW_SERVING_PASSWORD"): GATEWAY,
    }
    wrong = []
    for account in (ADMIN, *accounts):
        if account != ADMIN and ADMIN not in wrong:
            make(account, accounts[account])
        if ask("2.0/mlflow/users/current", account) in (401, 403):
            wrong.append(account)
    file = os.environ.get("RATCHET_ENV_FILE", ".env")
    for name, variable in wrong:
        sys.stderr.write(f"the account {name} has another password on the tracking server than {file} says, so its"
                         f" environment is wrong: write the right one there as {variable}\n")  # fmt: skip
    return int(bool(wrong))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except URLError as error:
        sys.exit(f"the tracking server gives no answer, so its accounts are not made: {error.reason}")
