"""The ledger and the move it stands for: both, or none."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ratchet.adapters import ledger, stops
from ratchet.adapters.ledger import Entry
from ratchet.settings import Settings

pytestmark = pytest.mark.usefixtures("heard")
ENTRY = Entry("churn", 3, "Staging", "Production", "ada")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings("", f"sqlite:///{tmp_path / 'ratchet.db'}", (), tmp_path)


def rows(settings: Settings) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))) as connection:
        return connection.execute("SELECT task, version, from_stage, to_stage, by_whom FROM ledger").fetchall()


def test_a_move_is_on_the_ledger(settings: Settings) -> None:
    with ledger.appended(settings, ENTRY):
        pass
    assert rows(settings) == [("churn", 3, "Staging", "Production", "ada")]


def test_a_move_that_fails_is_not(settings: Settings) -> None:
    with pytest.raises(OSError, match="the server is away"), ledger.appended(settings, ENTRY):
        raise OSError("the server is away")
    assert rows(settings) == []


def test_a_move_in_whose_middle_somebody_stops_the_command_is_on_it(settings: Settings) -> None:
    @stops.uninterrupted()
    def move() -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), stops.uninterrupted(), ledger.appended(settings, ENTRY):
        move()
    assert len(rows(settings)) == 1
