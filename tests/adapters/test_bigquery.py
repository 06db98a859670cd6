"""BigQuery, by Google's own clients, against a stand-in: what it would scan comes first, then the rows."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ratchet.adapters import bigquery
from ratchet.adapters.servers import free_port
from ratchet.adapters.warehouse import Question
from ratchet.errors import DataError
from tests.adapters import bigquery_stand_in
from tests.adapters.bigquery_stand_in import StandIn

SQL = "SELECT n, n / 2 AS half, 'row ' || n AS text FROM range(120) numbers(n)"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with bigquery_stand_in.running(scans=3_200_000_000) as (stand_in, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield stand_in


def ask(sql: str, folder: Path, max_gb: float = 10, said: list[str] | None = None) -> Path:
    question = Question(sql, max_gb, (said if said is not None else []).append)
    return bigquery.query("bigquery://p", question, folder, "data.sources.a").file


def test_the_bytes_are_told_before_the_query_runs_and_all_rows_come(service: StandIn, tmp_path: Path) -> None:
    said: list[str] = []
    found = pq.read_table(ask(SQL, tmp_path, said=said))
    assert said == ["bigquery://p: the query scans 3.200 GB"]
    assert service.asked == ["dry run", SQL]
    assert found.column("n").to_pylist() == list(range(120))
    assert found.column("half")[3].as_py() == 1.5
    assert found.column("text")[119].as_py() == "row 119"


def test_a_query_that_would_scan_too_much_is_never_run(service: StandIn, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.sources.a: .* scans 3.200 GB, data.max_gb is 3; name fewer columns"):
        ask(SQL, tmp_path, max_gb=3)
    assert service.asked == ["dry run"]
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_query_that_is_wrong_is_told_in_the_words_of_the_service(service: StandIn, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.sources.a: bigquery://p: .*absent"):
        ask("SELECT absent FROM range(3) numbers(n)", tmp_path)


def test_a_service_that_is_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery, "ANSWER_S", 1)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DataError, match=r"data.sources.a: bigquery://p: Timeout of 1.0s exceeded"):
        ask(SQL, tmp_path)


def test_without_credentials_the_mend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIGQUERY_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "absent.json"))
    with pytest.raises(DataError, match="no credentials of Google Cloud here: gcloud auth application-default login"):
        ask(SQL, tmp_path)
