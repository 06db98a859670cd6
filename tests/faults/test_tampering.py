"""A model that was tampered with in the store, through the real commands: none loads it, each names the file."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from ratchet.adapters import registry, tracking
from ratchet.adapters.servers import answers, free_port, running
from ratchet.adapters.synthetic import credit
from ratchet.settings import Settings
from tests.adapters.test_signatures import make_key
from tests.end_to_end.commands import environment, run

TASK = {
    "name": "small",
    "data": {"sources": {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=3"]}}, "target": "defaulted",
             "positive": 1, "id": "applicant_id", "drop": ["applied_at", "probability_of_default"]},
    "search": {"models": ["xgboost"], "trials": 1, "folds": 2, "max_rounds": 40},
    "gates": {"staging": [{"beats": "dummy"}], "production": [{"metric": "roc_auc", "max_drop": 0.5}]},
}  # fmt: skip
STATE = "artifacts/scorer/state/booster.ubj"
REFUSED = f"{STATE} is not the file that was trained"
Ask = Callable[..., "tuple[int, str]"]


def asked(place: Path, environment_: dict[str, str], *words: object) -> tuple[int, str]:
    """A command's code, and all that it said."""
    told = run("ratchet", words[0], "-c", "small.yaml", *words[1:], cwd=place, env=environment_)
    assert "Traceback" not in told.stderr, told.stderr
    return told.returncode, told.stdout + told.stderr


def flipped(folder: Path) -> None:
    """Flip one bit of the trees."""
    content = bytearray((folder / STATE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / STATE).write_bytes(content)


def prepared(place: Path, store: Path | None) -> Path:
    if store:
        shutil.copy(store, place / "mlflow.db")
    (place / "small.yaml").write_text(yaml.safe_dump(TASK), encoding="utf-8")
    credit(50, seed=5).to_csv(place / "rows.csv", index=False)
    return place


@pytest.fixture(scope="module")
def tampered(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Path:
    """Where version 1 in Production is another than the one that was judged, and a model of seed 3 waits for it."""
    place = prepared(tmp_path_factory.mktemp("tampered"), migrated_store)
    ask = partial(asked, place, environment())
    assert ask("run")[0] == 0
    code, said = ask("score", "--input", "rows.csv", "--output", "good.csv")
    assert code == 0, said
    assert ask("train", "--seed", 3)[0] == 0
    for folder in place.glob("mlruns/*/models/*/artifacts"):
        flipped(folder)
    return place


@pytest.mark.parametrize(
    "words",
    [
        ("score", "--input", "rows.csv", "--output", "answers.csv"),
        ("serve", "--port", "0"),
        ("promote",),
        ("promote", "--to", "staging"),
        ("run", "--ask"),
        ("evaluate", "--seed", 3),
        ("run", "--seed", 3),
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_a_command_that_would_load_it_refuses_in_one_line_and_leaves_nothing(
    tampered: Path, words: tuple[object, ...]
) -> None:
    code, said = asked(tampered, environment(), *words)
    assert code == 1, said
    assert REFUSED in said, said
    assert len([line for line in said.splitlines() if line.startswith("ratchet: ")]) == 1
    assert not (tampered / "answers.csv").exists()
    assert not list((tampered / ".ratchet").glob("work-*"))
    client = tracking.client(Settings(f"sqlite:///{tampered / 'mlflow.db'}", "", (), tampered))
    assert [(v.number, v.stage) for v in registry.versions(client, "small")] == [(1, "Production")]


def test_a_champion_that_was_tampered_with_is_named_when_another_is_judged(tampered: Path) -> None:
    code, said = asked(tampered, environment(), "evaluate", "--seed", 4)
    assert code == 1, said
    assert f"small version 1: {REFUSED}" in said


# ---------------------------------------------------------------- through a server, with signatures


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A place whose records and models are on a server, where version 1 is signed; its people's environment."""
    place = prepared(tmp_path_factory.mktemp("signed"), None)
    (far := place / "server").mkdir()
    shutil.copy(migrated_store, far / "mlflow.db")
    port, (private, public) = free_port(), make_key(place, "ours")
    words = ["mlflow", "server", "--backend-store-uri", f"sqlite:///{far / 'mlflow.db'}", "--artifacts-destination",
             str(far / "artifacts"), "--port", str(port), "--workers", "1"]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with running(
        "mlflow server", words, far / "log", cwd=far, env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    ) as server:
        server.require(partial(answers, f"{url}/health"), 120)
        trained = environment(MLFLOW_TRACKING_URI=url, RATCHET_MODEL_KEY=str(private))
        code, said = asked(place, trained, "run")
        assert code == 0, said
        yield place, environment(MLFLOW_TRACKING_URI=url, RATCHET_MODEL_PUBLIC_KEY=str(public))


@pytest.fixture
def score(signed: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Score a file as people do who hold the public key; afterwards the server's files are as they were."""
    place, people = signed
    kept = shutil.copytree(place / "server" / "artifacts", tmp_path / "kept")

    def ask(**more: str) -> tuple[int, str]:
        return asked(place, people | more, "score", "--input", "rows.csv", "--output", str(tmp_path / "answers.csv"))

    yield ask
    shutil.rmtree(place / "server" / "artifacts")
    shutil.copytree(kept, place / "server" / "artifacts")


def only(place: Path, pattern: str) -> Path:
    (found,) = (place / "server" / "artifacts").rglob(pattern)
    return found


def test_a_signed_model_of_a_server_answers(score: Ask) -> None:
    code, said = score()
    assert code == 0, said


def test_a_model_that_was_tampered_with_on_a_server_is_refused(score: Ask, signed: tuple[Path, dict[str, str]]) -> None:
    flipped(only(signed[0], "MLmodel").parent)
    code, said = score()
    assert code == 1, said
    assert f"small version 1: {REFUSED}" in said


def test_a_file_more_on_a_server_is_refused(score: Ask, signed: tuple[Path, dict[str, str]]) -> None:
    (only(signed[0], "MLmodel").parent / "code").mkdir()
    (only(signed[0], "MLmodel").parent / "code" / "numpy.py").write_text("")
    code, said = score()
    assert code == 1, said
    assert "small version 1: code/numpy.py was not there when it was trained" in said


def test_a_missing_signature_is_refused_where_one_is_asked_for_and_not_elsewhere(
    score: Ask, signed: tuple[Path, dict[str, str]]
) -> None:
    only(signed[0], "model.sig").unlink()
    code, said = score()
    assert code == 1, said
    assert "small version 1: is not signed" in said
    assert "train again with RATCHET_MODEL_KEY" in said
    assert score(RATCHET_MODEL_PUBLIC_KEY="")[0] == 0


def test_the_signature_of_another_key_is_refused(
    score: Ask, signed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    _, another = make_key(tmp_path, "another")
    code, said = score(RATCHET_MODEL_PUBLIC_KEY=str(another))
    assert code == 1, said
    assert "small version 1: the signature model.sig does not hold" in said


def test_a_key_that_cannot_sign_ends_train_before_it_has_searched(signed: tuple[Path, dict[str, str]]) -> None:
    place, people = signed
    code, said = asked(place, people | {"RATCHET_MODEL_KEY": "nowhere.pem"}, "train", "--seed", 9)
    assert code == 1, said
    assert "RATCHET_MODEL_KEY" in said
    assert "No such file" in said
    assert "trial" not in said
