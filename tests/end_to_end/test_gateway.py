"""What MLflow's documentation tells callers of a served model works unchanged against the gateway."""

import json
import math
import subprocess

import pandas as pd
import pytest
import requests

from tests.end_to_end.conftest import Served
from tests.end_to_end.test_serve import APPLICANT

JSON = "Content-Type: application/json"
NAMES, VALUES = list(APPLICANT), list(APPLICANT.values())


def curl(served: Served, body: str, kind: str = JSON) -> tuple[int, str]:
    words = ["curl", "-s", "-w", "\n%{http_code}", f"{served.url}/invocations", "-H", kind, "--data-binary", body]
    said, _, status = subprocess.run(words, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), said


def test_mlflows_own_client_works_unchanged(table_model: Served) -> None:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    host, port = table_model.url.removeprefix("http://").split(":")
    client = ScoringServerClient(host, int(port))
    client.wait_server_ready(timeout=10)
    assert client.get_version().startswith("3.")
    rows = pd.DataFrame([APPLICANT, APPLICANT | {"income": math.nan}])  # which it sends as NaN
    found = client.invoke(rows).get_predictions()
    assert found["probability"].tolist() == [row["probability"] for row in table_model.ask([APPLICANT, {
        name: None if name == "income" else value for name, value in APPLICANT.items()}])]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "data": [VALUES]}},
        {"dataframe_split": {"index": [0], "columns": NAMES, "data": [VALUES]}},
        {"dataframe_records": [APPLICANT]},
        {"instances": [APPLICANT]},
        {"inputs": {name: [value] for name, value in APPLICANT.items()}},
        {"dataframe_split": {"columns": NAMES, "data": [VALUES]}, "params": {}},
    ],
)
def test_the_curl_lines_of_mlflows_documentation_work_unchanged(table_model: Served, body: object) -> None:
    status, said = curl(table_model, json.dumps(body))
    assert status == 200, said
    assert json.loads(said)["predictions"] == table_model.ask([APPLICANT])


def test_csv_by_curl_brings_the_same_answer(table_model: Served) -> None:
    text = pd.DataFrame([APPLICANT]).to_csv(index=False)
    status, said = curl(table_model, text, "Content-Type: text/csv")
    assert status == 200, said
    assert json.loads(said)["predictions"] == table_model.ask([APPLICANT])


def test_parquet_brings_the_same_answer(table_model: Served) -> None:
    body = pd.DataFrame([APPLICANT]).to_parquet()
    answer = requests.post(f"{table_model.url}/invocations", data=body, timeout=30,
                           headers={"Content-Type": "application/vnd.apache.parquet"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == table_model.ask([APPLICANT])


def test_rows_get_the_same_answer_alone_and_among_others(table_model: Served) -> None:
    rows = [APPLICANT | {"age": float(age)} for age in range(20, 70)]
    together = table_model.ask(rows * 20)
    assert together == table_model.ask(rows) * 20
    assert together[:3] == [table_model.ask([row])[0] for row in rows[:3]]


def test_what_was_asked_answered_and_came_true_is_exported(table_model: Served) -> None:
    answer = requests.post(f"{table_model.url}/invocations", timeout=30, json={
        "dataframe_records": [APPLICANT | {"applicant_id": 4711}]})  # fmt: skip
    number = answer.headers["X-Request-Id"]
    told = requests.post(f"{table_model.url}/outcomes", json={"request_id": number, "label": 1}, timeout=30)
    assert told.json() == {"accepted": 1, "corrected": 0, "repeated": 0}
    again = requests.post(f"{table_model.url}/outcomes", json={"request_id": number, "label": 7}, timeout=30)
    assert (again.status_code, again.json()["errors"][0]["path"]) == (400, "label")
    from tests.end_to_end.commands import run

    words = ("ratchet", "captured", "-c", table_model.config, "--output", "seen.parquet")
    for _ in range(50):
        done = run(*words, cwd=table_model.place)
        assert done.returncode == 0, done.stderr
        rows = pd.read_parquet(table_model.place / "seen.parquet")
        if number in set(rows["request_id"]):
            break
    (row,) = rows[rows["request_id"] == number].to_dict("records")
    assert (row["entity"], row["version"], row["arm"]) == ("4711", 1, "champion")
    assert row["outcome"] in (1, "1")
    assert row["age"] == APPLICANT["age"]
