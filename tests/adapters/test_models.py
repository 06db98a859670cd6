"""A model in the store that is not the one that was trained, in every way it can be another, is found and named."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow.exceptions import MlflowException

from ratchet.adapters import copies, models, registry, tracking
from ratchet.adapters.models import DIGEST, MANIFEST, Model
from ratchet.errors import ModelError
from ratchet.settings import Settings
from ratchet.steps.inputs import PACKAGE
from tests.end_to_end.commands import environment, run

SCORER = "artifacts/scorer"
STATE = f"{SCORER}/state/scorer.json"
CODE = f"{SCORER}/scoring/predict.py"
SOURCES = [f"{SCORER}/scoring/{file.name}" for file in sorted((PACKAGE / "scoring").glob("*.py"))]
FILES = [
    "MLmodel", "conda.yaml", "model.py", "python_env.yaml", "requirements.txt", f"{SCORER}/sample.json", STATE,
    f"{SCORER}/state/booster.ubj", *SOURCES,
]  # fmt: skip


@dataclass(frozen=True)
class Store:
    """A store with two versions of one model; where the files of the first and second lie, and those of their runs."""

    client: Any
    first: Model
    folders: tuple[Path, Path]
    runs: tuple[Path, Path]
    place: Path

    def fetched(self, model: Model | None = None) -> Path:
        """A verified copy of the first version."""
        target = self.place / "fetched"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        return models.fetched(self.client, model or self.first, target)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Store:
    """Two versions, trained by the command itself."""
    place = tmp_path_factory.mktemp("models")
    shutil.copy(migrated_store, place / "mlflow.db")
    task = {
        "name": "small",
        "data": {"sources": {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=3"]}}, "target": "defaulted",
                 "positive": 1, "id": "applicant_id", "drop": ["applied_at", "probability_of_default"]},
        "search": {"models": ["xgboost"], "trials": 1, "folds": 2, "max_rounds": 40},
    }  # fmt: skip
    (place / "small.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    for seed in (1, 2):
        made = run("ratchet", "promote", "-c", "small.yaml", "--to", "staging", "--seed", seed, cwd=place)
        assert made.returncode == 0, made.stderr
    client = tracking.client(Settings(f"sqlite:///{place / 'mlflow.db'}", "", (), place))
    versions = sorted(registry.versions(client, "small"), key=lambda version: version.number)
    folders = tuple(Path(version.source.removeprefix("file://")) for version in versions)
    runs = tuple(Path(client.get_run(v.run_id).info.artifact_uri.removeprefix("file://")) for v in versions)
    return Store(client, models.of_version(versions[0]), folders, runs, place)


@pytest.fixture
def store(whole: Store, tmp_path: Path) -> Iterator[Store]:
    """The same store for each test: what a test does to its files is undone."""
    kept = shutil.copytree(whole.place / "mlruns", tmp_path / "kept", symlinks=True)
    mlflow.set_tracking_uri(f"sqlite:///{whole.place / 'mlflow.db'}")
    yield whole
    shutil.rmtree(whole.place / "mlruns")
    shutil.copytree(kept, whole.place / "mlruns", symlinks=True)
    mlflow.set_tracking_uri(None)


def both_ways(store: Store) -> list[Model]:
    """The first version by its number, and by the id of its logged model."""
    version = registry.numbered(store.client, "small", 1)
    uri = f"models:/{version.tags['ratchet.model_id']}"
    return [store.first, Model(uri, uri, version.run_id, {})]


def refusals(store: Store) -> list[str]:
    """What whoever fetches the model, by its run or by its version, is told instead: one line each."""
    found = []
    for model in both_ways(store):
        with pytest.raises(ModelError) as error:
            store.fetched(model)
        name, _, told = str(error.value).partition(": ")
        assert name == model.name
        assert "\n" not in told
        found.append(told)
    return found


# ---------------------------------------------------------------- a good one


def test_the_manifest_holds_every_file_of_the_model_and_no_other(store: Store) -> None:
    manifest = json.loads((store.runs[0] / MANIFEST).read_text(encoding="utf-8"))
    assert sorted(manifest) == sorted(FILES)
    digests = {models.manifest_digest(manifest), *store.first.claims.values()}
    assert digests == {store.client.get_run(store.first.run_id).data.tags[DIGEST]}


def test_a_good_model_is_fetched_by_its_version_and_by_its_id_and_answers(store: Store) -> None:
    for model in both_ways(store):
        folder = store.fetched(model)
        assert sorted(copies.digests(folder)) == sorted(FILES)
        scorer = models.load_scorer(folder)
        assert scorer.kind == "binary"


def test_what_mlflow_and_python_leave_in_the_store_does_no_harm(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run("python", "-c", "import mlflow, sys; mlflow.pyfunc.load_model(sys.argv[1])", "models:/small/1", cwd=store.place,
        env={**environment(), "PYTHONDONTWRITEBYTECODE": ""})  # fmt: skip
    bytecode = store.folders[0] / SCORER / "scoring" / "__pycache__" / "predict.cpython-311.pyc"
    assert bytecode.exists()
    assert (store.folders[0] / copies.META).exists()
    bytecode.write_bytes(b"another program")
    assert sorted(copies.digests(store.fetched())) == sorted(FILES)


def test_who_changes_the_store_after_the_check_changes_nothing_that_is_loaded(store: Store) -> None:
    folder = store.fetched()
    before = copies.digests(folder)
    for file in FILES:
        (store.folders[0] / file).write_bytes(b"")
    assert copies.digests(folder) == before
    assert models.load_scorer(folder).classes


# ---------------------------------------------------------------- every tampering


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_byte_is_found(store: Store, file: str) -> None:
    path = store.folders[0] / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert all(f"{file} is not the file that was trained" in told for told in refusals(store))


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_gone_is_found(store: Store, file: str) -> None:
    (store.folders[0] / file).unlink()
    assert all(f"{file} is gone" in told for told in refusals(store))


@pytest.mark.parametrize("file", FILES)
def test_a_file_cut_short_is_found(store: Store, file: str) -> None:
    path = store.folders[0] / file
    os.truncate(path, path.stat().st_size - 1)
    assert all(f"{file} is not the file that was trained" in told for told in refusals(store))


@pytest.mark.parametrize(
    "file",
    [
        f"{SCORER}/scoring/xgboost.py", f"{SCORER}/scoring/new/__init__.py", "code/numpy.py", "sitecustomize.py",
        "model.pkl", "python_model.pkl", "notes.txt", ".hidden", ".git/config", f"{SCORER}/state/old.ubj",
        f"{SCORER}/scoring/__pycache__/predict.py", "registered_model_meta/x", "두 번째.json", "two\nlines.py",
    ],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("content", [b"", b"print('hello')\n"], ids=["empty", "with content"])
def test_a_file_more_is_found(store: Store, file: str, content: bytes) -> None:
    path = store.folders[0] / file
    (store.folders[0] / copies.META).unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    named = f"{file if file.isprintable() else ascii(file)} was not there when it was trained"
    assert all(named in told for told in refusals(store))


def swap_two(store: Store) -> list[str]:
    first, second = store.folders[0] / STATE, store.folders[0] / SCORER / "sample.json"
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    return [f"{STATE} is not", f"{SCORER}/sample.json is not"]


def rename_one(store: Store) -> list[str]:
    (store.folders[0] / CODE).rename(store.folders[0] / SCORER / "scoring" / "other.py")
    return [f"{CODE} is gone", "other.py was not there"]


def case_of_a_name(store: Store) -> list[str]:
    (store.folders[0] / "MLmodel").rename(store.folders[0] / "mlmodel")
    return ["MLmodel is gone", "mlmodel was not there"]


def state_of_the_other_version(store: Store) -> list[str]:
    shutil.copy(store.folders[1] / STATE, store.folders[0] / STATE)
    return [f"{STATE} is not the file that was trained"]


def booster_of_the_other_version(store: Store) -> list[str]:
    shutil.copy(store.folders[1] / SCORER / "state" / "booster.ubj", store.folders[0] / SCORER / "state")
    return ["state/booster.ubj is not the file that was trained"]


def all_of_the_other_version(store: Store) -> list[str]:
    shutil.rmtree(store.folders[0])
    shutil.copytree(store.folders[1], store.folders[0])
    return ["MLmodel is not the file that was trained"]


def the_other_version_with_its_manifest(store: Store) -> list[str]:
    all_of_the_other_version(store)
    shutil.copy(store.runs[1] / MANIFEST, store.runs[0] / MANIFEST)
    return [f"{MANIFEST} of run {store.first.run_id} is not the one made at train"]


def nothing_left(store: Store) -> list[str]:
    shutil.rmtree(store.folders[0])
    return ["is gone"]


def mlmodel_edited(store: Store, **flavor: str) -> list[str]:
    path = store.folders[0] / "MLmodel"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["flavors"]["python_function"] |= flavor
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return ["MLmodel is not the file that was trained"]


def another_loader(store: Store) -> list[str]:
    return mlmodel_edited(store, loader_module="mlflow.sklearn")


def a_pickled_model(store: Store) -> list[str]:
    return mlmodel_edited(store, python_model="python_model.pkl")


def another_model_code(store: Store) -> list[str]:
    return mlmodel_edited(store, model_code_path="elsewhere/evil.py")


def code_of_ones_own(store: Store) -> list[str]:
    return mlmodel_edited(store, code="code")


def requirements_of_ones_own(store: Store) -> list[str]:
    with (store.folders[0] / "requirements.txt").open("a") as file:
        file.write("evil==1.0\n")
    return ["requirements.txt is not the file that was trained"]


def a_link_to_another_file(store: Store) -> list[str]:
    path = store.folders[0] / STATE
    path.unlink()
    path.symlink_to(store.folders[1] / STATE)
    return [f"{STATE} is a link, not a file"]


def a_link_to_the_same_content(store: Store) -> list[str]:
    path = store.folders[0] / STATE
    path.symlink_to(path.rename(store.folders[0].parent / "moved.json"))
    return [f"{STATE} is a link, not a file"]


def a_folder_that_is_a_link(store: Store) -> list[str]:
    path = store.folders[0] / SCORER / "scoring"
    path.symlink_to(path.rename(store.folders[0].parent / "moved"))
    return ["scoring is a link, not a file"]


def bytecode_that_is_a_link(store: Store) -> list[str]:
    elsewhere = store.place / "bytecode"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "predict.cpython-311.pyc").write_bytes(b"")
    (store.folders[0] / SCORER / "scoring" / "__pycache__").symlink_to(elsewhere)
    return ["__pycache__ is a link, not a file"]


def a_link_to_nowhere(store: Store) -> list[str]:
    path = store.folders[0] / CODE
    path.unlink()
    path.symlink_to("nowhere")
    return [f"{CODE} is a link, not a file"]


def a_folder_in_its_place(store: Store) -> list[str]:
    (store.folders[0] / CODE).unlink()
    (store.folders[0] / CODE).mkdir()
    return [f"{CODE} is gone"]


def a_pipe_in_its_place(store: Store) -> list[str]:
    (store.folders[0] / CODE).unlink()
    os.mkfifo(store.folders[0] / CODE)
    return [f"{CODE} cannot be read"]


def manifest_fitted(store: Store) -> list[str]:
    path = store.folders[0] / CODE
    path.write_text(path.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    (store.runs[0] / MANIFEST).write_text(json.dumps(copies.digests(store.folders[0])), encoding="utf-8")
    return [f"{MANIFEST} of run {store.first.run_id} is not the one made at train"]


def manifest_alone(store: Store) -> list[str]:
    path = store.runs[0] / MANIFEST
    path.write_text(path.read_text(encoding="utf-8").replace('"conda.yaml"', '"canda.yaml"'), encoding="utf-8")
    return [f"{MANIFEST} of run"]


def manifest_gone(store: Store) -> list[str]:
    (store.runs[0] / MANIFEST).unlink()
    return [f"{MANIFEST} of run {store.first.run_id} is gone"]


def manifest_broken(store: Store) -> list[str]:
    (store.runs[0] / MANIFEST).write_bytes(b"\xff{")
    return [f"{MANIFEST} of run"]


def manifest_no_manifest(store: Store) -> list[str]:
    (store.runs[0] / MANIFEST).write_text("[1, 2]")
    return [f"{MANIFEST} of run"]


TAMPERINGS: list[Callable[[Store], list[str]]] = [
    swap_two, rename_one, case_of_a_name, state_of_the_other_version, booster_of_the_other_version,
    all_of_the_other_version, the_other_version_with_its_manifest, nothing_left, another_loader, a_pickled_model,
    another_model_code, code_of_ones_own, requirements_of_ones_own, a_link_to_another_file, a_link_to_the_same_content,
    a_folder_that_is_a_link, bytecode_that_is_a_link, a_link_to_nowhere, a_folder_in_its_place, a_pipe_in_its_place,
    manifest_fitted, manifest_alone, manifest_gone, manifest_broken, manifest_no_manifest,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__.replace("_", " "))
def test_a_tampering_is_found_and_named(store: Store, tamper: Callable[[Store], list[str]]) -> None:
    named = tamper(store)
    assert all(name in told for told in refusals(store) for name in named)


# ---------------------------------------------------------------- who says what the model is


def test_a_version_whose_tag_was_edited_is_refused_and_the_tag_named(store: Store) -> None:
    tag = f"the tag {DIGEST} of small version 1"
    edited = replace(store.first, claims={tag: "0" * 64})
    with pytest.raises(ModelError, match=f"small version 1: {tag} is not the digest of the manifest"):
        store.fetched(edited)


def test_a_run_whose_tag_was_edited_is_refused_and_the_run_named(store: Store) -> None:
    run_id, kept = store.first.run_id, next(iter(store.first.claims.values()))
    store.client.set_tag(run_id, DIGEST, "0" * 64)
    try:
        with pytest.raises(ModelError, match=f"the tag {DIGEST} of run {run_id} is not the digest"):
            store.fetched()
    finally:
        store.client.set_tag(run_id, DIGEST, kept)


def test_one_who_remembers_is_enough_where_file_manifest_and_tags_were_all_fitted(store: Store) -> None:
    run_id, kept = store.first.run_id, next(iter(store.first.claims.values()))
    manifest_fitted(store)
    forged = models.manifest_digest(copies.digests(store.folders[0]))
    store.client.set_tag(run_id, DIGEST, forged)
    try:
        remembered = {"the tag of the version": forged, "the ledger": kept}
        with pytest.raises(ModelError, match="small version 1: the ledger is not the digest"):
            store.fetched(replace(store.first, claims=remembered))
    finally:
        store.client.set_tag(run_id, DIGEST, kept)


def test_all_of_another_version_with_its_manifest_and_tags_is_still_that_of_another_run(store: Store) -> None:
    run_id, kept = store.first.run_id, next(iter(store.first.claims.values()))
    the_other_version_with_its_manifest(store)
    forged = models.manifest_digest(copies.digests(store.folders[1]))
    store.client.set_tag(run_id, DIGEST, forged)
    try:
        with pytest.raises(ModelError, match=f"small version 1: MLmodel is that of another run than {run_id}"):
            store.fetched(replace(store.first, claims={"the tag of the version": forged}))
    finally:
        store.client.set_tag(run_id, DIGEST, kept)


def test_a_version_of_an_older_release_is_told_to_be_trained_again(store: Store) -> None:
    version = registry.numbered(store.client, "small", 1)
    bare = {name: value for name, value in version.tags.items() if name != DIGEST}
    with pytest.raises(ModelError, match=f"small version 1: has no tag {DIGEST}.*train again"):
        models.of_version(replace(version, tags=bare))


# ---------------------------------------------------------------- pickle, and the one way in


class Pickled(mlflow.pyfunc.PythonModel):
    """A model as most people log it."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    mlflow.pyfunc.save_model(tmp_path / "pickled", python_model=Pickled(), pip_requirements=[])
    with pytest.raises(MlflowException, match="pickle is disallowed"):
        models.load_scorer(tmp_path / "pickled")


def test_nothing_in_the_package_loads_or_downloads_a_model_elsewhere() -> None:
    ways = ("pyfunc.load_model", "load_scorer(", "copies.copied(", "get_underlying_uri")
    found = {(file.name, way) for file in PACKAGE.rglob("*.py") for way in ways if way in file.read_text()}
    assert {name for name, _ in found} == {"logged.py", "models.py", "copies.py", "session.py"}
    assert {way for name, way in found if name == "logged.py"} == {"copies.copied("}, "to compare what was sent"
    assert ("session.py", "load_scorer(") in found
