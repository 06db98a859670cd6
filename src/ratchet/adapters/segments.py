"""The files in which one process keeps lines until the database has them, and the count of those that never came there.

Each line has a number. A segment is a file whose name says which numbers it is of; what is missing in it is lost. How
far numbers were given out is kept in memory that the kernel writes (mmap), so it outlives a kill at any instruction.
"""

import mmap
import os
import shutil
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ratchet.adapters import owned
from ratchet.errors import Away

COUNTS, NUMBER = "counts", struct.Struct("<Q")
GIVEN, WRITTEN = 0, NUMBER.size  # where in the file of counts: numbers given out; of those, up to which is in segments
KILLED = "the process ended before they were written down"
Why = Literal["whole", "many", "odd", "full", "disk"]
REASONS: dict[str, str] = {
    "whole": KILLED,  # in the middle of the file
    "many": "more came at once than could be written down",
    "odd": "they could not be written as JSON",
    "full": "the database was away for longer than there was room to wait",
    "disk": "the disk took no more",
}


@dataclass(frozen=True)
class Segment:
    """A file of lines. after, last: their numbers are above the one, up to the other; why: what a gap comes from."""

    path: Path
    after: int
    last: int
    why: str

    @classmethod
    def of(cls, path: Path) -> "Segment":
        """Return the segment of a file."""
        after, last, why = path.stem.split("-")
        return cls(path, int(after), int(last), why)

    @property
    def source(self) -> str:
        """Its name, which no other segment has."""
        return f"{self.path.parent.name}/{self.path.stem}"

    def lines(self) -> list[bytes]:
        """Return the lines that are whole: a process that is killed may leave the last one torn."""
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []


class Segments:
    """What one process keeps. The numbers are given out by one thread, segments are written by one thread."""

    def __init__(self, folder: Path, ownership: ExitStack) -> None:
        self.folder, self.owned = folder, ownership
        with (folder / COUNTS).open("a+b") as file:
            file.truncate(max(2 * NUMBER.size, file.tell()))
            self.counts = mmap.mmap(file.fileno(), 2 * NUMBER.size)
        self.owned.callback(self.counts.close)

    @classmethod
    def new(cls, home: Path) -> "Segments":
        """Return a new folder below home, owned until it is closed."""
        with ExitStack() as stack:
            made = cls(owned.new(home, stack), stack)
            made.owned = stack.pop_all()
            return made

    @classmethod
    def taken_over(cls, folder: Path) -> "Segments | None":
        """Return what a process left behind; None if it lives.

        Raises ServerError or OSError if it cannot be read.
        """
        with ExitStack() as stack:
            try:
                owned.take_over(folder, stack)
            except Away:
                return None
            found = cls(folder, stack)
            found.owned = stack.pop_all()
            return found

    def give_out(self, number: int) -> None:
        """Note up to which number they were given out."""
        NUMBER.pack_into(self.counts, GIVEN, number)

    def write(self, lines: Sequence[bytes], after: int, last: int, why: Why) -> Segment:
        """Write lines as a new segment, through to the disk.

        Raises OSError, and leaves nothing of it.
        """
        path = self.folder / f"{after:015d}-{last:015d}-{why}.jsonl"
        try:
            with path.open("wb", buffering=0) as file:
                content = memoryview(b"".join(line + b"\n" for line in lines))
                while content:
                    content = content[file.write(content) :]
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        NUMBER.pack_into(self.counts, WRITTEN, last)
        return Segment(path, after, last, why)

    def waiting(self) -> list[Segment]:
        """Return the segments that are there, oldest first."""
        return [Segment.of(path) for path in sorted(self.folder.glob("*.jsonl"))]

    def killed(self) -> int:
        """How many numbers were given out and are in no segment, of a process that is gone."""
        given, written = (int(NUMBER.unpack_from(self.counts, place)[0]) for place in (GIVEN, WRITTEN))
        return max(0, given - max([written, *(segment.last for segment in self.waiting())]))

    def close(self, is_done: bool) -> None:
        """Let it go. is_done: nothing of it is needed any more."""
        with self.owned:
            if is_done:
                shutil.rmtree(self.folder, ignore_errors=True)
