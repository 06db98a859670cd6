"""A first task from each kind of source: it runs as it is, or one line says what is missing."""

import base64
import hashlib
import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pandas as pd
import pytest
from gcp_storage_emulator.server import create_server
from google.cloud import storage
from sqlalchemy import create_engine, text

from ratchet.adapters import download
from ratchet.adapters.postgres import Cluster
from ratchet.adapters.servers import free_port
from ratchet.errors import ConfigError, DataError, RatchetError
from tests.adapters import bigquery_stand_in
from tests.end_to_end.commands import settle
from tests.operate.first_task import draft_task, prepare
from tests.web import Server, say

ROWS = 200
FRAME = pd.DataFrame(
    {
        "age": [18 + row * 7 % 60 for row in range(ROWS)],
        "income": [(row * 7919 % 1_000) / 7 for row in range(ROWS)],
        "left": ["yes" if row % 3 == 0 else "no" for row in range(ROWS)],
    }
)
CSV = FRAME.to_csv(index=False).encode()
PASSWORD = "s€cret/@:"


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch, tmp_path)
    monkeypatch.delenv("RATCHET_DATA", raising=False)
    monkeypatch.delenv("DATABASE_PASSWORD", raising=False)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="ratchet-", dir="/var/tmp"))
    folder.chmod(0o711)
    made = Cluster(folder / "postgres", free_port(), secrets.token_hex(8))
    with made.running():
        engine = create_engine(
            made.url("postgres", "postgres", made.password).replace("postgresql:", "postgresql+psycopg2:")
        )
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA shop"))
            connection.execute(text(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"))
            FRAME.to_sql("Odd clients", connection, index=False)
            FRAME.to_sql("clients", connection, index=False, schema="shop")
            for schema in ("shop", "public"):
                connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO reader"))
                connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader"))
        engine.dispose()
        yield made
    shutil.rmtree(folder)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[storage.Bucket]:
    port = free_port()
    emulator = create_server("127.0.0.1", port, True, "data")
    emulator.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    yield storage.Client(project="test").bucket("data")
    emulator.stop()


def sqlite(name: str = "clients.db") -> str:
    with closing(sqlite3.connect(name)) as connection:
        FRAME.to_sql("clients", connection, index=False)
        FRAME.to_sql("bank clients", connection, index=False)
    return f"sqlite:///{name}"


# ---------------------------------------------------------------- databases


@pytest.mark.parametrize(
    ("table", "query"), [("shop.clients", "SELECT * FROM shop.clients"), ("Odd clients", 'SELECT * FROM "Odd clients"')]
)
def test_a_table_of_postgresql_is_a_task_that_runs_once_the_password_is_set(
    cluster: Cluster, table: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"postgresql://reader:s%E2%82%ACcret%2F%40%3A@127.0.0.1:{cluster.port}/postgres"
    task, text = draft_task(uri, "left", table=table)
    assert task.data.query == query
    assert task.data.sources["data"].uris == (uri.replace("s%E2%82%ACcret%2F%40%3A", "${DATABASE_PASSWORD}"),)
    assert "cret" not in text and not task.data.sources["data"].sha256
    assert "# DATABASE_PASSWORD is the password; set it in the environment" in text
    assert "DATABASE_PASSWORD" not in os.environ
    with pytest.raises(DataError, match="the environment variable DATABASE_PASSWORD is not set"):
        prepare(task)
    monkeypatch.setenv("DATABASE_PASSWORD", PASSWORD)
    assert prepare(task)["counts"]["rows"] == ROWS


def test_a_password_in_the_query_of_an_address_is_left_out_too(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "of something else")
    uri = f"postgresql://127.0.0.1:{cluster.port}/postgres?user=reader&password=s%E2%82%ACcret%2F%40%3A"
    task, text = draft_task(uri, "left", query="SELECT * FROM shop.clients WHERE age > 30")
    assert "cret" not in text
    assert task.data.sources["data"].uris[0].endswith("?user=reader&password=${DATABASE_PASSWORD_2}")
    monkeypatch.setenv("DATABASE_PASSWORD_2", PASSWORD)
    assert 0 < prepare(task)["counts"]["rows"] < ROWS


def test_a_database_that_is_asked_nothing_lists_its_tables(cluster: Cluster) -> None:
    uri = f"postgresql://reader:s%E2%82%ACcret%2F%40%3A@127.0.0.1:{cluster.port}/postgres"
    with pytest.raises(ConfigError) as caught:
        draft_task(uri, "left")
    assert "which rows of the database? Give --table 'Odd clients' or --query" in str(caught.value)
    assert str(caught.value).endswith("the tables are Odd clients, shop.clients")
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("reading", "fault"),
    [
        ({}, "which rows of the database? Give --table 'bank clients' or --query \"SELECT …\"; the tables are bank"),
        ({"table": "client"}, "--table: no table 'client'; did you mean 'clients'?; the tables are bank clients"),
        ({"query": "SELECT absent FROM clients"}, "no such column: absent"),
        ({"query": "SELECT 1", "table": "clients"}, "--table or --query, not both"),
    ],
)  # fmt: skip
def test_a_wrong_question_to_a_database_is_told_in_one_line(reading: dict[str, str], fault: str) -> None:
    with pytest.raises(RatchetError) as caught:
        draft_task(sqlite(), "left", **reading)
    assert fault in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "reading", [{"table": "bank clients"}, {"table": "clients"}, {"query": "SELECT age, left FROM clients"}]
)
def test_a_table_of_sqlite_is_a_task_that_runs(reading: dict[str, str]) -> None:
    reading = {key: value.replace("age, left", 'age, "left"') for key, value in reading.items()}
    task, _ = draft_task(sqlite(), "left", **reading)
    assert prepare(task)["counts"]["rows"] == ROWS


def test_an_sqlite_file_that_is_not_there_is_told_and_not_made() -> None:
    with pytest.raises(DataError, match=r"sqlite:///none\.db: no such file"):
        draft_task("sqlite:///none.db", "left", table="clients")
    assert not Path("none.db").exists()


def test_a_file_of_sqlite_is_told_how_it_is_named() -> None:
    sqlite()
    with pytest.raises(ConfigError, match=r"give it as sqlite:///clients\.db with --table NAME"):
        draft_task("clients.db", "left")


def test_a_database_whose_driver_is_not_installed_names_what_is_missing() -> None:
    with pytest.raises(
        DataError, match="the driver of this database is not installed; pip install the package that brings"
    ):
        draft_task("oracle+cx_oracle://somewhere/clients", "left", table="clients")


def test_a_table_of_bigquery_is_a_task_that_runs_and_its_cost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with bigquery_stand_in.running(scans=3_200_000_000) as (stand_in, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError, match=r"Give --table NAME or .*a table of BigQuery is DATASET.TABLE"):
            draft_task("bigquery://p", "left")
        stand_in.tables.sql(
            "CREATE TABLE clients AS SELECT 18 + n * 7 % 60 AS age, if(n % 4 = 0, 'a', 'b') AS side"
            " FROM range(200) t(n)"
        )
        task, text = draft_task("bigquery://p", "side", query="SELECT * FROM clients")
        assert "# bigquery://p: the query scans 3.200 GB" in text
        assert prepare(task)["counts"]["rows"] == ROWS


# ---------------------------------------------------------------- files elsewhere


def test_a_download_is_written_with_the_digest_that_came() -> None:
    with closing(Server()) as server:
        server.answers = [lambda handler: say(handler, 200, CSV)]
        task, _ = draft_task(f"{server.url}/clients.csv", "left")
        assert task.name == "clients"
        assert task.data.sources["data"].sha256 == (hashlib.sha256(CSV).hexdigest(),)
    assert prepare(task)["counts"]["rows"] == ROWS  # it is not fetched again


def test_a_download_that_asks_for_a_password_takes_it_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        given.append(base64.b64decode(handler.headers.get("Authorization", "").removeprefix("Basic ")).decode())
        say(handler, 200, CSV)

    with closing(Server()) as server:
        server.answers = [answer, answer]
        task, text = draft_task(f"{server.url.replace('//', '//me:hunter2@')}/clients.csv", "left")
        assert "hunter2" not in text
        shutil.rmtree("data")
        monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
        assert prepare(task)["counts"]["rows"] == ROWS
    assert given == ["me:hunter2"] * 2


def test_an_address_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    with pytest.raises(DataError, match="is the address right, and does this machine reach it"):
        draft_task(f"http://127.0.0.1:{free_port()}/clients.csv", "left")


@pytest.mark.parametrize(("pattern", "is_one"), [("one.csv", True), ("parts/*.csv", False)])
def test_files_of_a_bucket_are_a_task_that_runs(bucket: storage.Bucket, pattern: str, is_one: bool) -> None:
    for name in ("one.csv", "parts/a.csv", "parts/b.csv"):
        bucket.blob(f"init/{name}").upload_from_string(CSV)
    task, _ = draft_task(f"gs://{bucket.name}/init/{pattern}", "left")
    assert bool(task.data.sources["data"].sha256) is is_one
    assert prepare(task)["counts"]["rows"] == (ROWS if is_one else 2 * ROWS)


# ---------------------------------------------------------------- files here


@pytest.mark.parametrize("uri", ["parts", "parts/*.parquet"])
def test_a_folder_and_a_glob_of_parts_are_a_task_that_runs(uri: str) -> None:
    Path("parts").mkdir()
    FRAME[:120].to_parquet("parts/a.parquet")
    FRAME[120:].to_parquet("parts/b.parquet")
    task, text = draft_task(uri, "left")
    assert (task.name, task.data.sources["data"].sha256) == ("parts", ())
    assert "# several files: their digests are not pinned" in text
    assert prepare(task)["counts"]["rows"] == ROWS


def test_an_address_of_a_file_here_is_its_name(tmp_path: Path) -> None:
    Path("my clients.csv").write_bytes(CSV)
    task, _ = draft_task(f"file://{tmp_path}/my%20clients.csv", "left")
    assert task.data.sources["data"].uris == (f"{tmp_path}/my clients.csv",)
    assert prepare(task)["counts"]["rows"] == ROWS
    with pytest.raises(ConfigError, match="a file of another machine"):
        draft_task("file://server/clients.csv", "left")


def test_a_query_over_a_file_is_written_down() -> None:
    Path("clients.csv").write_bytes(CSV)
    task, _ = draft_task("clients.csv", "left", query="SELECT *, age * 2 AS twice FROM data WHERE age > 20")
    assert prepare(task)["columns"]["twice"] == "number"


@pytest.mark.parametrize("uri", ["", " ", "postgresql://[/x", "frob://x", "http://[::1/x.csv", "nothing.csv", "gs://", "s3://b/x.csv",
                                 "file:", "bigquery://", "sqlite://", "postgresql:clients", "x" * 300])  # fmt: skip
def test_what_is_no_address_is_told_in_one_line(uri: str) -> None:
    with pytest.raises(RatchetError) as caught:
        draft_task(uri, "left")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("columns", "guess"),
    [
        ("id,Churn,age", "Churn"),
        ("age,is_target,x", "is_target"),
        ("a,b,c", "c"),
        ("a,b,my class", '"my class"'),
        ("y,label", "label"),
    ],
)
def test_without_a_target_the_columns_are_listed_with_a_guess(columns: str, guess: str) -> None:
    Path("rows.csv").write_text(f"{columns}\n{','.join('123'[: columns.count(',') + 1])}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        draft_task("rows.csv", None)
    listed = columns.replace(",", ", ")
    assert str(caught.value) == (
        f"--target: which column is to be predicted? Did you mean --target {guess}? The columns are {listed}"
    )
