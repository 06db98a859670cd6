"""What the machine may say."""

from pathlib import Path

import pytest

from ratchet.errors import ConfigError
from ratchet.settings import Settings, masked, upstreams
from tests.end_to_end.commands import settle


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settle(monkeypatch, tmp_path)
    monkeypatch.delenv("RATCHET_DATA", raising=False)
    return tmp_path


def test_without_any_setting_all_lies_in_the_working_folder(place: Path) -> None:
    settings = Settings.from_env()
    assert settings.tracking_uri == f"sqlite:///{place / 'mlflow.db'}"
    assert settings.home == place / ".ratchet"
    assert settings.database_url == f"sqlite:///{place / '.ratchet' / 'ratchet.db'}"
    assert settings.data_folders == (Path("data"),)


def test_the_home_folder_lies_beside_the_sqlite_store_so_that_a_clone_finds_its_study_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = place / "project"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project / 'mlflow.db'}")
    (place / "clone").mkdir()
    monkeypatch.chdir(place / "clone")
    settings = Settings.from_env()
    assert settings.home == project / ".ratchet"
    assert settings.database_url == f"sqlite:///{project / '.ratchet' / 'ratchet.db'}"


def test_with_a_tracking_server_the_home_folder_is_in_the_working_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert Settings.from_env().home == place / ".ratchet"


@pytest.mark.parametrize(
    ("tracking_uri", "database_url"),
    [
        ("sqlite:////srv/x/mlflow.db", "sqlite:////srv/x/mlflow.db"),
        ("sqlite:////srv/x/mlflow.db", "sqlite:////srv/x/../x/mlflow.db"),
        ("", "sqlite:///mlflow.db"),
        ("postgresql://ml@db/all", "postgresql://ml@db/all"),
        ("postgresql://ml@db/all", "postgresql+psycopg2://ml@db/all"),
    ],
)
def test_one_database_for_mlflow_and_ratchet_is_refused_however_it_is_written(
    place: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str, database_url: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    monkeypatch.setenv("RATCHET_DATABASE_URL", database_url)
    with pytest.raises(ConfigError, match="RATCHET_DATABASE_URL: the same database as MLFLOW_TRACKING_URI"):
        Settings.from_env()


def test_two_databases_of_one_server_are_welcome(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://ml@db/mlflow")
    monkeypatch.setenv("RATCHET_DATABASE_URL", "postgresql+psycopg2://ml@db/ratchet")
    assert Settings.from_env().database_url == "postgresql+psycopg2://ml@db/ratchet"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("http://me:pa[ss@host:5000/a", "http://me:***@host:5000/a"),
        ("postgresql://me:p@ss:w@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p/w@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=pw&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("http://me@host:5000/x", "http://me@host:5000/x"),
        ("sqlite:////tmp/a:b@c/mlflow.db", "sqlite:////tmp/a:b@c/mlflow.db"),
    ],
)
def test_an_address_is_shown_without_its_password(uri: str, shown: str) -> None:
    assert masked(uri) == shown


@pytest.mark.parametrize(
    ("value", "folders"),
    [
        ("/a:/b/c", ["/a", "/b/c"]),
        ("/a::/b:", ["/a", "/b"]),
        ("here", ["here"]),
        ("", ["data"]),
        (":", ["data"]),
    ],
)
def test_data_folders_are_separated_by_colons(
    place: Path, monkeypatch: pytest.MonkeyPatch, value: str, folders: list[str]
) -> None:
    monkeypatch.setenv("RATCHET_DATA", value)
    assert [str(folder) for folder in Settings.from_env().data_folders] == folders


def test_model_servers_that_run_elsewhere_are_named_by_version_or_as_the_champions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RATCHET_UPSTREAMS", raising=False)
    assert upstreams() == {}
    said = "3=http://10.0.0.5:8080/, 4=https://me:pass@four, 3=http://[::1]:1 \nhttp://champion:5001"
    monkeypatch.setenv("RATCHET_UPSTREAMS", said)
    assert upstreams() == {
        3: ("http://10.0.0.5:8080", "http://[::1]:1"),
        4: ("https://me:pass@four",),
        None: ("http://champion:5001",),
    }


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("x=http://a", "'x' is no number of a version"),
        ("=http://a", "'' is no number of a version"),
        ("0=http://a", "'0' is no number of a version"),
        ("3=10.0.0.5:8080", "'10.0.0.5:8080' is no address of a model server"),
        ("http://a/invocations", "'http://a/invocations' is no address"),
        ("3=http://", "'http://' is no address"),
        ("ftp://a", "'ftp://a' is no address"),
        ("3=http://me:secret@a/x", r"'http://me:\*\*\*@a/x' is no address"),
    ],
)
def test_what_is_no_model_server_is_named(monkeypatch: pytest.MonkeyPatch, said: str, fault: str) -> None:
    monkeypatch.setenv("RATCHET_UPSTREAMS", said)
    with pytest.raises(ConfigError, match=f"RATCHET_UPSTREAMS: {fault}"):
        upstreams()
