"""Records that wait on this machine for the server: one folder a process, in SQLite, with their files beside them."""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ratchet.adapters import owned
from ratchet.errors import Away, ServerError

RECORDS = "records.db"
TABLE = "CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, kind TEXT, run TEXT, content TEXT, files TEXT)"
REFUSED, DAMAGED = "refused-", "damaged-"  # what a folder's name begins with
FOR_GOOD = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True)
class Record:
    """One thing to send. kind: see `sending`; run: whose it is; files: the folder with what is to be uploaded.

    is_new: nobody has tried to send it yet, so the server cannot have it.
    """

    kind: str
    run: str
    content: Mapping[str, Any]
    files: Path | None = None
    is_new: bool = False


class Outbox:
    """The records in one folder, which is owned by a lock that ends with its process, however that ends.

    Not for several threads at once.
    """

    def __init__(self, folder: Path, ownership: ExitStack) -> None:
        self.folder, self.owned = folder, ownership
        self.records = sqlite3.connect(folder / RECORDS, check_same_thread=False, isolation_level=None)
        ownership.callback(self.records.close)  # also where what follows finds it damaged
        self._do("PRAGMA journal_mode = WAL")
        self._do("PRAGMA synchronous = NORMAL")  # outlives the process; a power cut may cost the last ones
        self._do(TABLE)

    @classmethod
    def new(cls, home: Path) -> "Outbox":
        """Return a new one below home; nobody sees it before it is owned. Their names are in order of time."""
        with ExitStack() as stack:
            return cls(owned.new(home, stack), stack)._kept()

    @classmethod
    def left_behind(cls, home: Path) -> list[Path]:
        """Return the folders below home, oldest first, also of processes that live."""
        return owned.left_behind(home)

    @classmethod
    def taken_over(cls, folder: Path) -> "Outbox | None":
        """Return the one in a folder, owned from now on; None if its process lives.

        Raises ServerError if it cannot be read; a damaged one is put aside.
        """
        with ExitStack() as stack:
            try:
                owned.take_over(folder, stack)
                return cls(folder, stack)._kept()
            except Away:
                return None
            except ServerError as error:
                if getattr(error.__cause__, "sqlite_errorcode", None) not in FOR_GOOD:
                    raise
                aside = folder.replace(folder.with_name(f"{DAMAGED}{folder.name}"))
                raise ServerError(f"{error}; what an earlier command logged is put aside in {aside}") from None

    def _kept(self) -> Self:
        """Check that it can be read; from now on the lock is its own to let go."""
        len(self)
        self.owned = self.owned.pop_all()
        return self

    def __len__(self) -> int:
        return int(self._do("SELECT count(*) FROM records").fetchone()[0])

    def _do(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self.records.execute(statement, values)
        except sqlite3.Error as error:
            raise ServerError(f"{self.folder}: {error}") from error

    def append(self, record: Record) -> None:
        """Keep a record; when this returns it outlives the process."""
        content = json.dumps(record.content, ensure_ascii=False, default=str)
        values = record.kind, record.run, content, record.files.name if record.files else None
        self._do("INSERT INTO records (kind, run, content, files) VALUES (?, ?, ?, ?)", values)

    def room(self) -> Path:
        """Return a new folder for the files of a record."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def first(self, but: Collection[str] = ()) -> tuple[int, Record] | None:
        """Return the oldest record and its number, leaving out those of some runs; None if there is none."""
        others = f"WHERE run NOT IN ({','.join('?' * len(but))})"
        row = self._do(f"SELECT * FROM records {others} ORDER BY number LIMIT 1", list(but)).fetchone()
        if row is None:
            return None
        number, kind, run, content, files = row
        return number, Record(kind, run, json.loads(content), self.folder / files if files else None)

    def remove(self, number: int, record: Record) -> None:
        """Forget a record that was sent."""
        self._do("DELETE FROM records WHERE number = ?", [number])
        if record.files:
            shutil.rmtree(record.files, ignore_errors=True)

    def put_aside(self) -> Path:
        """Have what is left tried no more; return where it is."""
        self.folder = self.folder.replace(self.folder.with_name(f"{REFUSED}{self.folder.name}"))
        return self.folder

    def close(self) -> None:
        """Let it go. What was not sent stays; an empty folder goes."""
        with self.owned:
            left = len(self)
            self.records.close()
            if not left:
                shutil.rmtree(self.folder, ignore_errors=True)
