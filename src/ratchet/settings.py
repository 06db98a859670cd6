"""What the machine says, from the environment: where the records, the data and the secrets are."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from ratchet.errors import ConfigError, did_you_mean

PATIENCE_S = 900  # how long a server or database that is away is waited for
SERVE_HOST, SERVE_PORT = "127.0.0.1", 5001


def masked(uri: str) -> str:
    """Return the URI as it may be shown: without its password."""
    plain = re.sub(r"(://[^/@:]*):.*@(?=[^@]*$)", r"\1:***@", uri)
    return re.sub(r"([?&]password=)[^&]*", r"\1***", plain)


@dataclass(frozen=True)
class Settings:
    """The environment, read once; defaults suit one laptop."""

    tracking_uri: str
    database_url: str
    data_folders: tuple[Path, ...]
    home: Path
    threads: int = 1
    patience_s: float = PATIENCE_S
    model_key: Path | None = None
    model_public_key: Path | None = None
    api_keys: Path | None = None

    @property
    def downloads(self) -> Path:
        """The folder for what https sources bring: `data`, beside the home folder."""
        return self.home.parent / "data"

    def with_folder(self, folder: Path) -> Self:
        """Return these settings with one more folder in which sources are looked up, after the others."""
        return replace(self, data_folders=(*self.data_folders, folder))

    @classmethod
    def from_env(cls) -> Self:
        """Read MLFLOW_TRACKING_URI and the variables that begin with RATCHET_.

        The home folder `.ratchet` lies beside the SQLite tracking store, so that a run from a git URL, which
        happens in a temporary clone, finds its study again.
        """
        tracking_uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
        if re.fullmatch(r"[\w.-]+:\d+/?", tracking_uri):
            raise ConfigError(f"MLFLOW_TRACKING_URI ({tracking_uri}): give it as http://{tracking_uri}")
        store = tracking_uri.removeprefix("sqlite:///")
        home = (Path(store).parent if store != tracking_uri else Path.cwd()).resolve() / ".ratchet"
        database_url = os.environ.get("RATCHET_DATABASE_URL") or f"sqlite:///{home / 'ratchet.db'}"
        if _same_database(database_url, tracking_uri):
            raise ConfigError(
                "RATCHET_DATABASE_URL: the same database as MLFLOW_TRACKING_URI; MLflow and Optuna both own a"
                " table alembic_version: give Ratchet a database of its own"
            )
        folders = os.environ.get("RATCHET_DATA") or "data"
        data_folders = tuple(Path(folder) for folder in folders.split(":") if folder) or (Path("data"),)
        said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        threads = int(said) if said.isdigit() and int(said) else os.cpu_count() or 1
        keys = (_path("RATCHET_MODEL_KEY"), _path("RATCHET_MODEL_PUBLIC_KEY"), _path("RATCHET_API_KEYS_FILE"))
        return cls(tracking_uri, database_url, data_folders, home, threads, _patience_s(), *keys)


def _path(name: str) -> Path | None:
    said = os.environ.get(name)
    return Path(said).absolute() if said else None


def _patience_s() -> float:
    said = os.environ.get("RATCHET_PATIENCE_S") or str(PATIENCE_S)
    try:
        return float(said)
    except ValueError:
        raise ConfigError(f"RATCHET_PATIENCE_S: {said!r} is not a number of seconds") from None


def upstreams() -> dict[int | None, tuple[str, ...]]:
    """Return the model servers that run elsewhere, by RATCHET_UPSTREAMS: version -> addresses; None: the champion's.

    Raises ConfigError for what is no address.
    """
    found: dict[int | None, tuple[str, ...]] = {}
    for said in re.split(r"[\s,]+", os.environ.get("RATCHET_UPSTREAMS", "").strip(" ,\n")):
        if not said:
            continue
        number, named, url = said.partition("=") if re.match(r"[^:/]*=", said) else ("", "", said)
        if named and not re.fullmatch(r"[1-9]\d{0,8}", number):
            raise ConfigError(f"RATCHET_UPSTREAMS: {number!r} is no number of a version, as in 3=http://10.0.0.5:8080")
        if not re.fullmatch(r"https?://([^/\s?#@]*@)?([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?/?", url):
            raise ConfigError(
                f"RATCHET_UPSTREAMS: {masked(url)!r} is no address of a model server, as in 3=http://10.0.0.5:8080"
                " (version 3) or http://10.0.0.5:8080 (the champion); several stand with commas between them"
            )
        version = int(number) if number else None
        found[version] = (*found.get(version, ()), url.rstrip("/"))
    return found


@dataclass(frozen=True)
class LogTarget:
    """Where the gateway writes a line for each request. file: None for stderr."""

    form: Literal["text", "json"]
    file: Path | None = None


def log_target() -> LogTarget | None:
    """Return how requests are logged, by RATCHET_LOG: off, text or json, with :FILE for a file; unset: text on stderr.

    Returns:
        None where nothing is logged.

    Raises:
        ConfigError: It says anything else.
    """
    form, _, file = (os.environ.get("RATCHET_LOG") or "text").partition(":")
    if form == "off" and not file:
        return None
    if form not in ("text", "json"):
        raise ConfigError(
            f"RATCHET_LOG: {form!r} is no way to log requests{did_you_mean(form, ('off', 'text', 'json'))}; one of off,"
            " text, json, text:FILE, json:FILE"
        )
    return LogTarget("json" if form == "json" else "text", Path(file).absolute() if file else None)


def _same_database(first: str, second: str) -> bool:
    """Whether two URLs name one database, also where the driver or the way to the file is written differently."""

    def plain(url: str) -> str:
        kind, _, rest = url.partition("://")
        kind = kind.partition("+")[0]
        return str(Path(rest[1:]).resolve()) if kind == "sqlite" else f"{kind}://{rest}"

    return plain(first) == plain(second)
