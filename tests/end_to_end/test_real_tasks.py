"""Each shipped real task, from its YAML to Production, on a slice of its data with a small budget."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Told

# task -> (rows kept of each file; None: all of them, since the two tables join, and a floor for the metric)
SLICES: dict[str, tuple[int | None, str, float]] = {
    "churn": (3000, "roc_auc", 0.75),
    "credit_approval": (None, "roc_auc", 0.5),
    "credit_default": (6000, "roc_auc", 0.7),
    "german_credit": (None, "roc_auc", 0.65),
    "reviews_en": (None, "accuracy", 0.7),
    "reviews_ko": (8000, "accuracy", 0.7),
}


def sliced(path: Path, rows: int | None, folder: Path) -> Path:
    if rows is None:
        return path
    target = folder / path.name
    with gzip.open(path, "rb") as whole, gzip.open(target, "wb", compresslevel=1) as part:
        part.writelines(line for _, line in zip(range(rows + 1), whole, strict=False))
    return target


@pytest.mark.parametrize("name", SLICES)
def test_a_shipped_task_runs_on_its_real_data(
    name: str, real: Callable[[str], Path], ratchet: Callable[..., Told], tmp_path: Path
) -> None:
    rows, metric, floor = SLICES[name]
    task: dict[str, Any] = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    for source in task["data"]["sources"].values():
        source["uris"] = [str(sliced(real(source["uris"][0]), rows, tmp_path))]
        if rows:
            del source["sha256"]
    if rows:
        task["problem"].pop("hypothesis", None)  # it is about all the rows
    task["search"] |= {"trials": 2, "folds": 2, "max_rounds": 80}
    task["gates"] = {"staging": [{"beats": "dummy"}], "production": [{"beats": "rule"}]}
    task["features"] = task.get("features", {}) | (
        {"use": [str(ROOT / "configs" / use) for use in task["features"]["use"]]}
        if "use" in task.get("features", {})
        else {}
    )
    config = tmp_path / f"{name}.yaml"
    config.write_text(yaml.safe_dump(task, allow_unicode=True), encoding="utf-8")
    told = ratchet("run", "-c", config, "--json")
    assert told.code == 0, told.out + told.err
    assert told.json["stage"] == "Production"
    assert told.json["metrics"][metric] >= floor


def test_the_twins_of_a_random_split_are_reported(
    real: Callable[[str], Path], ratchet: Callable[..., Told], tmp_path: Path
) -> None:
    task: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "credit_approval.yaml").read_text(encoding="utf-8"))
    real("credit_approval_application_record.csv.gz")
    found = {}
    for by, split in (("group", task["split"]), ("hash", {"by": "hash"})):
        config = tmp_path / f"{by}.yaml"
        config.write_text(yaml.safe_dump(task | {"split": split}, allow_unicode=True), encoding="utf-8")
        told = ratchet("preprocess", "-c", config, "--json")
        assert told.code == 0, told.err
        found[by] = [finding for finding in told.json["findings"] if "twins on another side" in finding]
    assert not found["group"]
    assert found["hash"]
