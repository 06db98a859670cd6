"""One contract for the record of what was asked, answered and came true, on SQLite and on a real PostgreSQL."""

import secrets
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from ratchet.adapters import arrivals, captured, joined
from ratchet.adapters.captured import Kept, Outcome, RefusedError
from ratchet.adapters.joined import Place
from ratchet.adapters.postgres import Cluster
from ratchet.adapters.servers import free_port
from ratchet.errors import Away, ServerError
from ratchet.settings import Settings
from tests.adapters.capturing import append_rows, asked, moment

TASK = "credit"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="ratchet-", dir="/var/tmp"))
    folder.chmod(0o711)
    made = Cluster(folder / "postgres", free_port(), secrets.token_hex(8))
    with made.running():
        yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("home")
    if request.param == "sqlite":
        address = f"sqlite:///{home / 'ratchet.db'}"
    else:
        found = request.getfixturevalue("cluster")
        address = found.url("postgres", "postgres", found.password)
    made = captured.engine(Settings("", address, (), home))
    yield made
    made.dispose()


@pytest.fixture
def record(engine: Engine) -> Engine:
    return emptied(engine)


def emptied(engine: Engine) -> Engine:
    with engine.begin() as connection:
        for table in captured.FORGOTTEN:
            connection.execute(text(f"DELETE FROM {table}"))
    return engine


def known(engine: Engine) -> dict[str, Any]:
    """What came true of each request, by a reader who reads all at once."""
    return {row.request_id: row.outcome for batch in joined.between(engine, TASK) for row in batch}


def test_a_row_comes_back_as_it_was(record: Engine) -> None:
    odd = {"AGE": 31.5, "JOB": "광부 \" \\ '\n", "none": None, "deep": {"a": [1, 2.5, "x"]}, "large": 10**17}
    assert append_rows(record, [asked("a", 1, inputs=odd, rollout=4, problem="why")]) == 1
    ((row,),) = joined.between(record, TASK)
    assert row.inputs == odd
    assert row.answer == {"label": "No", "probability": 0.125}
    assert (row.request_id, row.row, row.at, row.entity) == ("a", 0, "2026-05-03T14:01:00.000000Z", "anna")
    assert (row.version, row.arm, row.rollout, row.status) == (3, "champion", 4, 200)
    assert (row.latency_ms, row.problem, row.outcome, row.outcome_at) == (1.5, "why", None, None)


ODD = st.text() | st.floats() | st.integers() | st.none() | st.booleans() | st.just("\0\ud800") | st.just(10**30)
ODD_ROW = st.dictionaries(st.text() | st.just("\0"), ODD | st.lists(ODD, max_size=2), max_size=3)


@settings(deadline=None, max_examples=60)
@given(inputs=ODD_ROW, answer=ODD_ROW, words=st.text() | st.just("\0\ud800"))
def test_whatever_was_asked_and_answered_finds_its_place(engine: Engine, inputs: Any, answer: Any, words: str) -> None:
    emptied(engine)
    assert append_rows(engine, [asked("a", inputs=inputs, answer=answer, problem=words, entity=words)]) == 1
    ((row,),) = joined.between(engine, TASK)
    assert len(row.inputs or {}) <= len(inputs)
    assert (row.problem, row.entity) == (words.replace("\0", "\N{REPLACEMENT CHARACTER}").replace("\ud800", "?"),) * 2


def test_what_is_sent_twice_is_there_once(record: Engine) -> None:
    rows = [asked("a"), asked("a", row=1), asked("a", arm="shadow", version=4), asked("b", inputs=None, answer=None)]
    assert append_rows(record, rows) == 4
    assert append_rows(record, [*rows, asked("c")]) == 1
    assert sum(map(len, joined.between(record, TASK))) == 5


def test_a_caller_who_uses_an_id_again_loses_nothing(record: Engine) -> None:
    append_rows(record, [asked("same", 1), asked("same", 2)])
    assert sum(map(len, joined.between(record, TASK))) == 2


def test_a_request_that_shares_its_id_with_one_of_the_challenger_counts_all_the_same(record: Engine) -> None:
    rows = [asked("same", 1, arm="challenger", rollout=1), asked("same", 2, rollout=1),  # another one, of a champion
            asked("failed", 3, arm="challenger", rollout=1, answer=None, status=500),
            asked("failed", 3, rollout=1)]  # fmt: skip
    append_rows(record, rows)
    came = arrivals.since(record, TASK, 1, Place())
    assert [(row.arm, row.answer is None) for row in came.rows] == [
        ("challenger", False), ("champion", False), ("challenger", True)]  # fmt: skip
    assert all(call.latency_ms for call in came.calls)


@pytest.mark.parametrize("line", [b"[1", b'{"task": "credit"}', b"\xff\xfe"])
def test_a_line_that_is_none_is_refused_for_good_and_the_others_with_it(line: bytes, record: Engine) -> None:
    with pytest.raises(RefusedError):
        captured.append(record, [captured.line(asked("a")), line])
    assert list(joined.between(record, TASK)) == []


def test_an_outcome_of_a_request_finds_its_row_also_when_it_came_first(record: Engine) -> None:
    captured.append_outcomes(record, TASK, [Outcome("Yes", moment(9), request_id="a", row=1)])
    append_rows(record, [asked("a"), asked("a", row=1), asked("b")])
    rows = [row for batch in joined.between(record, TASK) for row in batch]
    assert [(row.request_id, row.row, row.outcome) for row in rows] == [("a", 0, None), ("a", 1, "Yes"), ("b", 0, None)]


def test_an_outcome_of_an_entity_is_of_its_last_answer_before_it(record: Engine) -> None:
    failed = asked("failed", 2.5, answer=None, status=500)
    append_rows(record, [asked("first", 1), asked("second", 2), failed, asked("third", 3),
                                  asked("other", 2, entity="berta")])  # fmt: skip
    captured.append_outcomes(record, TASK, [Outcome(1, moment(2.9), entity="anna")])
    assert known(record) == {"first": None, "second": 1, "failed": None, "third": None, "other": None}


def test_both_arms_of_a_request_get_its_outcome(record: Engine) -> None:
    append_rows(record, [asked("a"), asked("a", arm="shadow", version=4)])
    captured.append_outcomes(record, TASK, [Outcome("Yes", moment(5), entity="anna")])
    ((first, second),) = joined.between(record, TASK)
    assert first.outcome == second.outcome == "Yes"


def test_a_requests_own_outcome_wins_over_a_later_one_of_its_entity(record: Engine) -> None:
    append_rows(record, [asked("a")])
    captured.append_outcomes(record, TASK, [Outcome("No", moment(1), request_id="a", row=0),
                                            Outcome("Yes", moment(8), entity="anna")])  # fmt: skip
    assert known(record) == {"a": "No"}


def test_what_became_of_outcomes_is_told(record: Engine) -> None:
    one, corrected = Outcome("No", moment(1), entity="anna"), Outcome("Yes", moment(1), entity="anna")
    other = Outcome("No", moment(1), request_id="a", row=0)
    assert captured.append_outcomes(record, TASK, [one, one, corrected, other]) == Kept(2, 1, 1)
    assert captured.append_outcomes(record, TASK, [other, one]) == Kept(0, 0, 2)


def test_of_two_outcomes_at_the_same_time_the_one_that_came_last_counts(record: Engine) -> None:
    append_rows(record, [asked("a")])
    captured.append_outcomes(record, TASK, [Outcome(label, moment(1), entity="anna") for label in ("Yes", "No", "Yes")])
    assert known(record) == {"a": "No"}, "the third one is the first one again"


def heard(record: Engine, place: Place, most: int = 1_000) -> tuple[list[tuple[str, Any, Any]], Place]:
    """What a reader of rollout 1 is told from a place on: when it was asked, what came true, what was known before."""
    came = arrivals.since(record, TASK, 1, place, most=most)
    return [(row.at, row.label, row.former) for row in came.rows], came.to


def test_a_reader_goes_on_where_it_was_and_hears_of_corrections(record: Engine) -> None:
    first, second, third = (captured.written(moment(minute)) for minute in (1, 2, 9))
    append_rows(record, [asked("a", 1, rollout=1), asked("b", 2, entity="berta", rollout=1)])
    rows, place = heard(record, Place())
    assert rows == [(first, None, None), (second, None, None)]
    assert heard(record, place) == ([], place)
    assert joined.now(record) == place
    captured.append_outcomes(record, TASK, [Outcome("No", moment(2), entity="anna")])
    rows, place = heard(record, place)
    assert rows == [(first, "No", None)]
    captured.append_outcomes(record, TASK, [Outcome("Yes", moment(3), entity="anna")])
    append_rows(record, [asked("c", 9, rollout=1)])
    rows, place = heard(record, place)
    assert rows == [(third, None, None), (first, "Yes", "No")]
    assert heard(record, place) == ([], place)


def test_a_reader_hears_that_a_late_request_takes_over_the_outcome_of_another(record: Engine) -> None:
    append_rows(record, [asked("a", 1, rollout=1)])
    captured.append_outcomes(record, TASK, [Outcome("No", moment(5), entity="anna")])
    _, place = heard(record, Place())
    append_rows(record, [asked("late", 2, rollout=1)])
    rows, _ = heard(record, place)
    assert rows == [(captured.written(moment(2)), "No", None), (captured.written(moment(1)), None, "No")]


def test_a_reader_of_a_rollout_hears_of_it_alone(record: Engine) -> None:
    append_rows(record, [asked("a", rollout=2), asked("b", 3, rollout=1), asked("c"), asked("x", task="other")])
    rows, place = heard(record, Place())
    assert rows == [(captured.written(moment(3)), None, None)]
    assert heard(record, place) == ([], place)


ENTITIES = ("anna", "berta")
REQUESTS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(ENTITIES), st.booleans()), max_size=6)
TRUTHS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["r0", "r1", "r2", *ENTITIES]), st.integers(0, 2)), max_size=6,
    unique_by=lambda truth: truth[:2],
)  # fmt: skip


def expected(requests: list[dict[str, Any]], truths: list[Outcome]) -> dict[str, Any]:
    """The join in plain words."""
    found = {}
    for row in requests:
        own = [each for each in truths if each.request_id == row["request_id"]]
        later = [other["at"] for other in requests
                 if other["entity"] == row["entity"] and other["at"] > row["at"] and other["answer"]]  # fmt: skip
        of_entity = [each for each in truths if row["answer"] and each.entity == row["entity"]
                     and row["at"] <= captured.written(each.at) < min(later, default="~")]  # fmt: skip
        counts = max(own or of_entity, key=lambda each: each.at, default=None)
        found[row["request_id"]] = counts.label if counts else None
    return found


@settings(deadline=None, max_examples=40)
@given(requests=REQUESTS, truths=TRUTHS, mix=st.randoms(use_true_random=False), most=st.integers(1, 3))
def test_any_order_of_arrival_gives_the_same_join_to_both_readers(
    engine: Engine, requests: list[Any], truths: list[Any], mix: Any, most: int
) -> None:
    record = emptied(engine)
    rows = [asked(f"r{n}", minute, entity=entity, answer={"label": "No"} if is_answered else None, rollout=1)
            for n, (minute, entity, is_answered) in enumerate(requests)]  # fmt: skip
    outcomes = [
        Outcome(label, moment(minute), **({"entity": whose} if whose in ENTITIES else {"request_id": whose, "row": 0}))
        for minute, whose, label in truths
    ]
    order: list[Any] = [*rows, *outcomes]
    order += mix.sample(order, len(order) // 2)  # some come twice
    mix.shuffle(order)
    counted, place = Counter[tuple[str, Any]](), joined.now(record)

    def read() -> bool:
        nonlocal place
        news, to = heard(record, place, most)
        for at, label, former in news:
            counted.update([(at, label)])
            counted.subtract([(at, former)] if former is not None else [])
        is_over, place = to == place, to
        return is_over

    for each in order:
        if isinstance(each, Outcome):
            captured.append_outcomes(record, TASK, [each])
        else:
            append_rows(record, [each])
        if mix.random() < 0.5:
            read()
    while not read():
        pass
    truth = expected(rows, outcomes)
    assert known(record) == truth
    assert +Counter({key: n for key, n in counted.items() if key[1] is not None}) == Counter(
        (row["at"], truth[row["request_id"]]) for row in rows if truth[row["request_id"]] is not None)  # fmt: skip


def test_numbers_appear_in_their_order_also_where_several_append_at_once(record: Engine) -> None:
    began = threading.Barrier(5)
    first = joined.now(record)

    def appends(who: int) -> None:
        began.wait()
        for n in range(20):
            append_rows(record, [asked(f"{who}-{n}-{each}", rollout=1) for each in range(10)])

    threads = [threading.Thread(target=appends, args=[who]) for who in range(4)]
    for thread in threads:
        thread.start()
    began.wait()
    place, seen, is_last = first, 0, False
    while not is_last:
        is_last = not any(thread.is_alive() for thread in threads)
        rows, to = heard(record, place)
        seen, is_last, place = seen + len(rows), is_last and to == place, to
    assert seen == 800


def test_what_is_old_is_forgotten_some_at_a_time_and_numbers_never_come_again(record: Engine) -> None:
    append_rows(record, [asked(f"old {n}", n / 100) for n in range(25)] + [asked("new", 60)])
    append_rows(record, [asked("another's", task="other")])
    captured.append_outcomes(record, TASK, [Outcome(1, moment(0), request_id="old 1", row=0)])
    captured.append_loss(record, TASK, 3, "killed", "a/end")
    place = joined.now(record)
    assert captured.forget(record, TASK, moment(30), most=10) == 25
    assert known(record) == {"new": None}
    assert captured.forget(record, TASK, moment(10**6)) == 3
    assert captured.losses(record, TASK) == []
    assert sum(map(len, joined.between(record, "other"))) == 1
    append_rows(record, [asked("later", 7, rollout=1)])
    assert heard(record, place)[0] == [(captured.written(moment(7)), None, None)]


def test_a_loss_is_noted_once_however_often_it_is_told(record: Engine) -> None:
    for _ in range(2):
        captured.append_loss(record, TASK, 7, "killed", "of-1/end")
    captured.append_loss(record, TASK, 2, "full", "of-1/0-9")
    assert [(each["lost"], each["why"]) for each in captured.losses(record, TASK)] == [(7, "killed"), (2, "full")]


def test_a_database_that_is_away_is_told_apart_from_one_that_refuses(cluster: Cluster, tmp_path: Path) -> None:
    home = Settings("", f"postgresql://postgres:wrong@127.0.0.1:{free_port()}/postgres", (), tmp_path)
    with pytest.raises(ServerError, match=r"postgres:\*\*\*@"):
        captured.engine(home)
    engine = captured.engine(Settings("", cluster.url("postgres", "postgres", cluster.password), (), tmp_path))
    with without(engine, "SET LOCAL transaction_read_only = on"), pytest.raises(ServerError) as refused:
        append_rows(engine, [asked("a")])
    assert not isinstance(refused.value, Away | RefusedError)
    engine.dispose()


@contextmanager
def without(engine: Engine, statement: str) -> Iterator[None]:
    """Have every transaction begin with a statement."""
    from sqlalchemy import event

    def begin(connection: Any) -> None:
        connection.execute(text(statement))

    event.listen(engine, "begin", begin)
    yield
    event.remove(engine, "begin", begin)


def test_nothing_is_written_where_nothing_came(record: Engine) -> None:
    assert captured.append(record, []) == 0
    assert captured.append_outcomes(record, TASK, []) == Kept(0, 0, 0)
