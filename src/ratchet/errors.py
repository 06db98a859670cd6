"""Every error a user may see. Each message names the place, the fault and the mend, in one line."""

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


class GateRefused(RatchetError):
    """A version does not meet the gates of the stage it wants to enter.

    report: what evaluate found; gates: what each gate said, as plain values.
    """

    def __init__(self, text: str, report: Mapping[str, Any] | None = None, gates: Sequence[Any] = ()) -> None:
        super().__init__(text)
        self.report, self.gates = report, list(gates)


class ServerError(RatchetError):
    """A server (tracking, model) could not be reached or did not become healthy."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest of the known words, or an empty string."""
    words = list(known)
    near = [word for word in words if word.casefold() == wrong.casefold()]
    near = near or get_close_matches(wrong[:200], words, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
