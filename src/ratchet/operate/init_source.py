"""Where the data of a first task are: each kind of address becomes a source that a task may name."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ratchet.adapters import catalog, download
from ratchet.config import is_database
from ratchet.errors import ConfigError, DataError
from ratchet.settings import Settings

PASSWORD_NAME = "DATABASE_PASSWORD"
DATABASE_FILES = (".db", ".sqlite", ".sqlite3", ".db3")
PLACE = "data.sources.data"


@dataclass(frozen=True)
class InitSource:
    """A source as a task writes it.

    uri: the address, without a password. sha256: of what a download brought. query: what is asked of it.
    environment: variables that the address names, with their values.
    """

    uri: str
    sha256: str = ""
    query: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def resolve_source(uri: str, settings: Settings, query: str | None = None, table: str | None = None) -> InitSource:
    """Return the source that an address stands for; a download is fetched, and a database asked for its tables.

    Args:
        uri: A file, folder or glob, or an address of any kind that `data.sources` takes, also file:// and a password.
        settings: Where downloads are kept.
        query: SQL, if given.
        table: A table of a database to read whole, if given.

    Raises:
        ConfigError: If a database is asked nothing, or the options do not fit the address.
        DataError: If the address cannot be read.
    """
    plain, environment = _without_password(_without_file_scheme(uri))
    if not plain.strip():
        raise ConfigError("DATA: is empty; name a file, a folder or an address")
    if table and query:
        raise ConfigError("--table or --query, not both: a query names its tables itself")
    if is_database(plain):
        with set_environment(environment):
            query = query or _query_of(plain, table)
        return InitSource(plain, "", query, environment)
    if table:
        raise ConfigError("--table: is for a database; a file is one table")
    if "://" not in plain and Path(plain).suffix.lower() in DATABASE_FILES:
        raise ConfigError(f"{plain}: a file of SQLite is a database: give it as sqlite:///{plain} with --table NAME")
    if urlsplit(plain).scheme in ("https", "http"):
        with set_environment(environment):
            digest = _fetch(plain, settings)
        return InitSource(plain, digest, query, environment)
    return InitSource(plain, "", query, environment)


def describe_missing_query(uri: str, tables: list[str] | None) -> str:
    """Return the error for a database that is asked nothing."""
    example = tables[0] if tables else "NAME"
    listed = f"; {catalog.describe_tables(tables)}" if tables is not None else ""
    shown = example if re.fullmatch(r"[\w.]+", example) else f"'{example}'"
    return f'{uri}: which rows of the database? Give --table {shown} or --query "SELECT …"{listed}'


@contextmanager
def set_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _query_of(uri: str, table: str | None) -> str:
    if urlsplit(uri).scheme == "bigquery":  # it has no list of tables without a data set
        if not table:
            raise ConfigError(f"{describe_missing_query(uri, None)}; a table of BigQuery is DATASET.TABLE")
        return f"SELECT * FROM `{table}`"
    if table:
        return catalog.query_for(uri, table, PLACE)
    raise ConfigError(describe_missing_query(uri, catalog.list_tables(uri, PLACE)))


def _without_file_scheme(uri: str) -> str:
    if not uri.lower().startswith("file:"):
        return uri
    parts = _split(uri)
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(f"{uri}: a file of another machine; three slashes lead to one of this machine: file:///PATH")
    return unquote(parts.path)


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri)
    except ValueError as error:
        raise DataError(f"{uri[:100]!r} is no address: {error}") from None


def _without_password(uri: str) -> tuple[str, dict[str, str]]:
    """Return an address with `${NAME}` in place of its password, and the value of NAME."""
    if "://" not in uri:
        return uri, {}
    parts = _split(uri)
    user, given = parts.netloc.rpartition("@")[0], dict(parse_qsl(parts.query)).get("password")
    written = user.partition(":")[2]
    secret = given or unquote(written)
    if not secret or secret.startswith("${"):
        return uri, {}
    name = PASSWORD_NAME
    while os.environ.get(name, secret) != secret:
        name += "_2"
    if written:
        uri = uri.replace(f":{written}@", f":${{{name}}}@", 1)
    if given:
        uri = re.sub(r"([?&]password=)[^&#]*", rf"\1${{{name}}}", uri, count=1)
    return uri, {name: secret}


def _fetch(uri: str, settings: Settings) -> str:
    """Download a file to where the task's own read will find it, and return its digest."""
    settings.home.mkdir(parents=True, exist_ok=True)
    tried: list[str] = []
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        files = download.fetch(uri, Path(folder), (), tried)
        if not files:
            raise DataError(f"{tried[0]}: is the address right, and does this machine reach it?")
        with files[0].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kept = settings.downloads / digest[:8] / files[0].name
        kept.parent.mkdir(parents=True, exist_ok=True)
        files[0].replace(kept)
    return digest


def name_of(uri: str) -> str:
    """Return the name of a task for an address: the last part of it that says something."""
    path = PurePosixPath(uri.split("?", maxsplit=1)[0].rsplit("://", maxsplit=1)[-1])
    for part in (path.name.split(".")[0], path.parent.name):
        plain = re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-").lower()
        if plain:
            return plain[:60]
    return "task"
