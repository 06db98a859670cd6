"""Which YAML file a command is about: the one that is named, else the only one there is."""

import re
from collections.abc import Sequence
from pathlib import Path

from ratchet.errors import ConfigError

FOLDERS = (Path(), Path("configs"))
# A task by its text, so that one with a fault in it is still offered; conda.yaml and docker-compose.yml are none.
TASK_KEYS = (re.compile(r"^name:", re.MULTILINE), re.compile(r"^data:", re.MULTILINE))
MAX_BYTES = 1_000_000
MAX_LISTED = 8


def choose_task_file(option: str | None, arguments: Sequence[str], command: str) -> tuple[str, bool]:
    """Return the task's YAML file, and whether it was looked for because none was named.

    Args:
        option: The value of `-c`, if given.
        arguments: The files that were named without an option.
        command: The command as it was typed, such as `ratchet run`, for the mend that an error names.

    Raises:
        ConfigError: If two different files are named, or none is and there is not exactly one here.
    """
    named = list(dict.fromkeys([*([option] if option else []), *arguments]))
    if len({Path(name).absolute() for name in named}) > 1:
        listed = " and ".join(named) if len(named) == 2 else f"{len(named)} files"
        raise ConfigError(f"{listed} are named; one command is about one task, so name one of them")
    if named:
        return named[0], False
    files = find_task_files()
    if len(files) == 1:
        return str(files[0]), True
    if files:
        more = f" and {len(files) - MAX_LISTED} more" if len(files) > MAX_LISTED else ""
        listed = ", ".join(map(str, files[:MAX_LISTED])) + more
        raise ConfigError(f"which task? There are {listed}; name one, as in `{command} {files[0]}`")
    raise ConfigError(
        "no task is named, and neither this folder nor configs/ holds one; name its YAML file, or write one:"
        " `ratchet init data.csv --target COLUMN > task.yaml`"
    )


def find_task_files() -> list[Path]:
    """Return the YAML files of tasks in the current folder and in configs/, in alphabetical order."""
    found = [path for folder in FOLDERS for pattern in ("*.yaml", "*.yml") for path in folder.glob(pattern)]
    return sorted(path for path in found if _is_task(path))


def _is_task(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return False
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return False
    return all(key.search(text) for key in TASK_KEYS)
