"""The run of a step, on a real store of its own."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ratchet.adapters import runs, sending, tracking
from ratchet.adapters.outbox import Record
from ratchet.adapters.patience import CALLS_AGAIN, Patience, made_once
from ratchet.adapters.spool import Spool
from ratchet.errors import DataError
from ratchet.settings import Settings


@pytest.fixture
def client(workplace: Path) -> MlflowClient:
    return tracking.client(Settings.from_env())


@pytest.fixture
def spool(client: MlflowClient, tmp_path: Path) -> Iterator[Spool]:
    """A spool whose server refuses to be told of an error."""

    def send(record: Record) -> None:
        if "ratchet.error" in str(record.content):
            raise ValueError("such a tag is refused")
        sending.send(client, lambda name: contextlib.nullcontext(), record)

    made = Spool(tmp_path / "spool", send, Patience(5), "the server")
    yield made
    made.close()


def test_a_run_that_failed_is_ended_also_where_its_error_cannot_be_told(client: MlflowClient, spool: Spool) -> None:
    with pytest.raises(DataError, match="no rows"), runs.opened(client, spool, "task", "train") as run:
        raise DataError("no rows")
    assert client.get_run(run.id).info.status == "FAILED"


def test_a_run_whose_first_answer_was_lost_is_found_again(client: MlflowClient) -> None:
    make = runs._creation(client, tracking.experiment_of(client, "task"), {})
    assert make() == make()
    assert len(client.search_runs([tracking.experiment_of(client, "task")])) == 1


def test_several_threads_may_make_something_and_the_setting_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CALLS_AGAIN, "4")
    one, two = made_once(), made_once()
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert os.environ[CALLS_AGAIN] == "0"
    two.__exit__(None, None, None)
    assert os.environ[CALLS_AGAIN] == "4"
