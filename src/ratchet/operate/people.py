"""Who works on the stack, as whom: accounts on the tracking server, roles in the database, files to source."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ratchet.operate.stack import Stack

ROLES = {"ratchet_owner": "RATCHET_OWNER_PASSWORD", "ratchet_scientist": "RATCHET_SCIENTIST_PASSWORD",
         "ratchet_promoter": "RATCHET_PROMOTER_PASSWORD", "ratchet_gateway": "RATCHET_GATEWAY_PASSWORD"}  # fmt: skip

# Who works on the stack: the account on the tracking server, the variable of its password, the role in the database,
# and whether they sign the ledger. The gateway's account has its name from `.env`.
PEOPLE = {"admin": ("admin", "MLFLOW_AUTH_ADMIN_PASSWORD", "ratchet_promoter", True),
          "scientist": ("scientist", "MLFLOW_SCIENTIST_PASSWORD", "ratchet_scientist", False),
          "promoter": ("promoter", "MLFLOW_PROMOTER_PASSWORD", "ratchet_promoter", True),
          "gateway": ("", "MLFLOW_SERVING_PASSWORD", "ratchet_gateway", False)}  # fmt: skip
ACCOUNT_VARIABLES = (*(password for _, password, _, _ in PEOPLE.values()), "MLFLOW_SERVING_USERNAME")
NOT_OURS = (
    "RATCHET_LEDGER_KEY",
    "RATCHET_LEDGER_TRUST",
)  # what a file unsets where its person has none, after another's was sourced


def write_environments(stack: "Stack") -> dict[str, Path]:
    """Write a file to source for each person, for nobody else to read.

    Args:
        stack: The running stack; the files go to its folder.

    Returns:
        The file of each of PEOPLE, and that of the operator.
    """
    files = {"admin": stack.folder / "environment", "operator": stack.folder / "operator"}
    files |= {person: stack.folder / f"environment.{person}" for person in PEOPLE if person != "admin"}
    for person, file in files.items():
        _write(file, stack.operators() if person == "operator" else stack.environment(person))
    return files


def _write(file: Path, values: Mapping[str, str]) -> None:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    if "MLFLOW_TRACKING_URI" in values:
        lines += [f"unset {name}" for name in NOT_OURS if name not in values]
    partial = file.with_name(f"{file.name}.part")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(file)
