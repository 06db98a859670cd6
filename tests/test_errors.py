"""What the machine is to blame for is told with its place and its mend, and nothing else is taken for it."""

import errno
import os

import numpy as np
import pytest

from ratchet.errors import ConfigError, DataError, ServerError, told

FULL, LOCKED = os.strerror(errno.ENOSPC), os.strerror(errno.EROFS)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, FULL, "/my data/b.parquet"), "/my data/b.parquet: the disk is full; free some"),
        (OSError(errno.ENOSPC, FULL, "/from/a", None, "/to/a"), "/to/a: the disk is full; free some"),
        (OSError(errno.ENOSPC, FULL), "the disk is full; free some"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 9_000), f"{'a' * 300}…: the name is too long; give"),
        (OSError(errno.EROFS, LOCKED, "out/b"), "out/b: nothing can be written here; work in a folder"),
        (DataError(f'data: Could not write file "a.parquet": {FULL}'), f'"a.parquet": {FULL}; free some'),
        (ServerError("http://host: (sqlite3.OperationalError) database or disk is full"), "is full; free some"),
        (ServerError("sqlite:///m.db: (sqlite3.OperationalError) database or disk is full"), "is full; free some"),
        (MemoryError(), "too little memory; give it more"),
        (RuntimeError("can't start new thread"), "too little memory; give it more"),
    ],
    ids=str,
)  # fmt: skip
def test_a_fault_of_the_machine_is_told_with_its_place_and_its_mend(error: Exception, said: str) -> None:
    assert said in (told(error) or "")


@pytest.mark.parametrize("error", [
    ServerError("port 80: Permission denied; name another with --port, or 0 for any"),
    DataError("data/rows.csv: cannot be read: Permission denied"),
    DataError("data: Could not convert string 'No space left on device' to 'DOUBLE'"),
    ConfigError("data.target: value 'Out of Memory' is not among the classes"),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES), "configs/credit.yaml"),
], ids=str)  # fmt: skip
def test_what_only_sounds_like_the_machine_stays_as_it_was_said(error: Exception) -> None:
    assert told(error) == str(error)


def test_a_bug_is_left_to_its_traceback() -> None:
    assert told(KeyError("No space left on device")) is None


def test_an_array_that_does_not_fit_is_told_as_too_little_memory() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(2**45)
    assert "too little memory" in (told(caught.value) or "")
