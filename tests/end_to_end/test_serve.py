"""What a backend engineer sees of a served model: a real `mlflow models serve`, asked over HTTP."""

import json
import math
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
import requests
import yaml

from tests.end_to_end.commands import environment, run
from tests.end_to_end.conftest import Served

APPLICANT = {
    "gender": "F", "age": 41.0, "income": 52000.0, "employment_years": 8.5, "occupation": "clerk",
    "education": "secondary", "housing": "own", "existing_cards": 2.0, "utilisation": 0.4, "late_payments": 0.0,
    "months_with_bank": 50.0, "requested_limit": 6000.0,
}  # fmt: skip


def test_an_applicant_gets_a_label_and_a_probability(table_model: Served) -> None:
    answer = table_model.ask([APPLICANT])[0]
    assert set(answer) == {"label", "probability"}
    assert answer["label"] in (0, 1)
    assert 0 < answer["probability"] < 1


def test_a_missing_field_null_and_nan_are_the_same(table_model: Served) -> None:
    absent = {name: value for name, value in APPLICANT.items() if name != "income"}
    answers = [
        table_model.ask([row])[0] for row in (absent, APPLICANT | {"income": None}, APPLICANT | {"income": math.nan})
    ]
    assert answers[0] == answers[1] == answers[2]


def test_a_category_that_training_never_saw_is_fine(table_model: Served) -> None:
    unseen, missing = table_model.ask([APPLICANT | {"occupation": "우주비행사 🚀"}, APPLICANT | {"occupation": None}])
    assert unseen == missing


def test_many_rows_get_the_answers_that_each_gets_alone(table_model: Served) -> None:
    rows = [APPLICANT | {"age": float(age), "late_payments": float(age % 4)} for age in range(20, 60)]
    together = table_model.ask(rows)
    alone = [table_model.ask([row])[0] for row in rows]
    assert together == alone
    assert len({answer["probability"] for answer in together}) > 1


def test_a_text_in_a_number_field_is_refused(table_model: Served) -> None:
    body = {"dataframe_records": [APPLICANT | {"age": "old"}]}
    answer = requests.post(f"{table_model.url}/invocations", json=body, timeout=30)
    assert answer.status_code == 400


def test_a_cell_that_is_no_number_is_named_with_its_row_when_a_file_is_scored(table_model: Served) -> None:
    pd.DataFrame([APPLICANT, APPLICANT | {"age": "old"}]).to_csv(table_model.place / "new.csv", index=False)
    words = ("ratchet", "score", "-c", table_model.config, "--input", "new.csv", "--output", "answers.csv")
    told = run(*words, cwd=table_model.place, env=environment())
    assert told.returncode == 1
    assert "ratchet: new.csv: row 2: 'age' is 'old', not a number; if it is missing, leave it empty" in told.stderr
    assert not (table_model.place / "answers.csv").exists()


def test_a_required_field_that_is_missing_is_refused_by_name(table_model: Served) -> None:
    row = {name: value for name, value in APPLICANT.items() if name != "housing"}
    answer = requests.post(f"{table_model.url}/invocations", json={"dataframe_records": [row]}, timeout=30)
    assert answer.status_code == 400
    assert "housing" in answer.text


def test_a_review_may_hold_hangul_in_parts_emoji_or_nothing(text_model: Served) -> None:
    text = "정말 재미있는 영화 👍"
    rows = [text, unicodedata.normalize("NFD", text), "", "🎬🍿", "x" * 10_000]
    composed, parts, empty, emoji, long = text_model.ask([{"review": row} for row in rows])
    assert composed == parts
    assert composed["label"] == 1
    assert all(0 <= answer["probability"] <= 1 for answer in (empty, emoji, long))


def test_a_file_is_scored_as_the_served_model_answers(table_model: Served, tmp_path: Path) -> None:
    rows = [APPLICANT | {"age": float(age), "note": "kept"} for age in range(20, 50)]
    pd.DataFrame(rows).to_csv(tmp_path / "in.csv", index=False)
    for ending, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        output = tmp_path / f"out.{ending}"
        done = run("ratchet", "score", "-c", table_model.config, "--input", tmp_path / "in.csv", "--output", output,
                   "--json", cwd=table_model.place)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == 30
        scored = read(output)
        answers = table_model.ask([{k: v for k, v in row.items() if k != "note"} for row in rows])
        assert scored["note"].eq("kept").all()
        assert scored["label"].tolist() == [answer["label"] for answer in answers]
        assert max(abs(scored["probability"] - [answer["probability"] for answer in answers])) < 1e-9


def test_a_file_without_a_column_of_the_model_is_refused_and_leaves_nothing(
    table_model: Served, tmp_path: Path
) -> None:
    pd.DataFrame([{k: v for k, v in APPLICANT.items() if k != "housing"}]).to_csv(tmp_path / "in.csv", index=False)
    done = run("ratchet", "score", "-c", table_model.config, "--input", tmp_path / "in.csv", "--output",
               tmp_path / "out.csv", cwd=table_model.place)  # fmt: skip
    assert done.returncode == 1
    assert "no column 'housing'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_port_in_use_is_named(table_model: Served) -> None:
    port = table_model.url.rsplit(":", 1)[1]
    done = run("ratchet", "serve", "-c", table_model.config, "--port", port, cwd=table_model.place)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr


def test_a_stage_without_a_version_is_told(table_model: Served) -> None:
    done = run("ratchet", "serve", "-c", table_model.config, "--stage", "staging", "--port", "0", cwd=table_model.place)
    assert done.returncode == 1
    assert "no version is in Staging" in done.stderr


def test_answers_do_not_hide_columns_of_their_name_and_ids_stay_exact(table_model: Served, tmp_path: Path) -> None:
    rows = pd.DataFrame([APPLICANT | {"label": "kept"}, APPLICANT | {"label": None}])
    rows["number"] = pd.array([9007199254740993, None], dtype="Int64")
    rows.to_parquet(tmp_path / "in.parquet")
    done = run("ratchet", "score", "-c", table_model.config, "--input", tmp_path / "in.parquet", "--output",
               tmp_path / "out.parquet", cwd=table_model.place)  # fmt: skip
    assert done.returncode == 0, done.stderr
    scored = pd.read_parquet(tmp_path / "out.parquet", dtype_backend="pyarrow")
    assert scored["label"].tolist()[0] == "kept"
    assert set(scored["predicted_label"]) <= {0, 1}
    assert scored["number"].tolist()[0] == 9007199254740993


def test_an_applicant_is_told_why_when_it_is_asked_for(table_model: Served) -> None:
    row = APPLICANT | {"late_payments": 4.0, "utilisation": 1.2}
    plain = table_model.ask([row, APPLICANT])
    explained = table_model.ask([row, APPLICANT], explain=True)
    assert [{k: v for k, v in answer.items() if k != "reasons"} for answer in explained] == plain
    assert all("reasons" not in answer for answer in plain)
    assert table_model.ask([row], explain=False) == plain[:1]
    assert len(explained[0]["reasons"]) == 5
    assert table_model.ask([row], explain=True, reasons=2)[0]["reasons"] == explained[0]["reasons"][:2]
    told = {reason["column"]: reason for reason in table_model.ask([row], explain=True, reasons=20)[0]["reasons"]}
    late = told["late_payments"]
    assert (late["value"], late["text"], late["toward"]) == (4.0, "Record of late payments", 1)
    assert late["contribution"] > 0
    assert told["debt"]["value"] == pytest.approx(1.2 * 6000)
    assert "text" not in told["utilisation"]


def test_a_review_is_told_the_words_that_pushed_it_as_they_were_written(text_model: Served) -> None:
    text = "정말 재미있는 영화 👍"
    parts = unicodedata.normalize("NFD", text)
    composed, apart = text_model.ask([{"review": text}, {"review": parts}], explain=True)
    assert [reason["word"] for reason in composed["reasons"]] != []
    for answer, written in ((composed, text), (apart, parts)):
        assert all(written[r["start"] : r["end"]] == r["word"] for r in answer["reasons"])
    assert [r["contribution"] for r in composed["reasons"]] == [r["contribution"] for r in apart["reasons"]]
    first = composed["reasons"][0]
    assert (composed["label"], first["toward"]) == (1, 1)


def test_a_served_model_names_the_columns_that_whole_rows_bring_along(table_model: Served) -> None:
    file = next(table_model.place.rglob("MLmodel"))
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert told["metadata"]["known"] == ["applicant_id", "applied_at", "probability_of_default"]
    assert [spec["name"] for spec in json.loads(told["signature"]["params"])] == ["explain", "reasons"]
