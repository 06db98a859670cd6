"""What PostgreSQL's own types become: keys of many digits, and columns that no type of a table fits."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.adapters import columns, files, sources, warehouse
from ratchet.adapters.postgres import Cluster
from ratchet.adapters.servers import free_port
from ratchet.config import Data, GroupSplit, Source
from ratchet.errors import DataError
from tests.adapters.reading import settings_in

ROWS = "FROM generate_series(0, 59) AS i"


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="ratchet-", dir="/var/tmp"))
    folder.chmod(0o711)  # PostgreSQL runs as another user where root starts it
    cluster = Cluster(folder / "postgres", free_port(), secrets.token_hex(8))
    with cluster.running():
        yield cluster
    shutil.rmtree(folder)


def rows_of(cluster: Cluster, query: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **data):
    monkeypatch.setenv("SECRET", cluster.password)
    source = Source(uris=(f"postgresql://postgres:${{SECRET}}@127.0.0.1:{cluster.port}/postgres",))
    task = Data(sources={"rows": source}, query=query, target="y", **data)
    table = sources.locate("rows", source, settings_in(folder), warehouse.Question(query))
    work = folder / "work"
    with files.workspace(work, [table]) as db:
        kinds = files.gather(db, task, GroupSplit(by="group", columns=("k",)), work / "rows.parquet")
        groups = db.sql(f"SELECT count(DISTINCT ratchet_group), min(k) FROM '{work / 'rows.parquet'}'").fetchall()[0]
        return kinds, groups, columns.notes(db)


@pytest.mark.parametrize(
    "key",
    [
        "89823000000000000000::numeric + i",
        "(89823000000000000000 + i)::numeric(30, 4)",
        "('1' || repeat('0', 40))::numeric + i",
    ],
)
def test_numerics_of_many_digits_are_keys_of_their_own(key, server, tmp_path, monkeypatch):
    kinds, (groups, first), _ = rows_of(server, f"SELECT {key} AS k, i AS a, i % 2 AS y {ROWS}", tmp_path, monkeypatch)
    assert kinds["k"] == "text"
    assert groups == 60
    assert first.rstrip("0").startswith(("89823", "1"))


def test_numerics_that_are_amounts_are_numbers(server, tmp_path, monkeypatch):
    query = f"SELECT i % 5 AS k, (i / 3.0)::numeric(12, 2) AS a, 'NaN'::numeric AS n, i % 2 AS y {ROWS}"
    kinds, _, notes = rows_of(server, query, tmp_path, monkeypatch)
    assert kinds["a"] == "number"
    assert notes == []


@pytest.mark.parametrize(
    "value", ["int4range(i, i + 5)", "ARRAY[i]", "'\\x00ff'::bytea", "'{\"a\": 1}'::jsonb", "'1 day'::interval"]
)
def test_a_column_that_no_type_fits_names_itself_and_the_mend_works(value, server, tmp_path, monkeypatch):
    query = f"SELECT i % 5 AS k, {value} AS odd, i % 2 AS y {ROWS}"
    with pytest.raises(DataError, match=r"column 'odd' holds .*cast it there") as refused:
        rows_of(server, query, tmp_path, monkeypatch)
    assert server.password not in str(refused.value)
    cast = query.replace(f"{value} AS odd", f"({value})::text AS odd")
    assert rows_of(server, cast, tmp_path, monkeypatch)[0]["odd"] == "text"
