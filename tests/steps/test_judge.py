"""Gates on a real store: refused by each kind with its figures, opened after the mend, explained without a move."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ratchet.adapters import records, registry, tracking
from ratchet.config import METRICS
from ratchet.settings import Settings
from ratchet.steps.probe import end_of_period, ratio_of_medians
from tests.conftest import Told

# What is refused, by which verdict, a word of its sentence, and what opens.
BESIDE = {"metric": "roc_auc", "against": "dummy"}
SLICED = {"metric": "roc_auc", "slices": ["gender", "age > 40"], "min_rows": 25}
KINDS: dict[str, tuple[dict[str, Any], str, str, dict[str, Any]]] = {
    "minimum": ({"metric": "roc_auc", "minimum": 0.99}, "fail", "roc_auc 0.", {"metric": "roc_auc", "minimum": 0.6}),
    "maximum": ({"metric": "log_loss", "maximum": 0.01}, "fail", "> 0.0100", {"metric": "log_loss", "maximum": 0.9}),
    "calibration": ({"metric": "ece", "maximum": 0.0001}, "fail", "ece", {"metric": "ece", "maximum": 0.3}),
    "cost": ({"metric": "cost", "maximum": 0.001}, "fail", "cost", {"metric": "cost", "maximum": 0.6}),
    "max_drop": ({"metric": "roc_auc", "max_drop": 0.001}, "insufficient", "champion", {"metric": "roc_auc", "max_drop": 0.3}),
    "min_gain": ({"metric": "roc_auc", "min_gain": 0.3}, "fail", "champion", {"metric": "roc_auc", "max_drop": 0.3}),
    "against": ({**BESIDE, "min_gain": 0.49}, "fail", "dummy 0.5000", {**BESIDE, "min_gain": 0.05}),
    "max_gap": ({"metric": "log_loss", "max_gap": 0.0}, "", "train to test", {"metric": "roc_auc", "max_gap": 0.5}),
    "slices": ({**SLICED, "minimum": 0.95}, "fail", "where", {**SLICED, "minimum": 0.3, "slices": ["age > 40"]}),
    "small slices": ({**SLICED, "minimum": 0.4, "min_rows": 5_000}, "insufficient", "fewer than min_rows", {**SLICED, "minimum": 0.3, "slices": ["age > 40"]}),
    "worst": ({"metric": "accuracy", "minimum": 0.99, "worst": 2, "min_rows": 30}, "fail", "slices)", {"metric": "accuracy", "minimum": 0.2, "worst": 1}),
    "fairness": ({"fairness": "demographic_parity_ratio", "by": "age > 40", "minimum": 0.999, "min_rows": 20}, "", "2 groups", {"fairness": "demographic_parity_difference", "by": "age > 40", "maximum": 0.9, "min_rows": 20}),
    "latency": ({"latency": "one_row", "max_ratio": 0.01}, "fail", "champion's", {"latency": "one_row", "max_ratio": 50}),
    "size_mb": ({"size_mb": 0.0001}, "fail", "MB", {"size_mb": 50}),
    "age_days": ({"age_days": 30}, "insufficient", "data.collected.period", {"age_days": 30}),
    "beats": ({"beats": "rule"}, "", "of the rule", {"beats": "dummy"}),
}  # fmt: skip


@pytest.fixture
def champion(ratchet: Callable[..., Told], task_file: Callable[..., Path]) -> Path:
    """A task whose version 1 is in Production."""
    config = task_file()
    assert ratchet("run", "-c", config, "--json").code == 0
    return config


def numbers() -> list[tuple[int, str]]:
    client = tracking.client(Settings.from_env())
    return [(version.number, version.stage) for version in registry.versions(client, "small")]


def plain(gates: list[Any]) -> Any:
    """Return gates that share no part: YAML would write that once and point at it."""
    return json.loads(json.dumps(gates))


def dry(ratchet: Callable[..., Told], config: Path) -> Told:
    return ratchet("promote", "-c", config, "--seed", 8, "--dry-run", "--json")


def with_period(config: Path, period: str) -> dict[str, Any]:
    """The data of a task, with when they were collected."""
    data: dict[str, Any] = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]
    return data | {"collected": {"period": period}}


def test_each_kind_of_gate_refuses_with_its_figures_and_opens_after_the_mend(
    champion: Path, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    refused, mended = (plain([kind[place] for kind in KINDS.values()]) for place in (0, 3))
    unbeaten = {"problem": {"rule": "probability_of_default > 0.5"}}
    hard = unbeaten | {"gates": {"staging": [], "production": refused}}
    told = dry(ratchet, task_file(**hard))
    assert told.code == 1
    asked = [said for said in told.json["gates"] if said["kind"] != "leak"]  # which every task has
    for (kind, (_, verdict, words, _)), said in zip(KINDS.items(), asked, strict=True):
        assert said["verdict"] == verdict or (not verdict and said["verdict"] != "pass"), (kind, said)
        assert words in said["sentence"], kind
        assert said["stage"] == "Production"
        if kind not in ("age_days", "small slices"):
            assert said["figure"] is not None and said["low"] <= said["figure"] <= said["high"], (kind, said)
    told_since_when = with_period(champion, f"2026-01/{datetime.now(UTC):%Y-%m-%d}")
    sections = {"data": told_since_when, "gates": {"staging": [], "production": mended}}
    opened = dry(ratchet, task_file(**sections))
    assert opened.code == 0, [said for said in opened.json["gates"] if said["verdict"] != "pass"]
    assert numbers() == [(1, "Production")]
    again = dry(ratchet, task_file(**hard))
    steady = [said for said in again.json["gates"] if said["kind"] != "latency"]
    assert steady == [said for said in told.json["gates"] if said["kind"] != "latency"]
    assert ratchet("promote", "-c", task_file(**sections), "--seed", 8, "--json").code == 0
    assert numbers() == [(2, "Production"), (1, "Archived")]


def test_a_dry_run_says_how_many_more_rows_would_tell_and_when_none_would(
    champion: Path, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    figure = ratchet("evaluate", "-c", champion, "--seed", 8, "--json").json["metrics"]["roc_auc"]
    gates = {"staging": [{"metric": "roc_auc", "minimum": round(figure - 0.01, 4)},
                         {"metric": "roc_auc", "minimum": round(figure + 0.01, 4)}]}  # fmt: skip
    told = ratchet("promote", "-c", task_file(gates=gates), "--seed", 8, "--dry-run", "--to", "staging")
    assert told.code == 1
    assert "insufficient" in told.out
    first, second = dry(ratchet, task_file(gates=gates)).json["gates"][:2]
    assert first["more_rows"] > first["rows"]
    assert "more labelled rows" in first["sentence"]
    assert second["more_rows"] is None
    assert "no number of rows would open it" in second["sentence"]
    assert numbers() == [(1, "Production")]


def test_a_slice_that_does_not_fit_the_rows_is_told_before_the_search_begins(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    gates = {"production": [{"beats": "dummy"}, {"metric": "roc_auc", "minimum": 0.6, "slices": ["agee // 10"]}]}
    told = ratchet("run", "-c", task_file(gates=gates), "--json")
    assert told.code == 1
    assert "gates.production[1].slices[0]: in 'agee // 10'" in told.json["error"]
    assert "did you mean 'age'?" in told.json["error"]


def test_a_model_is_served_for_real_before_its_stage_and_must_answer_as_recorded_to_the_last_bit(
    ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    config = task_file(gates={"staging": [{"serves": "local"}], "production": []})
    assert ratchet("evaluate", "-c", config, "--json").code == 0
    client = tracking.client(Settings.from_env())
    file = records.fetch(client, records.last_finished(client, "small", "evaluate") or "", "evaluation.json")
    whole = file.read_text(encoding="utf-8")
    other = json.loads(whole)
    other["answers"][1]["probability"] = math.nextafter(other["answers"][1]["probability"], 1)
    file.write_text(json.dumps(other), encoding="utf-8")
    told = ratchet("promote", "-c", config, "--to", "staging", "--json")
    assert told.code == 1
    assert "answers sample row 2 with" in told.json["error"]
    file.write_text(whole, encoding="utf-8")
    found, _ = ratchet("promote", "-c", config, "--to", "staging", "--json").json["gates"]
    assert (found["verdict"], found["rows"]) == ("pass", 5)
    assert "5 sample rows as evaluate recorded" in found["sentence"]


@pytest.mark.parametrize(
    ("text", "end"),
    [("2005-04/2005-09", "2005-09-30"), ("1973/1975", "1975-12-31"), ("2024-03-05", "2024-03-05"),
     ("until 2005", None), ("unknown", None)],
)  # fmt: skip
def test_the_end_of_a_stated_period_is_its_last_day(text: str, end: str | None) -> None:
    found = end_of_period(text)
    assert (found and f"{found:%Y-%m-%d}") == end


def test_twice_as_slow_is_seen_and_equally_fast_is_not_called_slower() -> None:
    times = np.random.default_rng(1).lognormal(0, 0.3, (200, 2))
    assert ratio_of_medians(times, 1).low < 1 < ratio_of_medians(times, 1).high
    assert ratio_of_medians(times * [2, 1], 1).low > 1.5


@pytest.mark.parametrize(
    ("data", "kind", "column"), [("wine", "multiclass", "alcohol"), ("diabetes", "regression", "bmi")]
)
def test_every_metric_of_a_kind_of_target_can_be_gated(
    data: str, kind: str, column: str, ratchet: Callable[..., Told], task_file: Callable[..., Path]
) -> None:
    gates: list[Any] = [
        {"beats": "dummy"},
        {"beats": "dummy", "slices": [f"{column} > 0"], "min_rows": 10, "point": True},
    ]
    for name in (name for name, metric in METRICS.items() if kind in metric.kinds):
        gates.append({"metric": name, **({"minimum": -1} if METRICS[name].higher_is_better else {"maximum": 1e6})})
        gates += [{"metric": name, "against": "dummy", "max_drop": 0.05}, {"metric": name, "max_gap": 1000}]
    config = task_file(
        data={"sources": {"rows": {"uris": [f"sklearn://{data}"]}}, "target": "target"},
        split={"by": "hash", "train": 0.4, "valid": 0.2, "test": 0.4},
        search={"models": ["linear"], "trials": 1, "folds": 2},
        gates={"staging": gates, "production": [{"fairness": "demographic_parity_ratio", "by": column, "minimum": 1}]},
    )
    told = ratchet("promote", "-c", config, "--to", "staging", "--json")
    assert told.code == 1
    assert f"gates.production: fairness is told of two classes; the target is {kind}" in told.json["error"]
    task = yaml.safe_load(config.read_text(encoding="utf-8"))
    config = task_file(**task | {"gates": {"staging": gates, "production": []}})
    told = ratchet("promote", "-c", config, "--to", "staging", "--dry-run", "--json")
    assert [said for said in told.json["gates"] if said["verdict"] != "pass"] == []
    assert len(told.json["gates"]) == len([*gates, "leak"])
