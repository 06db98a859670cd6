"""From a YAML file to a task, or to one list of all that is wrong with it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ratchet.config import Task
from ratchet.errors import ConfigError
from ratchet.taskfile import MAX_BYTES, load

SMALL = "name: small\ndata:\n  sources: {rows: {uris: [rows.csv]}}\n  target: left\n"
Write = Callable[..., Path]
anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into the working folder, so that messages name it as the user did."""
    monkeypatch.chdir(tmp_path)

    def put(text: str, name: str = "task.yaml") -> Path:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8", newline="")
        return Path(name)

    return put


def faults(path: Path | str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value).splitlines()


def with_task(**sections: Any) -> str:
    return yaml.safe_dump(yaml.safe_load(SMALL) | sections, allow_unicode=True)


# ---------------------------------------------------------------- what is right


def test_a_file_becomes_a_task(write: Write) -> None:
    task = load(write(SMALL))
    assert (task.name, task.data.target, task.data.sources["rows"].uris) == ("small", "left", ("rows.csv",))


def test_a_file_may_begin_with_the_mark_that_windows_editors_put_there(write: Write) -> None:
    assert load(write("\ufeff" + SMALL)).name == "small"


def test_a_file_may_hold_korean(write: Write) -> None:
    assert load(write(SMALL.replace("left", "이탈"))).data.target == "이탈"


def test_what_a_task_holds_is_read_back_as_it_was(write: Write) -> None:
    task = load(write(with_task(split={"by": "time", "column": "day"}, gates={"staging": [{"beats": "dummy"}]})))
    assert Task.model_validate(task.model_dump(mode="json")) == task


# ---------------------------------------------------------------- all faults at once


def test_all_faults_come_at_once_a_line_each_with_file_field_and_hint(write: Write) -> None:
    text = with_task(
        search={"trials": 0, "folds": "many", "metric": "rocauc"},
        split={"by": "hash", "train": 0.9},
        gates={"staging": [{"metric": "f1"}], "production": ["dummy"]},
    ).replace("name: small\n", "")
    assert faults(write(text)) == [
        "task.yaml: name: missing; it has to be given",
        "task.yaml: split: train + valid + test is 1.2; it has to be 1",
        "task.yaml: search.trials: input should be greater than or equal to 1, not 0",
        "task.yaml: search.folds: input should be a valid integer, unable to parse string as an integer, not 'many'",
        "task.yaml: search.metric: unknown metric 'rocauc'; did you mean 'roc_auc'?; one of roc_auc, average_precision,"
        " accuracy, balanced_accuracy, f1, precision, recall, log_loss, brier, ece, cost, mae, rmse, r2",
        "task.yaml: gates.staging.0: a gate is one of {beats: rule}, {metric: NAME} with one of minimum, maximum,"
        " max_drop, min_gain, max_gap, {fairness: NAME, by: COLUMN} with minimum or maximum, {latency: one_row,"
        " max_ratio: 1.5}, {size_mb: 30}, {age_days: 365}, {serves: uv}, {keeps_up: champion}",
        "task.yaml: gates.production.0: input should be a mapping, not 'dummy'",
    ]


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ({"serach": {}}, "serach: unknown key; did you mean 'search'?"),
        ({"search": {"trails": 3}}, "search.trails: unknown key; did you mean 'trials'?"),
        ({"decision": {"cost": {"false_positives": 3}}},
         "decision.cost.false_positives: unknown key; did you mean 'false_positive'?"),
        ({"split": {"by": "time", "colum": "day", "column": "day"}},
         "split.colum: unknown key; did you mean 'column'?"),
        ({"split": {"by": "group", "columns": ["home"], "slat": "x"}},
         "split.slat: unknown key; did you mean 'salt'?"),
        ({"data": {"target": "left", "sources": {"rows": {"uris": ["x.csv"], "sha265": []}}}},
         "data.sources.rows.sha265: unknown key; did you mean 'sha256'?"),
        ({"data": {"target": "left", "sources": {"rows": {"uris": ["x.csv"], "read": {"seperator": ","}}}}},
         "data.sources.rows.read.seperator: unknown key; known here: dates, encoding, header, na, names, numbers,"
         " quote, sep, sheet, types"),
        ({"gates": {"staging": [{"metric": "f1", "minimum": 0}, {"metric": "f1", "minimun": 0.5}]}},
         "gates.staging.1.minimun: unknown key; did you mean 'minimum'?"),
        ({"problem": {"hypothesis": {"metrik": "f1", "metric": "f1", "minimum": 0}}},
         "problem.hypothesis.metrik: unknown key; did you mean 'metric'?"),
    ],
)  # fmt: skip
def test_a_mistyped_key_is_named_with_the_nearest_that_is_known_there(
    write: Write, sections: dict[str, Any], fault: str
) -> None:
    assert f"task.yaml: {fault}" in faults(write(with_task(**sections)))


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ({"search": {"space": {"lgbm": {"depth": [1, 2]}}}}, "search.space.lgbm: input should be 'dummy', 'linear'"),
        ({"split": {"by": "hsah"}}, "split.by: no split 'hsah'; did you mean 'hash'?"),
        ({"split": {"by": "source", "train": ["rows"]}}, "split.test: missing; it has to be given"),
        ({"split": {"by": "group", "columns": []}}, "split.columns: list should have at least 1 item"),
        ({"features": {"derive": {"x": "a ="}}}, "features.derive.x: in 'a =', character 3"),
        ({"features": None}, "features: input should be a mapping"),
        ({"features": {"numeric": "age"}}, "features.numeric: input should be a list, as in [one, two], not 'age'"),
        ({"name": False}, "name: input should be a text, not False; write it in quotes"),
        (
            {"data": {"target": "left", "id": "left", "sources": {"rows": {"uris": ["x.csv"]}}}},
            "data: id names 'left', which is the target",
        ),
        ({"data": {"target": "left", "sources": {"a b": {"uris": ["x.csv"]}}}}, "data.sources.a b: string should"),
        ({"two\nlines": 1}, r"'two\nlines': unknown key"),
    ],
)
def test_the_place_of_a_fault_is_told_as_it_stands_in_the_file(
    write: Write, sections: dict[str, Any], fault: str
) -> None:
    (line,) = faults(write(with_task(**sections)))
    assert line.startswith(f"task.yaml: {fault}")


def test_a_class_that_yaml_reads_as_true_is_told_with_the_mend(write: Write) -> None:
    (line,) = faults(write(SMALL + "  positive: Yes\n"))
    assert line.startswith("task.yaml: data.positive: YAML reads Yes")
    assert line.endswith('write it in quotes: "Yes"')
    assert load(write(SMALL + '  positive: "Yes"\n')).data.positive == "Yes"


# ---------------------------------------------------------------- what is not YAML, and the mend that is offered


ASKED = [  # a line of a task, and what was meant by it
    ("problem: {question: Is it so?}", "Is it so?"),
    ("problem: {question: Is it so, or not?, kind: binary}", "Is it so, or not?"),
    ("problem: {question: 50 % : yes}", "50 % : yes"),
    ("problem: {question: Which of them is #3}", "Which of them is #3"),
    ("problem: {question: “Is it so?”}", "Is it so?"),
    ("problem: {question: [a, b] or c?}", "[a, b] or c?"),
    ("problem: {question: \"a\" or 'b'?}", "\"a\" or 'b'?"),
    ("problem:\n  question: a: b", "a: b"),
    ("problem:\n  question: 50 % : yes   # a comment", "50 % : yes"),
    ("problem:\n  question: Which of them is #3?", "Which of them is #3?"),
    ("problem:\n  question: ‘Is it so’", "Is it so"),
    ("problem:\n  question: “그런가요”", "그런가요"),
    ("problem:\n  question: 「그런가요」", "그런가요"),
    ("problem:\n  question: 'it's so'", "it's so"),
    ('problem:\n  question: "say "x" now"', 'say "x" now'),
    ('problem:\n  question: "Is it so?', "Is it so?"),
    ("problem:\n  question: \\d+ 'or' \\w: x", "\\d+ 'or' \\w: x"),
    *((f"problem:\n  question: {mark}x y", f"{mark}x y") for mark in ("@", "%", "*", "!", "`", "> ", "| ", "- ", "? ")),
    ("problem:\n  question: 2024-13-45", "2024-13-45"),
    ("problem:\n\tquestion: yes, it is", "yes, it is"),
    ("problem:\n\u00a0\u00a0question: yes, it is", "yes, it is"),
    ("problem:\n\u3000question: yes, it is", "yes, it is"),
    ("problem:\n kind: binary\n  question: yes, it is", "yes, it is"),
    ("problem:\n  kind: binary\n  question:so", "so"),
    ("problem:\n  kind: binary\n  question：so", "so"),
]


@pytest.mark.parametrize(("lines", "meant"), ASKED)
def test_a_line_that_is_not_yaml_is_shown_as_it_should_be_written_and_then_read(
    write: Write, lines: str, meant: str
) -> None:
    text = SMALL + lines + "\n"
    (fault,) = faults(write(text))
    match = re.match(r"task\.yaml:(\d+): not YAML: .*(?:quotes|key|tabs|above): (.*)$", fault)
    assert match, fault
    rows = text.replace("\t", "  ").replace("\u00a0", " ").replace("\u3000", "  ").split("\n")
    place = int(match[1]) - 1
    above = rows[place - 1] if "like the line above" in fault else rows[place]
    rows[place] = above[: len(above) - len(above.lstrip())] + match[2]
    assert load(write("\n".join(rows))).problem.question == meant


@pytest.mark.parametrize(
    ("lines", "mend", "mended"),
    [
        ("features:\n  categorical:\n    - a: b\n", 'write it in quotes: "a: b"', 'features: {categorical: ["a: b"]}'),
        ("features: {categorical: [a: b, c]}\n", 'write it in quotes: "a: b"', 'features: {categorical: ["a: b", c]}'),
        ("features: {categorical: [a, b\n", "close the bracket: features: {categorical: [a, b]}",
         "features: {categorical: [a, b]}"),
        ("features:\n  kind:text\n", "write a blank after the colon of 'kind'", "features:\n  kind: text"),
        ("features: {kind:text}\n", "write a blank after the colon of 'kind'", "features: {kind: text}"),
        ("problem:\n  question: #3 is it\n", "it is empty; what follows a # is a comment, unless it stands in quotes",
         'problem: {question: "#3 is it"}'),
    ],
)  # fmt: skip
def test_what_is_yaml_but_not_what_was_meant_is_told_with_the_mend(
    write: Write, lines: str, mend: str, mended: str
) -> None:
    (fault,) = faults(write(SMALL + lines))
    assert fault.endswith(mend)
    load(write(f"{SMALL}{mended}\n"))


@pytest.mark.parametrize(
    "line", ["question: “A” is better than “B”", "question: Is it so? # 3 reasons", "question: '“so”'"]
)
def test_what_is_yaml_and_meant_is_left_alone(write: Write, line: str) -> None:
    assert load(write(f"{SMALL}problem:\n  {line}\n")).problem.question


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_data_in_the_place_of_a_task_is_told_with_the_way_to_a_task(write: Write, name: str) -> None:
    (fault,) = faults(write("a,b\n1,2\n", name))
    assert fault == f"{name}: is data, no task; `ratchet init {name} --target COLUMN > task.yaml` writes a task for it"


@anywhere
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_a_mend_is_offered_only_if_it_can_be_read(write: Write, value: str) -> None:
    text = f"{SMALL}problem: {{question: {value}, kind: binary}}\n"
    try:
        load(write(text))
    except ConfigError as error:
        fault = str(error).splitlines()[0]
        match = re.match(r"task\.yaml:5: not YAML: .*? write the value in quotes: (.*)$", fault)
        if match:
            assert yaml.safe_load(SMALL + match[1])["name"] == "small"


def test_a_long_value_is_shown_in_part(write: Write) -> None:
    (line,) = faults(write(with_task(name="x" * 5000)))
    assert len(line) < 250


# ---------------------------------------------------------------- files that are none


def test_a_missing_file_is_told_with_the_nearest_beside_it(write: Write) -> None:
    write(SMALL, "configs/churn.yaml")
    assert faults("configs/chrun.yaml") == ["configs/chrun.yaml: no such file; did you mean 'configs/churn.yaml'?"]
    assert faults("nowhere/churn.yaml") == ["nowhere/churn.yaml: no such file"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name: small\ndata: [\n", "task.yaml:2: not YAML: "),
        ("name: small\n\tdata: x\n", "task.yaml:2: not YAML: found character '\\t'"),
        ("name: a: b\n", "task.yaml:1: not YAML: mapping values are not allowed here"),
        ("name: small\n---\nname: other\n", "task.yaml:2: not YAML: but found another document"),
        (SMALL + "name: other\n", "task.yaml:5: not YAML: key 'name' stands twice"),
        ("search:\n  trials: 1\n  trials: 2\n", "task.yaml:3: not YAML: key 'trials' stands twice"),
        ("a: &x [1, 2]\nb: *x\n", "task.yaml:2: not YAML: aliases (*name) are not used here"),
        ("? [a]\n: 1\n", "task.yaml:1: not YAML: found unhashable key"),
        ("name: small\nday: 2024-13-45\n", "task.yaml:2: not YAML: '2024-13-45' cannot be read as timestamp"),
        (f"name: {'9' * 5000}\n", "task.yaml:1: not YAML: '9999"),
        (f"name: 0x{'f' * 5000}\n", "task.yaml:1: not YAML: '0xff"),
        ("name: !!bool maybe\n", "task.yaml:1: not YAML: 'maybe' cannot be read as bool"),
        ("name: !!map small\n", "task.yaml:1: not YAML: expected a mapping node"),
        ("name: !!python/object/apply:os.getcwd []\n", "task.yaml:1: not YAML: could not determine a constructor"),
        ('name: "\\UFFFFFFFF"\n', "task.yaml: cannot be read: "),
        ("name: \0\n", "task.yaml: not YAML: unacceptable character #x0000"),
        ("a: " + "[" * 20_000, "task.yaml: cannot be read: maximum recursion depth"),
        ("[name, data]\n", "task.yaml: a task is a mapping (name: …, data: …), this is list"),
        ("small\n", "task.yaml: a task is a mapping (name: …, data: …), this is str"),
        ("", "task.yaml: is empty; did the command that should write it fail?"),
    ],
)  # fmt: skip
def test_what_is_no_task_is_refused_in_one_line_that_names_the_place(write: Write, text: str, fault: str) -> None:
    (line,) = faults(write(text))
    assert line.startswith(fault)
    assert len(line) < 300


def test_a_yaml_bomb_is_refused_before_it_grows(write: Write) -> None:
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert faults(write("\n".join(bomb))) == ["task.yaml:2: not YAML: aliases (*name) are not used here"]


def test_a_file_far_too_large_is_refused_unread(write: Write) -> None:
    (line,) = faults(write("#" * (MAX_BYTES + 1)))
    assert line == "task.yaml: 1,000,001 bytes; a task has at most 1,000,000"
    assert load(write(SMALL.ljust(MAX_BYTES, "#").replace("left#", "left\n#"))).name == "small"


def test_a_file_in_another_encoding_and_a_folder_are_refused(write: Write) -> None:
    path = write(SMALL)
    path.write_bytes(SMALL.replace("left", "이탈").encode("cp949"))
    assert faults(path)[0].startswith("task.yaml: cannot be read: 'utf-8' codec can't decode")
    assert faults(".")[0].startswith(".: cannot be read: ")


# ---------------------------------------------------------------- features.use


SHARED = "categorical: [home, code]\nnumeric: [age]\nderive: {ratio: a / b, total: a + b}\n"


def using(**features: Any) -> str:
    return with_task(features={"use": ["features/shared.yaml"]} | features)


def test_shared_definitions_are_found_beside_the_task_and_put_in(write: Write) -> None:
    write(SHARED, "configs/features/shared.yaml")
    features = load(write(using(), "configs/task.yaml")).features
    assert features.categorical == ("home", "code")
    assert features.numeric == ("age",)
    assert features.derive == {"ratio": "a / b", "total": "a + b"}


def test_the_tasks_own_words_win_over_shared_ones(write: Write) -> None:
    write(SHARED, "features/shared.yaml")
    own = using(categorical=["zip", "home"], numeric=["code"], derive={"total": "a - b", "own": "a"})
    features = load(write(own)).features
    assert features.categorical == ("zip", "home")
    assert features.numeric == ("code", "age")
    assert features.derive == {"ratio": "a / b", "total": "a - b", "own": "a"}


def test_several_shared_files_add_up_and_the_first_wins(write: Write) -> None:
    write(SHARED, "one.yaml")
    write("derive: {ratio: b / a, third: a}\nnumeric: [age, income]\n", "two.yaml")
    features = load(write(with_task(features={"use": ["one.yaml", "two.yaml"]}))).features
    assert features.derive == {"ratio": "a / b", "total": "a + b", "third": "a"}
    assert features.numeric == ("age", "income")


def test_a_missing_shared_file_is_named_beside_the_tasks_other_faults(write: Write) -> None:
    write(SHARED, "features/shared.yaml")
    assert faults(write(using(use=["features/sharde.yaml"], kind="tabula"))) == [
        "task.yaml: features.use: features/sharde.yaml: no such file; did you mean 'features/shared.yaml'?",
        "task.yaml: features.kind: input should be 'tabular' or 'text', not 'tabula'",
    ]


def test_the_faults_of_a_shared_file_are_told_under_its_own_name(write: Write) -> None:
    write("categorial: [home]\nderive: {bad: a.b}\n", "features/shared.yaml")
    said = faults(write(using()))
    assert said[0].startswith("features/shared.yaml: derive.bad: in 'a.b', character 1: a dot is not allowed")
    assert said[1] == "features/shared.yaml: categorial: unknown key; did you mean 'categorical'?"


def test_a_shared_file_that_is_not_yaml_is_named_with_its_line(write: Write) -> None:
    write("numeric: [age]\nnumeric: [income]\n", "features/shared.yaml")
    assert faults(write(using())) == [
        "task.yaml: features.use: features/shared.yaml:2: not YAML: key 'numeric' stands twice"
    ]


@pytest.mark.parametrize(
    ("features", "fault"),
    [
        ({"categorical": "home"}, "features.categorical: input should be a list, as in [one, two], not 'home'"),
        ({"numeric": 5}, "features.numeric: input should be a list, as in [one, two], not 5"),
        ({"derive": ["a"]}, "features.derive: input should be a mapping"),
        (
            {"use": "features/shared.yaml"},
            "features.use: input should be a list, as in [one, two], not 'features/shared.yaml'",
        ),
        ({"use": [["features/shared.yaml"]]}, "features.use.0: input should be a text"),
    ],
)
def test_own_words_of_the_wrong_shape_are_a_fault_also_beside_shared_ones(
    write: Write, features: dict[str, Any], fault: str
) -> None:
    write(SHARED, "features/shared.yaml")
    assert faults(write(using(**features))) == [f"task.yaml: {fault}"]


# ---------------------------------------------------------------- anything at all


WORDS = st.sampled_from(
    ["name", "data", "sources", "rows", "uris", "target", "split", "by", "hash", "group", "time", "column", "source",
     "features", "use", "derive", "categorical", "search", "space", "linear", "gates", "staging", "metric", "f1",
     "[key]", "kind", "text", "a + b", "x.csv", "shared.yaml", "0x_", "1:30", "=", "<<"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | WORDS | st.text(max_size=8)
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | SCALARS, inner, max_size=5)
)
SECTIONS = st.fixed_dictionaries({}, optional={name: NESTED for name in Task.model_fields if name != "name"})
SNIPPETS = st.sampled_from(
    ["name: ", "data:\n  ", "- ", "? ", ": ", "!!int ", "!!timestamp ", "!!map ", "!!set ", "!!omap ", "!!binary ",
     "&a ", "*a", "{", "}", "[", "]", ", ", '"', "'", "|\n", "\n", "  ", "\t", "---\n", "%YAML 9.9\n", "0b_",
     "2024-99-99", ".nan", "\\U00110000", "<<: ", "#", "\x85", "é", "한", "\ufeff"]
)  # fmt: skip


def only_refuses(text: str, write: Write) -> None:
    """Read the text as a task: it is one, or it is refused in words that name the file."""
    path = write(text)
    refusal = ""
    try:
        load(path)
    except ConfigError as error:
        refusal = str(error)
    assert refusal.startswith("task.yaml:") or not refusal


@anywhere
@given(st.lists(SNIPPETS | st.text(max_size=5), max_size=12).map("".join))
@example("a: !!float x")
@example("a: !!int ''")
@example("- !!timestamp x")
def test_any_text_is_a_task_or_refused(write: Write, text: str) -> None:
    only_refuses(text, write)


@anywhere
@given(NESTED)
def test_any_document_is_a_task_or_refused(write: Write, document: Any) -> None:
    only_refuses(yaml.safe_dump(document, allow_unicode=True), write)


@anywhere
@given(SECTIONS)
@example({"features": {"use": ["a\0b"]}})
@example({"features": {"use": ["shared.yaml"], "categorical": [{}]}})
@example({"features": {"use": ["shared.yaml"], "derive": {1: {}}}})
def test_any_sections_make_a_task_or_are_refused(write: Write, sections: dict[str, Any]) -> None:
    write(SHARED, "shared.yaml")
    only_refuses(with_task(**sections), write)


@anywhere
@given(st.binary(max_size=60))
def test_any_bytes_are_refused(write: Write, content: bytes) -> None:
    path = write("")
    path.write_bytes(content)
    assert faults(path)[0].startswith("task.yaml:")
