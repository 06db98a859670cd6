"""Logs of servers that run for long: kept below a size, the newest lines and the ones before them."""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 10_000_000
LOOK_S = 30.0


def rotate(log: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Move what a log holds to `NAME.1`, if it is larger than allowed; return whether it was.

    The file stays the same one, since a process writes to it: it has to append, and goes on in the emptied file.
    """
    if not log.exists() or log.stat().st_size <= most_bytes:
        return False
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True


@contextlib.contextmanager
def kept_small(log: Path, most_bytes: int = MOST_BYTES, look_s: float = LOOK_S) -> Iterator[None]:
    """Look now and then, for as long as the block lasts, whether a log has grown too large."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(look_s):
            with contextlib.suppress(OSError):  # a full disk: the next look may find room
                rotate(log, most_bytes)

    thread = threading.Thread(target=look, name="logs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(1)
