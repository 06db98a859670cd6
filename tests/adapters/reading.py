"""What preprocess sees of a source, and what it says about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ratchet.adapters import files, sources
from ratchet.config import Data, HashSplit, Read, Source
from ratchet.settings import Settings


@dataclass(frozen=True)
class Seen:
    """The rows of a source, the kinds of its columns, and the digest of its content."""

    rows: pd.DataFrame
    kinds: dict[str, str]
    digest: str

    @property
    def cells(self) -> list[list[Any]]:
        rows = self.rows.astype(object).to_numpy().tolist()
        return [[None if pd.isna(cell) else cell for cell in row] for row in rows]


def settings_in(folder: Path) -> Settings:
    return Settings("sqlite://", "sqlite://", (folder,), folder / ".ratchet")


def look(
    folder: Path, uri: str, target: str = "y", from_sample: bool = False, split: Any = None, **options: Any
) -> Seen:
    """Read a source that lies in a folder as preprocess does; options: of `read`, and `id` of the data."""
    named = {"id": options.pop("id")} if "id" in options else {}
    source = Source(uris=(uri,), read=Read.model_validate(options))
    table = sources.locate("rows", source, settings_in(folder))
    data = Data(sources={"rows": source}, target=target, **named)
    work = folder / ".ratchet" / "work"
    with files.workspace(work, [table], from_sample=from_sample) as db:
        again = [table] if from_sample else []
        kinds = files.gather(db, data, split or HashSplit(), work / "rows.parquet", again)
    return Seen(pd.read_parquet(work / "rows.parquet")[list(kinds)], kinds, table.digest)
