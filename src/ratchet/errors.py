"""Every error a user may see. Each message names the place, the fault and the mend, in one line."""

import errno
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class RatchetError(Exception):
    """Something the user can mend; the command line shows it as one line and exits 1."""


class ConfigError(RatchetError):
    """The YAML file of a task is wrong; one line per fault."""


class DataError(RatchetError):
    """The data are missing, damaged or unfit for the task."""


class TrainError(RatchetError):
    """No model could be trained."""


class ModelError(RatchetError):
    """A model in the store is not the one that was trained, or nobody can tell."""


class GateRefused(RatchetError):
    """A version does not meet the gates of the stage it wants to enter.

    report: what evaluate found; gates: what each gate said; yardstick: beside which gates of the champion, as plain
    values.
    """

    def __init__(
        self, text: str, report: Mapping[str, Any] | None = None, gates: Sequence[Any] = (),
        yardstick: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(text)
        self.report, self.gates, self.yardstick = report, list(gates), yardstick


class Differs(RatchetError):
    """What was compared is not the same. report: what was found, as plain values."""

    def __init__(self, text: str, report: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.report = report


class ServerError(RatchetError):
    """A server (tracking, model) could not be reached or did not become healthy."""


class Away(ServerError):
    """A server, or the database, does not answer now; the same may succeed later."""


# What only the machine is to blame for, by its sign: an errno, or the end of what a library underneath says.
ROOM = "free some space there, then the same command goes on from here"
LONGEST_PLACE = 300
RIGHTS = "work in a folder that you may write to"
MEMORY = "give it more memory (ulimit -v, the container's limit) or lower search.max_rows"
ERRNOS = {
    errno.ENOSPC: f"the disk is full; {ROOM}",
    errno.EDQUOT: f"the quota is used up; {ROOM}",
    errno.ENAMETOOLONG: "the name is too long; give it a shorter one",
    errno.EROFS: f"nothing can be written here; {RIGHTS}",
}
ENDINGS = {
    "No space left on device|database or disk is full|Disk quota exceeded": ROOM,
    "Read-only file system|attempt to write a readonly database": RIGHTS,
    r"std::bad_alloc|malloc of size \d+ failed": MEMORY,
}


def told(error: BaseException) -> str | None:
    """Return an error as its user reads it, with the mend where the machine is to blame; None for a bug."""
    if isinstance(error, OSError) and error.errno in ERRNOS:
        place = str(error.filename2 or error.filename or "")  # of a copy the place that it was to go to
        place = f"{place[:LONGEST_PLACE]}…" if len(place) > LONGEST_PLACE else place
        return f"{place}: {ERRNOS[error.errno]}" if place else ERRNOS[error.errno]
    text = str(error)
    if isinstance(error, MemoryError) or text == "can't start new thread":
        return f"there is too little memory; {MEMORY}"
    if not isinstance(error, RatchetError | OSError):
        return None
    mend = next((mend for signs, mend in ENDINGS.items() if re.search(f"({signs})[.)]*$", text)), "")
    return f"{text}; {mend}" if mend else text


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest of the known words, or an empty string."""
    words = list(known)
    near = [word for word in words if word.casefold() == wrong.casefold()]
    near = near or get_close_matches(wrong[:200], words, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
