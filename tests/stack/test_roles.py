"""Databases and roles are made by a role that is no superuser too, as on Cloud SQL."""

import os
import re
import secrets
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from ratchet.adapters import database, schema
from ratchet.adapters.postgres import Cluster, binaries
from ratchet.adapters.servers import free_port

ROOT = Path(__file__).parents[2]
INIT = ROOT / "deploy" / "postgres" / "init.sh"
ACCOUNTS = (ROOT / "docs" / "accounts.md").read_text(encoding="utf-8")
ROLES = {"mlflow": "MLFLOW_DB", "ratchet_owner": "RATCHET_OWNER", "ratchet_scientist": "RATCHET_SCIENTIST",
         "ratchet_promoter": "RATCHET_PROMOTER", "ratchet_gateway": "RATCHET_GATEWAY"}  # fmt: skip


@pytest.mark.parametrize("who", ["postgres", "cloud"])
def test_an_empty_cluster_gets_its_databases_and_roles(who: str, stack_folder: Path) -> None:
    cluster = Cluster(stack_folder / f"roles-{who}" / "postgres", free_port(), secrets.token_hex(8))
    passwords = {f"{name}_PASSWORD": secrets.token_hex(8) for name in ROLES.values()}
    with cluster.running():
        with closing(psycopg2.connect(cluster.url("postgres", "postgres", cluster.password))) as admin:
            admin.autocommit = True
            admin.cursor().execute("CREATE ROLE cloud LOGIN CREATEROLE CREATEDB PASSWORD 'of the cloud'")
        env = passwords | {
            "POSTGRES_USER": who, "PGPASSWORD": cluster.password if who == "postgres" else "of the cloud",
            "PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PATH": f"{binaries()}:{os.environ['PATH']}",
        }  # fmt: skip
        done = subprocess.run(["bash", INIT], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for role, name in ROLES.items():
            place = "mlflow" if role == "mlflow" else "ratchet"
            psycopg2.connect(cluster.url(place, role, passwords[f"{name}_PASSWORD"])).close()
        scientist = passwords["RATCHET_SCIENTIST_PASSWORD"]
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            psycopg2.connect(cluster.url("mlflow", "ratchet_scientist", scientist))
        owner = cluster.url("ratchet", "ratchet_owner", passwords["RATCHET_OWNER_PASSWORD"])
        schema.migrate(database.with_driver(owner))
        log = cluster.folder.with_name("postgres.log").read_text()
        assert not [password for password in passwords.values() if password in log]


def test_a_cluster_of_before_is_migrated_without_the_gateways_role_which_may_come_later(stack_folder: Path) -> None:
    cluster = Cluster(stack_folder / "roles-before" / "postgres", free_port(), secrets.token_hex(8))
    passwords = {f"{name}_PASSWORD": secrets.token_hex(8) for name in ROLES.values()}
    with cluster.running():
        env = passwords | {"PGPASSWORD": cluster.password, "PGHOST": "127.0.0.1", "PGPORT": str(cluster.port),
                           "PATH": f"{binaries()}:{os.environ['PATH']}"}  # fmt: skip
        subprocess.run(["bash", INIT], env=env, capture_output=True, check=True)
        owner = database.with_driver(cluster.url("ratchet", "ratchet_owner", passwords["RATCHET_OWNER_PASSWORD"]))
        with closing(psycopg2.connect(cluster.url("ratchet", "postgres", cluster.password))) as admin:
            admin.autocommit = True
            does = admin.cursor().execute
            does("DROP OWNED BY ratchet_gateway")
            does("DROP ROLE ratchet_gateway")
            schema.migrate(owner)
            for statement in re.findall(r'^psql .*-c "(.*ratchet_gateway.*)"$', ACCOUNTS, re.MULTILINE):
                does(statement.replace("…", "later"))
        schema.migrate(owner)
        with closing(psycopg2.connect(cluster.url("ratchet", "ratchet_gateway", "later"))) as gateway:
            gateway.cursor().execute(
                "INSERT INTO capture_losses (task, at, lost, why, source) VALUES ('', '', 1, '', '')"
            )
            gateway.cursor().execute("SELECT 1 FROM ledger")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                gateway.cursor().execute("DELETE FROM ledger")
