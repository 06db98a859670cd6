"""What a task and the machine may say: defaults, bounds, and parts that have to agree."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from ratchet.config import METRICS, SEARCH_METRIC, Gate, Search, Task, override

SHARES = st.floats(0.01, 1)


def task(**sections: Any) -> Task:
    data = {"sources": {"rows": {"uris": ["rows.csv"]}}, "target": "left"} | sections.pop("data", {})
    return Task.model_validate({"name": "small", "data": data} | sections)


def fault(**sections: Any) -> str:
    """Return what is said of the one thing that is wrong."""
    with pytest.raises(ValidationError) as caught:
        task(**sections)
    (found,) = caught.value.errors()
    return str(found["msg"])


def two_sources(**data: Any) -> dict[str, Any]:
    return {"sources": {"old": {"uris": ["old.csv"]}, "new": {"uris": ["new.csv"]}}} | data


# ---------------------------------------------------------------- defaults


def test_a_name_and_the_data_are_all_that_a_task_needs() -> None:
    small = task()
    assert (small.split.by, small.split.train, small.split.valid, small.split.test) == ("hash", 0.7, 0.15, 0.15)
    assert small.families == ("linear", "xgboost")
    assert small.search.trials == 40
    assert (small.decision.cost.false_positive, small.decision.cost.false_negative) == (1, 1)
    gates = small.gates.staging + small.gates.production
    assert [gate.beats or gate.keeps_up for gate in gates] == ["dummy", "dummy", "champion"]


def test_a_text_is_left_to_the_linear_model_unless_the_task_says_more() -> None:
    assert task(features={"kind": "text"}).families == ("linear",)
    assert task(features={"kind": "text"}, search={"models": ["dummy", "linear"]}).families == ("dummy", "linear")


def test_a_task_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        task().search.trials = 1


def test_every_kind_of_task_is_tuned_on_a_metric_that_is_defined_for_it() -> None:
    for kind, name in SEARCH_METRIC.items():
        assert kind in METRICS[name].kinds


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("section", "key", "lowest", "highest"),
    [
        ("search", "trials", 1, 100_000),
        ("search", "folds", 2, 20),
        ("search", "jobs", 1, 64),
        ("search", "seed", 0, 2**31 - 1),
        ("search", "max_rounds", 1, 20_000),
        ("features", "hash_bits", 10, 24),
        ("features", "max_levels", 2, 10_000),
    ],
)
def test_a_whole_number_is_accepted_up_to_its_bounds_and_refused_past_them(
    section: str, key: str, lowest: int, highest: int
) -> None:
    for value in (lowest, highest):
        assert getattr(getattr(task(**{section: {key: value}}), section), key) == value
    assert f"greater than or equal to {lowest}" in fault(**{section: {key: lowest - 1}})
    assert f"less than or equal to {highest}" in fault(**{section: {key: highest + 1}})


@pytest.mark.parametrize("timeout_s", [0, -1, 604_801, math.nan, math.inf])
def test_a_search_that_never_begins_or_never_ends_is_refused(timeout_s: float) -> None:
    assert fault(search={"timeout_s": timeout_s})


@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf])
def test_a_bound_that_no_figure_can_meet_or_miss_is_refused(bound: float) -> None:
    assert "finite" in fault(gates={"staging": [{"metric": "f1", "minimum": bound}]})
    assert "finite" in fault(problem={"hypothesis": {"metric": "f1", "minimum": bound}})


@pytest.mark.parametrize("name", ["churn", "Churn_2-b", "7", "x" * 63])
def test_a_task_may_be_named_with_letters_digits_and_dashes(name: str) -> None:
    assert Task.model_validate(task().model_dump() | {"name": name}).name == name


@pytest.mark.parametrize("name", ["", "-x", "_x", "a b", "a/b", "a.b", "../x", "고객", "x" * 64, "a\n"])
def test_a_name_that_would_break_a_path_or_an_address_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Task.model_validate(task().model_dump() | {"name": name})


@pytest.mark.parametrize("lengths", [[0, 2], [3, 2], [1, 9]])
def test_ngram_lengths_run_from_one_to_eight_lowest_first(lengths: list[int]) -> None:
    assert f"n-gram lengths {lengths} are not within 1 to 8" in fault(features={"kind": "text", "words": lengths})


def test_a_text_without_any_ngrams_is_refused() -> None:
    assert "a text needs one of them" in fault(features={"kind": "text", "words": None, "characters": None})


def test_a_digest_that_is_no_sha256_is_refused() -> None:
    assert "match pattern" in fault(data={"sources": {"rows": {"uris": ["rows.csv"], "sha256": ["abc"]}}})


# ---------------------------------------------------------------- shares


@given(st.tuples(SHARES, SHARES, SHARES))
def test_any_three_shares_that_add_up_to_one_are_accepted(parts: tuple[float, float, float]) -> None:
    train, valid, test = (part / sum(parts) for part in parts)
    split = task(split={"by": "hash", "train": train, "valid": valid, "test": test}).split
    assert (split.train, split.valid, split.test) == (train, valid, test)


@given(st.floats(0.001, 0.998), st.floats(0.001, 0.998), st.floats(0.001, 0.998))
def test_shares_that_do_not_add_up_are_refused_with_their_sum(train: float, valid: float, test: float) -> None:
    total = train + valid + test
    assume(abs(total - 1) > 1e-6)
    for by in ({"by": "hash"}, {"by": "time", "column": "day"}, {"by": "group", "columns": ["home"]}):
        said = fault(split={"train": train, "valid": valid, "test": test} | by)
        assert f"train + valid + test is {total:g}; it has to be 1" in said


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, math.nan])
def test_no_side_may_be_empty_or_everything(share: float) -> None:
    assert fault(split={"by": "source", "train": ["rows"], "test": ["rows"], "valid": share})


def test_shares_without_a_kind_are_a_split_by_hash_as_the_reference_says() -> None:
    split = task(split={"train": 0.6, "valid": 0.2, "test": 0.2}).split
    assert (split.by, split.train) == ("hash", 0.6)


# ---------------------------------------------------------------- metrics, gates, formulas


@pytest.mark.parametrize(
    "sections",
    [
        {"search": {"metric": "roc_acu"}},
        {"gates": {"production": [{"metric": "roc_acu", "minimum": 0.5}]}},
        {"problem": {"hypothesis": {"metric": "roc_acu", "minimum": 0.5}}},
    ],
)
def test_a_mistyped_metric_is_named_with_the_nearest_and_all_others(sections: dict[str, Any]) -> None:
    said = fault(**sections)
    assert "unknown metric 'roc_acu'; did you mean 'roc_auc'?" in said
    assert all(name in said for name in METRICS)


@pytest.mark.parametrize("bound", ["minimum", "maximum", "max_drop", "min_gain"])
def test_a_gate_is_any_metric_with_one_bound(bound: str) -> None:
    for metric in METRICS:
        gate = Gate.model_validate({"metric": metric, bound: 0.1})
        assert (gate.metric, getattr(gate, bound)) == (metric, 0.1)


@pytest.mark.parametrize("rival", ["rule", "dummy"])
def test_a_gate_may_be_a_rival_to_beat(rival: str) -> None:
    assert Gate.model_validate({"beats": rival}).beats == rival


@pytest.mark.parametrize(
    "gate",
    [
        {},
        {"metric": "f1"},
        {"minimum": 0.5},
        {"metric": "f1", "minimum": 0.5, "maximum": 0.9},
        {"metric": "f1", "max_drop": 0.1, "min_gain": 0.1},
        {"beats": "rule", "metric": "f1"},
        {"beats": "rule", "minimum": 0.5},
        {"beats": "rule", "metric": "f1", "minimum": 0.5},
    ],
)
def test_a_gate_with_no_bound_or_two_is_refused(gate: dict[str, Any]) -> None:
    assert "{metric: NAME} with one of minimum, maximum, max_drop, min_gain" in fault(gates={"staging": [gate]})


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ({"metric": "roc_auc", "minimum": 0.5, "by": "SEX"}, "by does not go with metric"),
        ({"fairness": "demographic_parity_ratio", "minimum": 0.8}, "fairness needs by"),
        (
            {"fairness": "demografic_parity_ratio", "by": "SEX", "minimum": 0.8},
            "did you mean 'demographic_parity_ratio'",
        ),
        ({"fairness": "demographic_parity_ratio", "by": "SEX", "max_drop": 0.1}, "a gate is one of"),
        ({"metric": "f1", "minimum": 0.5, "against": "rule"}, "against goes with max_drop or min_gain"),
        ({"metric": "f1", "max_gap": 0.1, "slices": ["SEX"]}, "max_gap is for all rows"),
        ({"metric": "f1", "minimum": 0.1, "min_rows": 50}, "min_rows goes with slices, worst or fairness"),
        ({"metric": "f1", "minimum": 0.1, "slices": ["AGE >"]}, "'AGE >'"),
        ({"latency": "one_row"}, "a gate is one of"),
        ({"size_mb": 5, "point": True}, "point does not go with size_mb"),
        ({"size_mb": 5, "age_days": 3}, "a gate is one of"),
        ({"metric": "roc_auc", "minimum": 1.5}, "minimum: 1.5 is never met; roc_auc is 1 at the most"),
        ({"metric": "log_loss", "maximum": -0.1}, "maximum: -0.1 is never met; log_loss is 0 at the least"),
        ({"fairness": "equalized_odds_ratio", "by": "SEX", "minimum": 2}, "equalized_odds_ratio is 1 at the most"),
    ],
)
def test_a_gate_whose_parts_do_not_go_together_is_told(gate: dict[str, Any], told: str) -> None:
    assert told in fault(gates={"staging": [gate]})


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "cost", "against": "rule", "min_gain": 0.1},
        {"metric": "roc_auc", "minimum": 0.7, "slices": ["SEX", "AGE // 10"], "worst": 2, "min_rows": 50},
        {"beats": "rule", "slices": ["`a.b`"], "point": True},
        {"fairness": "equalized_odds_difference", "by": "SEX", "maximum": 0.1},
        {"metric": "roc_auc", "max_gap": 0.05},
        {"latency": "thousand_rows", "max_ratio": 1.5},
        {"size_mb": 30},
        {"age_days": 365},
        {"serves": "uv"},
    ],
)
def test_a_gate_that_was_read_can_be_written_and_read_again(gate: dict[str, Any]) -> None:
    found = Gate.model_validate(gate)
    assert Gate.model_validate(found.model_dump(mode="json")) == found


def test_a_bound_of_zero_is_a_bound() -> None:
    assert Gate(metric="cost", max_drop=0).max_drop == 0


@pytest.mark.parametrize("bound", ["max_drop", "min_gain"])
def test_a_drop_or_a_gain_is_no_negative_number(bound: str) -> None:
    assert "greater than or equal to 0" in fault(gates={"staging": [{"metric": "f1", bound: -0.1}]})


@pytest.mark.parametrize("formula", ["__import__('os').system('ls')", "a.b > 1", "lambda: 1", "a >", "", "a = 1"])
def test_a_rule_or_a_derived_column_outside_the_grammar_is_refused(formula: str) -> None:
    assert "character" in fault(problem={"rule": formula})
    assert "character" in fault(features={"derive": {"new": formula}})


# ---------------------------------------------------------------- parts that have to agree


def test_several_sources_need_a_query_that_joins_them() -> None:
    assert "several sources need a query" in fault(data=two_sources())
    assert task(data=two_sources(query="SELECT * FROM old JOIN new USING (id)")).data.query


def test_a_split_by_source_needs_no_query_and_refuses_one() -> None:
    split = {"by": "source", "train": ["old"], "test": ["new"]}
    assert task(data=two_sources(), split=split).split.by == "source"
    assert "leave the query out" in fault(data=two_sources(query="SELECT * FROM old"), split=split)


def test_a_split_by_a_source_that_is_not_there_names_the_nearest() -> None:
    said = fault(data=two_sources(), split={"by": "source", "train": ["odl"], "test": ["new"]})
    assert "split: no source 'odl'; did you mean 'old'?" in said


def test_a_source_on_both_sides_of_the_split_is_refused() -> None:
    said = fault(data=two_sources(), split={"by": "source", "train": ["old", "new"], "test": ["new"]})
    assert "source 'new' is in train and in test" in said


@pytest.mark.parametrize("family", ["forest", "xgboost"])
def test_trees_are_refused_on_texts(family: str) -> None:
    said = fault(features={"kind": "text"}, search={"models": ["linear", family]})
    assert f"search.models: {family} is for tables; a text takes linear and dummy" in said


@pytest.mark.parametrize("value", [True, False])
def test_a_class_that_yaml_read_as_true_is_refused_with_the_mend(value: bool) -> None:
    assert 'write it in quotes: "Yes"' in fault(data={"positive": value})


def test_a_date_that_yaml_reads_as_one_names_a_side_as_it_is_written() -> None:
    import yaml

    side = yaml.safe_load("{by: column, column: at, train: [2024-01-31, 2024-02-29 10:00:00, 2022.0], test: [2.5]}")
    split = task(split=side).split
    assert (split.train, split.test) == (("2024-01-31", "2024-02-29 10:00:00", 2022), (2.5,))


def test_a_value_names_one_side_only() -> None:
    with pytest.raises(ValidationError, match="'2024' is in train and in test"):
        task(split={"by": "column", "column": "year", "train": [2023, 2024], "test": ["2024"]})


def test_a_side_of_the_split_that_yaml_read_as_true_is_refused_with_the_mend() -> None:
    with pytest.raises(ValidationError) as caught:
        task(split={"by": "column", "column": "in_train", "train": [True], "test": [False]})
    assert 'write it in quotes: "Yes"' in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("value", ["Yes", "1", 1, 0, 0.5])
def test_the_positive_class_keeps_the_type_in_which_it_is_written(value: object) -> None:
    read = task(data={"positive": value}).data.positive
    assert (read, type(read)) == (value, type(value))


# ---------------------------------------------------------------- override


def test_an_override_puts_in_what_is_given_and_leaves_the_rest() -> None:
    search = override(Search(trials=5, folds=3), trials=9, jobs=None)
    assert (search.trials, search.folds, search.jobs) == (9, 3, 1)


def test_an_override_is_held_to_the_same_bounds_as_the_file() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        override(Search(), trials=0)
    with pytest.raises(ValidationError, match="trails"):
        override(Search(), trails=3)


def test_each_gate_of_the_page_on_gates_is_one() -> None:
    page = (Path(__file__).parents[1] / "docs" / "gates.md").read_text(encoding="utf-8")
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    assert len(shown) > 12
    for gate in shown:
        Gate.model_validate(gate)
