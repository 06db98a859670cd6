"""The served model in a clean environment built from its own requirements, without Ratchet and without pickle."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from ratchet.adapters import models, registry, tracking
from ratchet.settings import Settings
from tests.end_to_end.commands import BIN, environment
from tests.end_to_end.conftest import Served

ASK = """
import importlib.util, json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas
assert importlib.util.find_spec("ratchet") is None, "Ratchet is installed here"
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = json.load(open(sys.argv[1] + "/artifacts/scorer/sample.json"))["dataframe_records"]
answers = model.predict(pandas.DataFrame(rows, dtype=object).infer_objects())
print(json.dumps(answers.to_dict("records")))
"""


def test_the_model_answers_in_a_clean_environment_as_it_does_here(table_model: Served, tmp_path: Path) -> None:
    settings = Settings(f"sqlite:///{table_model.place / 'mlflow.db'}", "", (), tmp_path)
    client = tracking.client(settings)
    version = registry.behind(client, "applicants", "Production")
    model = models.fetched(client, models.of_version(version), tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    for words in (["venv", "--quiet", "--python", sys.executable, tmp_path / "env"],
                  ["pip", "install", "--quiet", "--python", python, "-r", model / "requirements.txt"]):  # fmt: skip
        subprocess.run([BIN / "uv", *words], check=True)
    env = environment(MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false")
    asked = subprocess.run(
        [python, "-c", ASK, model], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    here = models.load_scorer(model).predict(_sample(model))
    assert json.loads(asked.stdout.splitlines()[-1]) == here


def _sample(model: Path) -> object:
    rows = json.loads((model / "artifacts" / "scorer" / "sample.json").read_text(encoding="utf-8"))
    return pd.DataFrame(rows["dataframe_records"])
