"""All of a team's stack in a folder, and back onto an empty one: its databases, then the bucket whose files they name.

The databases come first: a file is in the bucket before anything names it, so whatever a dump names is copied after it.
Who runs it is the superuser of PostgreSQL (PGHOST, PGPORT, PGUSER, PGPASSWORD) with a right to read the bucket.

The accounts of the tracking server come back with the backup, and with the passwords they had then. Those that the
stack itself made, and prints, get the passwords of the stack they come back to.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ratchet.adapters import buckets, copies, keys, postgres
from ratchet.errors import DataError, ServerError
from ratchet.operate.people import PEOPLE

DATABASES = ("mlflow", "mlflow_auth", "ratchet")
HOLDS = {"mlflow": "runs", "ratchet": "studies"}  # where there are rows somebody has worked
ACCOUNTS = tuple((account, password) for account, password, _, _ in PEOPLE.values() if account)
LEDGER_KEYS = "ledger-keys.json"  # the public ones, by their short names
FILES, MANIFEST = "bucket", "manifest.json"


def backup(folder: Path, bucket: str, tell: Callable[[str], None]) -> None:
    """Write a folder that is not there yet; it appears when it is whole, or not at all.

    bucket: `gs://NAME`. Raises DataError if the folder is there, ServerError if a part cannot be read.
    """
    buckets.require_name(bucket)
    if folder.exists():
        raise DataError(f"{folder}: is there already; a backup is written once")
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)  # the hashes of passwords are in it
    try:
        for name in DATABASES:
            _run("pg_dump", "--format=custom", f"--file={partial / f'{name}.dump'}", name)
            tell(f"database {name}: {(partial / f'{name}.dump').stat().st_size / 1e6:.1f} MB")
        tell(f"{bucket}: {buckets.copy_out(bucket, partial / FILES)} files")
        known = {name: key.public_bytes_raw().hex() for name, key in keys.trusted().items()}
        (partial / LEDGER_KEYS).write_text(json.dumps(known, indent=1), encoding="utf-8")
        (partial / MANIFEST).write_text(json.dumps(copies.digests(partial), indent=1), encoding="utf-8")
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def restore(folder: Path, bucket: str, tell: Callable[[str], None]) -> None:
    """Put a backup back onto an empty stack, whose roles and databases are there and whose tracking server is stopped.

    Raises DataError, before anything is touched, if the backup is not whole, or the stack is in use or not empty.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise DataError(f"{folder}: no backup, or one that did not come to its end: {MANIFEST} is not in it")
    expected, found = json.loads(manifest.read_text(encoding="utf-8")), copies.digests(folder)
    del found[MANIFEST]
    if odd := sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name)):
        raise DataError(f"{folder}: {odd[0]} is not what was backed up ({len(odd)} such); take another backup")
    _require_empty()
    for name in DATABASES:
        _run("pg_restore", "--clean", "--if-exists", "--exit-on-error", "--single-transaction", f"--dbname={name}",
             str(folder / f"{name}.dump"))  # fmt: skip
        tell(f"database {name} is back")
    tell(f"{bucket}: {buckets.copy_in(folder / FILES, bucket)} files are back")
    _tell_keys(folder / LEDGER_KEYS, tell)
    for account in _give_passwords():
        tell(f"account {account}: its password is the one of this stack's .env")


def _tell_keys(file: Path, tell: Callable[[str], None]) -> None:
    """Name the keys that the ledger trusted where it comes from and does not trust here."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}  # backups of before have none
    here = keys.trusted()
    if strange := [key for name, key in known.items() if name not in here]:
        trusted = [*(key.public_bytes_raw().hex() for key in here.values()), *strange]
        value = ",".join(trusted)
        tell("the ledger was signed by another key than this stack's; nothing moves before that one is trusted: write"
             f" RATCHET_LEDGER_TRUST={value} into the stack's .env and start it again, or `export"
             f" RATCHET_LEDGER_TRUST={value}`")  # fmt: skip


def _give_passwords() -> list[str]:
    """Give the accounts that the stack made the passwords which the environment names; return those accounts."""
    import psycopg2
    from werkzeug.security import generate_password_hash  # by which MLflow checks them

    serving = os.environ.get("MLFLOW_SERVING_USERNAME") or "serving"
    given = []
    user = os.environ.get("PGUSER") or "postgres"
    with (
        closing(psycopg2.connect(dbname="mlflow_auth", user=user)) as connection,
        connection,
        connection.cursor() as at,
    ):
        for account, variable in (*ACCOUNTS, (serving, "MLFLOW_SERVING_PASSWORD")):
            if password := os.environ.get(variable):
                change = "UPDATE users SET password_hash = %s WHERE username = %s"
                at.execute(change, (generate_password_hash(password), account))
                given += [account] * at.rowcount
    return given


def _require_empty() -> None:
    """Refuse a stack that somebody works on, or has worked on: what it holds would be gone."""
    users = "SELECT count(*) FROM pg_stat_activity WHERE datname IN ('mlflow', 'mlflow_auth') AND usename = 'mlflow'"
    if _count("postgres", users):
        raise DataError("the tracking server is connected to its databases; stop it before a backup comes back:"
                        " `ratchet stack stop tracking`, with Docker `make restore` does it")  # fmt: skip
    for database, table in HOLDS.items():
        is_made = f"SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename = '{table}'"
        found = _count(database, f"SELECT count(*) FROM {table}") if _count(database, is_made) else 0
        if found:
            raise DataError(f"database {database} holds {found} {table}, which would be gone: a backup comes back"
                            " onto an empty stack; start one in another place")  # fmt: skip


def _count(database: str, query: str) -> int:
    return int(_run("psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--dbname={database}", f"--command={query}"))


def _run(program: str, *words: str) -> str:
    environment = {"PGUSER": "postgres", **os.environ}
    done = subprocess.run([str(postgres.binaries() / program), "--no-password", *words], env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise ServerError(f"{program}: {(done.stderr.strip().splitlines() or ['it failed'])[0]}")
    return done.stdout
