"""Addresses and databases that are wrong: one line that names the place and the mend, and nothing is made there."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from ratchet.adapters import database, schema
from ratchet.operate.stack import Stack
from tests.conftest import Told

Ratchet = Callable[..., Told]


def as_admin(stack: Stack, *statements: str, on: str = "postgres") -> None:
    """Let the superuser do it."""
    with closing(psycopg2.connect(stack.cluster.url(on, "postgres", stack.cluster.password))) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


def tables(stack: Stack, name: str) -> int:
    with closing(psycopg2.connect(stack.cluster.url(name, "postgres", stack.cluster.password))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
        return int(cursor.fetchone()[0])


@pytest.fixture
def old(stack: Stack) -> Iterator[str]:
    """The address, for a scientist, of a database whose tables are those of an older release."""
    as_admin(stack, "CREATE DATABASE old OWNER ratchet_owner", "GRANT CONNECT ON DATABASE old TO ratchet_scientist")
    owner = stack.database_url("ratchet_owner").removesuffix("ratchet") + "old"
    schema.migrate(database.with_driver(owner))
    later = "requests, outcomes, capture_losses, rollouts, rollout_steps, rollout_looks"
    as_admin(
        stack, f"DROP TABLE deliveries, ledger, ratchet_version, {later}", "DROP FUNCTION ledger_refuse, ledger_next",
        on="old",
    )  # fmt: skip
    yield stack.database_url().removesuffix("ratchet") + "old"
    as_admin(stack, "DROP DATABASE old WITH (FORCE)")


def told(ratchet: Ratchet, task_file: Callable[..., Path]) -> str:
    """The one line in which a training ends."""
    done = ratchet("train", "-c", task_file(), "--force")
    assert done.code == 1
    assert "Traceback" not in done.err
    return done.err.splitlines()[-1]


def test_a_password_that_is_wrong(on_stack, ratchet, task_file, monkeypatch):
    wrong = on_stack.cluster.url("ratchet", "ratchet_scientist", "guessed")
    monkeypatch.setenv("RATCHET_DATABASE_URL", wrong)
    line = told(ratchet, task_file)
    assert "RATCHET_DATABASE_URL (postgresql+psycopg2://ratchet_scientist:***@" in line
    assert 'password authentication failed for user "ratchet_scientist"' in line
    assert "guessed" not in line


def test_a_database_that_is_not_there(on_stack, ratchet, task_file, monkeypatch):
    monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.database_url() + "s")
    assert 'database "ratchets" does not exist' in told(ratchet, task_file)


def test_tables_of_a_newer_release_are_named(on_stack, old, ratchet, task_file, monkeypatch):
    as_admin(on_stack, "UPDATE alembic_version SET version_num = 'v9.9.9'", on="old")
    owner = on_stack.database_url("ratchet_owner").removesuffix("ratchet") + "old"
    monkeypatch.setenv("RATCHET_DATABASE_URL", owner)
    done = ratchet("migrate")
    assert done.code == 1
    assert "its tables were made by a newer release" in done.err


def test_tables_of_an_older_release_are_for_their_owner_to_mend(on_stack, old, ratchet, task_file, monkeypatch):
    monkeypatch.setenv("RATCHET_DATABASE_URL", old)
    assert "whoever owns the database runs `ratchet migrate` on it" in told(ratchet, task_file)
    monkeypatch.setenv("RATCHET_DATABASE_URL", old.replace(
        on_stack.secrets["RATCHET_SCIENTIST_PASSWORD"], on_stack.secrets["RATCHET_OWNER_PASSWORD"],
    ).replace("ratchet_scientist", "ratchet_owner"))  # fmt: skip
    assert ratchet("migrate").code == 0
    monkeypatch.setenv("RATCHET_DATABASE_URL", old)
    assert ratchet("train", "-c", task_file()).code == 0


def test_a_role_that_may_only_read(on_stack, ratchet, task_file, monkeypatch):
    as_admin(on_stack, "CREATE ROLE reader LOGIN PASSWORD 'reads'", "GRANT CONNECT ON DATABASE ratchet TO reader")
    rights = ["USAGE ON SCHEMA public", "SELECT ON ALL TABLES IN SCHEMA public"]
    as_admin(on_stack, *(f"GRANT {right} TO reader" for right in rights), on="ratchet")
    monkeypatch.setenv("RATCHET_DATABASE_URL", on_stack.cluster.url("ratchet", "reader", "reads"))
    assert "permission denied for table" in told(ratchet, task_file)


def test_mlflows_own_database_given_as_ratchets(on_stack, ratchet, task_file, monkeypatch):
    before = tables(on_stack, "mlflow")
    theirs = on_stack.cluster.url("mlflow", "mlflow", on_stack.secrets["MLFLOW_DB_PASSWORD"])
    monkeypatch.setenv("RATCHET_DATABASE_URL", theirs)
    assert "it holds the tables of MLflow; give Ratchet a database of its own" in told(ratchet, task_file)
    assert tables(on_stack, "mlflow") == before


def test_ratchets_own_database_given_as_mlflows(on_stack, ratchet, task_file, monkeypatch):
    before = tables(on_stack, "ratchet")
    ours = on_stack.database_url("ratchet_owner")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database.with_driver(ours))
    line = told(ratchet, task_file)
    assert "***@" in line
    assert "it holds the tables of Ratchet; give MLflow a database of its own" in line
    assert tables(on_stack, "ratchet") == before
