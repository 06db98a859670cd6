"""Models that several end-to-end tests serve: trained once per worker, on small tasks."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.end_to_end.commands import environment, run, start

KOREAN = {
    1: [
        "정말 재미있는 영화였어요",
        "최고의 작품 강추합니다",
        "배우들 연기가 훌륭했다 👍",
        "또 보고 싶은 영화",
        "감동적이고 아름답다",
    ],
    0: ["시간이 아까운 영화", "지루하고 재미없다 😡", "돈 낭비 최악이다", "스토리가 엉망이네요", "다시는 안 본다"],
}


@dataclass(frozen=True)
class Served:
    """A served model: its URL, its task file and the folder in which everything lies."""

    url: str
    config: Path
    place: Path

    def ask(self, rows: list[dict[str, Any]], **params: Any) -> list[Any]:
        """Return the answers to rows, sent as JSON that may hold NaN, as MLflow's own client does."""
        told = {"params": params} if params else {}
        answer = requests.post(
            f"{self.url}/invocations",
            data=json.dumps({"dataframe_records": rows, **told}),
            headers={"Content-Type": "application/json"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["predictions"]
        return found


def _served(place: Path, store: Path, task: dict[str, Any]) -> Iterator[Served]:
    place.mkdir(exist_ok=True)
    shutil.copy(store, place / "mlflow.db")
    config = place / f"{task['name']}.yaml"
    config.write_text(yaml.safe_dump(task, allow_unicode=True), encoding="utf-8")
    env = environment(MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false")
    made = run("ratchet", "run", "-c", config, "--json", cwd=place, env=env)
    assert made.returncode == 0, made.stdout + made.stderr
    server = start("ratchet", "serve", "-c", config, "--port", "0", "--json", cwd=place, env=env)
    try:
        assert server.stdout
        yield Served(json.loads(server.stdout.readline())["url"], config, place)
    finally:
        server.terminate()
        assert server.wait(30) == 0


@pytest.fixture(scope="module")
def table_model(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[Served]:
    """Applicants, with a derived column."""
    task = {
        "name": "applicants",
        "data": {
            "sources": {"applicants": {"uris": ["synthetic://credit?rows=1500&seed=3"]}},
            "target": "defaulted", "positive": 1, "id": "applicant_id",
            "drop": ["applied_at", "probability_of_default"],
        },
        "features": {"derive": {"debt": "utilisation * requested_limit"}},
        "reasons": {"late_payments": "Record of late payments", "debt": "Size of the debt"},
        "search": {"models": ["xgboost"], "trials": 2, "folds": 2, "max_rounds": 40},
    }  # fmt: skip
    yield from _served(tmp_path_factory.mktemp("table"), migrated_store, task)


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory, migrated_store: Path) -> Iterator[Served]:
    """Korean reviews."""
    place = tmp_path_factory.mktemp("text")
    lines = [f"{text} {n}\t{label}" for n in range(30) for label, texts in KOREAN.items() for text in texts]
    (place / "reviews.tsv").write_text("review\tliked\n" + "\n".join(lines) + "\n", encoding="utf-8")
    task = {
        "name": "reviews",
        "data": {"sources": {"reviews": {"uris": [str(place / "reviews.tsv")]}}, "target": "liked", "positive": 1},
        "features": {"kind": "text", "hash_bits": 14},
        "search": {"trials": 2, "folds": 2, "metric": "accuracy"},
    }
    yield from _served(place, migrated_store, task)
