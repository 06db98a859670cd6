"""One row, one answer: whichever way the row comes in, and in whichever dtypes a library holds it."""

import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import requests
import yaml

from ratchet.adapters import modelserver
from tests.conftest import Told
from tests.end_to_end.commands import environment, run, settle, start

ROW: dict[str, Any] = {
    "iccid": "89821230000012345678", "opened": "05/01/2024", "age": 46, "usage": 70.5, "late": 2, "plan": "pro",
    "diag": "250.10", "region": "003", "autopay": True, "sku": "1E5", "tags": "x",
}  # fmt: skip
OTHER = ROW | {"age": 31, "usage": None, "late": 0, "plan": None, "diag": "428.0", "region": None, "autopay": None}
ROWS = [ROW, OTHER]
READ = ["age", "usage", "late", "plan", "diag", "region", "autopay"]


def training_rows() -> str:
    """A CSV as people export it: codes with zeros, true and false as words, ? for missing, dates day first."""
    draw = random.Random(5)
    lines = ["iccid,opened,age,usage,late,plan,diag,region,autopay,sku,tags,churn"]
    for number in range(400):
        usage = draw.choice(["?", f"{draw.uniform(5, 120):.1f}", f"{draw.uniform(5, 120):.1f}"])
        plan, diag = draw.choice(["basic", " pro", "pro", "plus", ""]), draw.choice(["250.10", "250.1", "428.0", "V58"])
        region, autopay = draw.choice(["001", "002", "003", ""]), draw.choice(["True", "False", ""])
        late, age = draw.choice([0, 1, 2]), draw.randint(18, 80)
        odds = age / 80 + late / 3 + (autopay == "True") + (diag == "250.10") + (region == "003") + (plan == "plus")
        churn = int(draw.random() < odds / 4)
        cells = [f"8982123000001{number:07}", "05/01/2024", age, usage, late, plan, diag, region, autopay, "1E5", "x"]
        lines.append(",".join(map(str, [*cells, churn])))
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Trained:
    """A store with the model in Production, and a gateway before it."""

    place: Path
    url: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[Trained]:
    """Train once and serve once."""
    place = tmp_path_factory.mktemp("one answer")
    shutil.copy(migrated_store, place / "mlflow.db")
    (place / "train.csv").write_text(training_rows(), encoding="utf-8")
    read = {"na": ["", "NA", "?"], "types": {"iccid": "text"}}
    task = {
        "name": "one",
        "data": {"sources": {"rows": {"uris": ["train.csv"], "read": read}}, "target": "churn", "positive": 1,
                 "id": "iccid", "drop": ["opened", "sku", "tags"]},
        "features": {"categorical": ["late", "region", "diag"],
                     "derive": {"pays": "where(autopay == 'True', 1, 0) + where(region == '003', 2, 0)"}},
        "search": {"models": ["xgboost"], "trials": 1, "folds": 2, "max_rounds": 30},
        "gates": {"staging": [{"size_mb": 100}], "production": [{"size_mb": 100}]},
    }  # fmt: skip
    (place / "one.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    made = run("ratchet", "run", "-c", "one.yaml", "--json", cwd=place)
    assert made.returncode == 0, made.stderr
    server = start("ratchet", "serve", "-c", "one.yaml", "--port", "0", "--json", cwd=place)
    try:
        assert server.stdout
        yield Trained(place, json.loads(server.stdout.readline())["url"])
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def model(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The registered model, as MLflow loads it for anybody."""
    import mlflow

    settle(monkeypatch, trained.place)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    yield mlflow.pyfunc.load_model("models:/one@champion")
    mlflow.set_tracking_uri(None)


@pytest.fixture
def ratchet(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Told]:
    """Run a command in this process, in the folder of the trained store."""
    import sys

    from ratchet import cli

    settle(monkeypatch, trained.place)

    def call(*words: object) -> Told:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["ratchet", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return call


@pytest.fixture
def wanted(trained: Trained) -> list[float]:
    """The answers to the rows: what the gateway says of plain JSON."""
    return asked(trained, json.dumps({"dataframe_records": [{n: row[n] for n in READ} for row in ROWS]}).encode())


def asked(trained: Trained, body: bytes, kind: str = "application/json") -> list[float]:
    """The probabilities that the gateway answers a body with."""
    answer = requests.post(f"{trained.url}/invocations", data=body, headers={"Content-Type": kind}, timeout=30)
    assert answer.status_code == 200, answer.text
    return [each["probability"] for each in answer.json()["predictions"]]


def test_the_copy_behind_the_gateway_names_the_types_of_plain_columns_and_answers_the_same(
    model: Any, wanted: list[float], tmp_path: Path
) -> None:
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts("models:/one@champion", dst_path=str(tmp_path)))
    modelserver.name_types(folder, {name: kind for name, (kind, _) in modelserver.reads(folder).inputs.items()})
    typed = mlflow.pyfunc.load_model(str(folder))
    types = {column.name: str(column.type) for column in typed.metadata.get_input_schema()}
    assert (types["usage"], types["plan"], types["autopay"]) == ("DataType.double", "DataType.string", "Any")
    assert str(model.metadata.get_input_schema().input_dict()["usage"].type) == "Any"
    rows = PLAIN.astype({"age": float, "usage": float})
    assert typed.predict(rows)["probability"].tolist() == pytest.approx(wanted, abs=1e-12)


# ---------------------------------------------------------------- the dtypes of libraries

PLAIN = pd.DataFrame(ROWS)
FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "as python holds it": lambda: pd.DataFrame(ROWS, dtype=object),
    "as pandas makes it": lambda: PLAIN,
    "whole numbers as floats": lambda: PLAIN.astype({"age": float, "late": float}),
    "small whole numbers": lambda: PLAIN.astype({"age": "int8", "late": "uint8", "usage": "float32"}),
    "nullable": lambda: PLAIN.astype({"age": "Int64", "late": "UInt8", "usage": "Float64", "autopay": "boolean",
                                      "plan": "string"}),
    "pyarrow": lambda: pa.Table.from_pandas(PLAIN).to_pandas(types_mapper=pd.ArrowDtype),
    "categories": lambda: PLAIN.astype({"plan": "category", "diag": "category", "late": "category",
                                        "autopay": "category", "age": "category"}),
    "texts": lambda: PLAIN.astype({"age": str, "late": str}),
    "decimals": lambda: PLAIN.assign(age=[Decimal(46), Decimal(31)], late=[Decimal("2.0"), Decimal(0)],
                                     usage=[Decimal("70.5"), None]),
    "codes as numbers": lambda: PLAIN.assign(region=[3.0, None]),
    "truth as numbers": lambda: PLAIN.assign(autopay=[1.0, None]),
    "truth as text": lambda: PLAIN.assign(autopay=["TRUE", None]),
    "blanks around": lambda: PLAIN.assign(plan=["pro ", None], diag=[" 250.10", "428.0 "]),
    "its own missing word": lambda: PLAIN.assign(usage=["70.5", "?"], plan=["pro", "?"], autopay=["True", "?"]),
    "dates that are not read": lambda: PLAIN.assign(opened=pd.Timestamp("2024-01-05")),
}  # fmt: skip


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_of_any_dtypes_gets_the_same_answers(model: Any, wanted: list[float], frame: str, count: int) -> None:
    rows = pd.concat([FRAMES[frame]()] * count, ignore_index=True)
    before = rows.copy()
    answers = model.predict(rows)
    assert list(answers) == ["label", "probability"]
    assert answers["probability"].tolist() == wanted * count
    pd.testing.assert_frame_equal(rows, before)


def test_the_frame_that_pandas_reads_from_the_training_file_is_taken(model: Any, trained: Trained) -> None:
    assert len(model.predict(pd.read_csv(trained.place / "train.csv"))) == 400


def test_a_half_is_never_cut_to_a_whole_number(model: Any) -> None:
    half = [model.predict(PLAIN.assign(usage=value))["probability"].tolist() for value in (2.5, 2, "2.5")]
    assert half[0] == half[2]


# ---------------------------------------------------------------- ways in

CSV = "iccid,opened,age,usage,late,plan,diag,region,autopay,sku,tags\n" + "".join(
    f"{row['iccid']},{row['opened']},{row['age']},{row['usage'] or '?'},{row['late']},{row['plan'] or ''},"
    f"{row['diag']},{row['region'] or ''},{'' if row['autopay'] is None else row['autopay']},"
    f"{row['sku']},{row['tags']}\n"
    for row in ROWS
)


def parquet(**columns: Any) -> bytes:
    """The rows as a Parquet file, with columns replaced."""
    buffer = io.BytesIO()
    PLAIN.assign(**columns).drop(columns=["sku", "tags"]).to_parquet(buffer)
    return buffer.getvalue()


BODIES: dict[str, tuple[str, bytes]] = {
    "CSV": ("text/csv", CSV.encode()),
    "CSV as pandas writes it": ("text/csv", PLAIN.to_csv(index=False).encode()),
    "Parquet": ("application/vnd.apache.parquet", parquet()),
    "Parquet of floats": ("application/vnd.apache.parquet", parquet(age=[46.0, 31.0], late=[2.0, 0.0])),
    "JSON with truth as text": (
        "application/json", json.dumps({"instances": [ROW | {"autopay": "true"}, OTHER]}).encode()),
    "JSON with numbers as codes": (
        "application/json", json.dumps({"instances": [ROW | {"region": 3, "late": "2"}, OTHER]}).encode()),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_a_body_in_each_form_gets_the_same_answers(trained: Trained, wanted: list[float], body: str) -> None:
    assert asked(trained, BODIES[body][1], BODIES[body][0]) == wanted


FILES: dict[str, Callable[[Path], object]] = {
    "plain.csv": lambda path: path.write_text(CSV, encoding="utf-8"),
    "pandas.csv": lambda path: PLAIN.to_csv(path, index=False),
    "marked.csv": lambda path: path.write_text(CSV, encoding="utf-8-sig"),
    "floats.csv": lambda path: PLAIN.astype({"age": float, "late": float}).to_csv(path, index=False),
    "plain.parquet": PLAIN.to_parquet,
    "floats.parquet": PLAIN.assign(age=[46.0, 31.0], late=[2.0, 0.0]).to_parquet,
    "decimals.parquet": PLAIN.assign(age=[Decimal(46), Decimal(31)], usage=[Decimal("70.5"), None]).to_parquet,
    "nested.parquet": PLAIN.assign(tags=[["a", "b"], None], sku=[b"\xff\x01", b"x"]).to_parquet,
}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_each_kind_gets_the_same_answers(
    ratchet: Callable[..., Told], trained: Trained, wanted: list[float], name: str, ending: str
) -> None:
    FILES[name](trained.place / name)
    told = ratchet("score", "-c", "one.yaml", "--input", name, "--output", f"{name}.out{ending}", "--json")
    assert told.code == 0, told.err
    output = trained.place / f"{name}.out{ending}"
    answers = pd.read_csv(output) if ending == ".csv" else pd.read_parquet(output)
    assert answers["probability"].tolist() == wanted


@pytest.mark.parametrize("form", ["dataframe_records", "dataframe_split", "instances"])
def test_mlflow_s_own_server_gives_the_same_answers(
    model: Any, wanted: list[float], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.pyfunc.scoring_server import invocations

    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # as its `init` does
    rows = PLAIN[READ].astype(object).where(PLAIN[READ].notna(), None)
    value: Any = rows.to_dict(orient="records")
    if form == "dataframe_split":
        value = rows.to_dict(orient="split", index=False)
    answer = invocations(json.dumps({form: value}), "application/json", model, model.metadata.get_input_schema())
    answers = json.loads(answer.response)["predictions"]
    assert [sorted(each) for each in answers] == [["label", "probability"]] * 2
    assert [each["probability"] for each in answers] == wanted


def test_mlflow_models_predict_takes_a_csv(trained: Trained, wanted: list[float]) -> None:
    (trained.place / "predict.csv").write_text(CSV, encoding="utf-8")
    words = ["mlflow", "models", "predict", "-m", "models:/one@champion", "-i", "predict.csv", "-t", "csv",
             "-o", "predicted.json", "--env-manager", "local"]  # fmt: skip
    env = environment(MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    done = run(*words, cwd=trained.place, env=env)
    assert done.returncode == 0, done.stderr
    answers = json.loads((trained.place / "predicted.json").read_text())["predictions"]
    assert [each["probability"] for each in answers] == wanted


def test_mlflow_evaluates_the_model_by_its_label(model: Any, trained: Trained) -> None:
    import mlflow

    rows = pd.read_csv(trained.place / "train.csv")
    judged = mlflow.models.evaluate(
        "models:/one@champion", rows, targets="churn", model_type="classifier",
        model_config={"column": "label"}, evaluator_config={"log_model_explainability": False, "pos_label": 1},
    )  # fmt: skip
    labels = model.predict(rows)["label"]
    assert judged.metrics["accuracy_score"] == pytest.approx((labels == rows["churn"]).mean())


def test_spark_finds_the_columns_that_the_signature_names(model: Any) -> None:
    # What spark_udf hands over: a frame of its arguments by the inputs' names; what it looks up: the outputs' names.
    names, outputs = model.metadata.signature.inputs.input_names(), model.metadata.signature.outputs
    answers = pd.DataFrame(model.predict(pd.DataFrame({name: PLAIN[name] for name in names}, columns=names)))
    assert [spec.name for spec in outputs.inputs] == list(answers)
    typed = answers.astype({spec.name: spec.type.to_numpy() for spec in outputs.inputs})
    assert typed["probability"].between(0, 1).all() and set(typed["label"]) <= {0, 1}


# ---------------------------------------------------------------- scored files


def test_cells_that_the_model_does_not_read_come_back_as_they_are(
    ratchet: Callable[..., Told], trained: Trained
) -> None:
    lines = [
        "iccid,opened,age,usage,late,plan,diag,region,autopay,sku,note",
        '89821230000012345678,05/01/2024,46,70.50,2,pro,250.10,003,TRUE,1E5,"a ""quoted"", text"',
        '00000000000000000001,2024-1-5,31,?,0,NA,428.0,,,1.50,"two\nlines"',
        "x,,0031,1e2,0,,V58,001,false,+7,서울",
    ]
    (trained.place / "cells.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = ratchet("score", "-c", "one.yaml", "--input", "cells.csv", "--output", "cells.out.csv")
    assert told.code == 0, told.err
    given, came = ((trained.place / name).read_text(encoding="utf-8") for name in ("cells.csv", "cells.out.csv"))
    import csv

    before, after = (list(csv.reader(io.StringIO(text, newline=""))) for text in (given, came))
    assert [row[: len(before[0])] for row in after] == before
    assert after[0][len(before[0]) :] == ["label", "probability"]


def test_nested_columns_and_bytes_are_written_to_csv_as_text(ratchet: Callable[..., Told], trained: Trained) -> None:
    rows = PLAIN.assign(tags=[["a", "b"], None], sku=[{"x": 1}, None], opened=[b"ab\xff", b""])
    rows.to_parquet(trained.place / "nested.parquet")
    told = ratchet("score", "-c", "one.yaml", "--input", "nested.parquet", "--output", "nested.csv")
    assert told.code == 0, told.err
    written = pd.read_csv(trained.place / "nested.csv", dtype=str, keep_default_na=False)
    assert written.loc[0, ["tags", "sku", "opened"]].tolist() == ['["a","b"]', '{"x":1}', "ab\\xFF"]


def test_an_answer_does_not_depend_on_the_rows_beside_it(ratchet: Callable[..., Told], trained: Trained) -> None:
    lines = CSV.splitlines()
    (trained.place / "few.csv").write_text("\n".join([lines[0], lines[1]]), encoding="utf-8")
    odd = "x,2024,40,1,1,plan,V58,north,maybe,s,t"
    (trained.place / "more.csv").write_text("\n".join([lines[0], lines[1], odd]), encoding="utf-8")
    for name in ("few", "more"):
        assert ratchet("score", "-c", "one.yaml", "--input", f"{name}.csv", "--output", f"{name}.out.csv").code == 0
    few, more = (pd.read_csv(trained.place / f"{name}.out.csv") for name in ("few", "more"))
    assert few["probability"][0] == more["probability"][0]


@pytest.mark.parametrize(("changes", "options", "fault"), [
    ({"age": "old"}, (), "row 1: 'age' is 'old', not a number; if it is missing, leave it empty"),
    ({"age": "1_000"}, (), "row 1: 'age' is '1_000', not a number"),
    ({"age": "-"}, (), "row 1: 'age' is '-', not a number"),
    ({"age": "-"}, ("--read.na", "-"), ""),
    ({}, ("--as-source", "rows"), "the task has no data.query, so a file is scored as it is; leave it out"),
    ({}, ("--as-source", "row"), "--as-source: no source 'row'; did you mean 'rows'?"),
    ({}, ("--encoding", "utf-16"), "name its --read.encoding"),
    ({}, ("--read.sep", ";"), "no column 'age', which the model reads"),
], ids=str)  # fmt: skip
def test_a_file_is_refused_in_one_line_and_the_mend_works(
    ratchet: Callable[..., Told], trained: Trained, changes: dict[str, str], options: tuple[str, ...], fault: str
) -> None:
    pd.DataFrame([ROW | changes]).to_csv(trained.place / "odd.csv", index=False)
    told = ratchet("score", "-c", "one.yaml", "--input", "odd.csv", "--output", "odd.out.csv", *options)
    assert (told.code, fault in told.err) == (1 if fault else 0, True), told.err
    assert told.err.count("\n") <= 5


def test_odd_cells_of_a_file_are_told_at_the_end(ratchet: Callable[..., Told], trained: Trained) -> None:
    rows = [ROW, ROW | {"age": 400, "plan": "gold"}, ROW | {"age": -1, "region": "north", "autopay": "maybe"}]
    pd.DataFrame(rows).to_csv(trained.place / "far.csv", index=False)
    words = ("score", "-c", "one.yaml", "--input", "far.csv", "--output", "far.out.csv")
    told = ratchet(*words)
    assert told.code == 0, told.err
    said = told.out + told.err
    assert "age: 2 of 3 values far out of its range" in said
    for name in ("plan", "region", "autopay"):
        assert f"{name}: 1 of 3 values never seen in training" in said
    counts = ratchet(*words, "--json").json
    assert counts["unseen"] == {"plan": 1, "region": 1, "autopay": 1}
    assert counts["out_of_range"] == {"age": 2}


def test_odd_cells_are_refused_before_the_output_is_there(ratchet: Callable[..., Told], trained: Trained) -> None:
    strict = yaml.safe_load((trained.place / "one.yaml").read_text())
    strict["features"]["unseen"] = strict["features"]["range"] = "refuse"
    (trained.place / "strict.yaml").write_text(yaml.safe_dump(strict))
    for change, fault in (
        ({"plan": "gold"}, "row 2: 'plan' is 'gold', a level that training never saw (features.unseen: refuse)"),
        ({"age": 400}, "row 2: 'age' is '400.0', outside"),
    ):
        pd.DataFrame([ROW, ROW | change]).to_csv(trained.place / "refused.csv", index=False)
        told = ratchet("score", "-c", "strict.yaml", "--input", "refused.csv", "--output", "refused.out.csv")
        assert (told.code, fault in told.err) == (1, True), told.err
        assert not list(trained.place.glob("*refused.out*"))
    pd.DataFrame([ROW, OTHER]).to_csv(trained.place / "refused.csv", index=False)
    assert ratchet("score", "-c", "strict.yaml", "--input", "refused.csv", "--output", "refused.out.csv").code == 0


def test_the_task_s_wish_about_odd_cells_trains_nothing_anew(ratchet: Callable[..., Told], trained: Trained) -> None:
    one = yaml.safe_load((trained.place / "one.yaml").read_text())
    one["features"]["unseen"] = "refuse"
    (trained.place / "again.yaml").write_text(yaml.safe_dump(one))
    steps = ratchet("run", "-c", "again.yaml", "--why", "--json").json["steps"]
    states = {step["step"]: step["state"] for step in steps}
    assert (states["preprocess"], states["train"]) == ("reused", "reused")  # evaluate has a champion beside it now
