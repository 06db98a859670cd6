"""Two versions of the scoring package live in one process, each with its own code."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ratchet.scoring
from ratchet.scoring.encode import Column, TableEncoder
from ratchet.scoring.margin import TableDot
from ratchet.scoring.predict import Scorer

SCORING = Path(ratchet.scoring.__file__).parent
ROWS = pd.DataFrame({"x": [-1.0, 0.0, 2.0, np.nan]})
SIGMOID = "return np.asarray(0.5 * (1 + np.tanh(0.5 * margins)))"
OTHER_SIGMOID = "return np.asarray(0.25 + 0.25 * (1 + np.tanh(0.5 * margins)))"
MISSING = "np.full(len(rows), np.nan"


def scorer_folder(place, **changed):
    """A scorer's folder as train logs it: state, and the package with some of its source changed."""
    weights, none = np.array([[2.0]]), np.zeros((0, 1))
    model = TableDot(np.array([False]), np.zeros(1), np.ones(1), weights, weights, none, np.zeros(0, int), np.zeros(1))
    encoder = TableEncoder((Column("x", "number"),), {"x": "number"})
    Scorer("binary", ("no", "yes"), encoder, model).save(place / "state")
    shutil.copytree(SCORING, place / "scoring", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (before, after) in changed.items():
        file = place / "scoring" / f"{name}.py"
        source = file.read_text(encoding="utf-8")
        assert before in source, f"the test is out of date: {before!r} is no longer in {name}.py"
        file.write_text(source.replace(before, after), encoding="utf-8")
    return place


def probabilities(scorer, rows=ROWS):
    return [answer["probability"] for answer in scorer.predict(rows)]


def load(folder):
    from ratchet.serving.model import load_package

    return load_package(folder / "scoring").load(folder / "state")


@pytest.fixture
def plain(tmp_path):
    return scorer_folder(tmp_path / "plain")


@pytest.fixture
def other(tmp_path):
    return scorer_folder(tmp_path / "other", predict=(SIGMOID, OTHER_SIGMOID))


EXPECTED = 1 / (1 + np.exp(-np.array([-2.0, 0.0, 4.0, 2.0])))


def test_two_versions_whose_code_differs_answer_each_by_its_own_code(plain, other):
    for first, second in ((plain, other), (other, plain), (plain, other)):
        found = {folder: load(folder) for folder in (first, second)}
        np.testing.assert_allclose(probabilities(found[plain]), EXPECTED)
        np.testing.assert_allclose(probabilities(found[other]), 0.25 + EXPECTED / 2)


def test_a_change_in_a_module_that_another_one_imports_is_a_version_of_its_own(tmp_path, plain):
    deep = scorer_folder(tmp_path / "deep", encode=(MISSING, "np.full(len(rows), 9.0"))
    bare = pd.DataFrame(index=[0])
    np.testing.assert_allclose(probabilities(load(plain), bare), EXPECTED[3:])
    assert probabilities(load(deep), bare)[0] > 0.999
    np.testing.assert_allclose(probabilities(load(plain), bare), EXPECTED[3:])


def test_the_same_content_is_loaded_once_wherever_it_lies(plain, tmp_path):
    from ratchet.serving.model import load_package

    twin = scorer_folder(tmp_path / "twin")
    assert load_package(plain / "scoring") is load_package(twin / "scoring") is load_package(plain / "scoring")
    shutil.rmtree(plain / "scoring")
    np.testing.assert_allclose(probabilities(load(twin)), EXPECTED)


def test_a_loaded_version_is_neither_the_installed_package_nor_in_its_way(other):
    installed = sys.modules["ratchet.scoring.predict"]
    loaded = load(other)
    assert type(loaded) is not Scorer
    assert type(loaded).__module__.startswith("ratchet_scoring_")
    assert sys.modules["ratchet.scoring.predict"] is installed
    assert installed.sigmoid(np.zeros(1))[0] == 0.5


def test_compiled_files_beside_the_source_do_not_make_another_version(plain):
    from ratchet.serving.model import load_package

    before = load_package(plain / "scoring")
    (plain / "scoring" / "__pycache__").mkdir(exist_ok=True)
    (plain / "scoring" / "__pycache__" / "predict.cpython-311.pyc").write_bytes(b"stale")
    assert load_package(plain / "scoring") is before


# ---------------------------------------------------------------- through MLflow itself


@pytest.fixture
def logged(workplace, plain, other):
    """The two versions as logged models, fetched: their folders."""
    import mlflow

    from ratchet.adapters import models, tracking
    from ratchet.adapters.logged import log_model
    from ratchet.serving import model
    from ratchet.settings import Settings

    client = tracking.client(Settings.from_env())
    about = {
        "inputs": {"x": ("double", False)},
        "outputs": {"label": ("string", True), "probability": ("double", True)},
        "requirements": [f"mlflow=={mlflow.__version__}"],
        "metadata": {"task": "small"},
    }
    folders = []
    for scorer in (plain, other):
        folder = workplace / f"logged {len(folders)}"
        shutil.copytree(scorer, folder / models.SCORER)
        shutil.copy(model.__file__, folder / models.ENTRY)
        run_id = client.create_run("0").info.run_id
        uri = log_model(client, run_id, folder, about)
        place = workplace / f"fetched {len(folders)}"
        place.mkdir()
        folders.append(models.fetched(client, models.Model(uri, uri, run_id, {}), place))
    yield folders
    mlflow.set_tracking_uri(None)


def test_two_logged_models_whose_code_differs_answer_each_by_its_own_code(logged, plain, other):
    from ratchet.adapters import models

    shutil.rmtree(plain)
    shutil.rmtree(other)
    first, second = map(models.load_scorer, logged)
    np.testing.assert_allclose(probabilities(first), EXPECTED)
    np.testing.assert_allclose(probabilities(second), 0.25 + EXPECTED / 2)
    np.testing.assert_allclose(probabilities(models.load_scorer(logged[0])), EXPECTED)


def test_a_logged_model_answers_through_mlflow_as_its_scorer_does_and_holds_no_pickle(logged):
    import mlflow

    from ratchet.adapters import models

    model = mlflow.pyfunc.load_model(str(logged[1]))
    rows = ROWS[:3]
    answers = model.predict(rows)
    assert answers.to_dict(orient="records") == models.load_scorer(logged[1]).predict(rows)
    assert answers.index.equals(rows.index)
    files = [file for file in logged[1].rglob("*") if file.is_file()]
    assert not [file for file in files if file.suffix in (".pkl", ".pickle", ".skops", ".joblib", ".pyc")]
    assert {"scorer.json", "predict.py"} <= {file.name for file in files}
