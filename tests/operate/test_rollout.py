"""A rollout from its start to its end: what is let in, what is stopped, and what people and the ledger are told."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ratchet.adapters import captured, registry, rollouts
from ratchet.adapters.captured import Outcome
from ratchet.adapters.rollouts import ABORTED, DONE, PAUSED, PROMOTING, RUNNING, WAITING, Rollout
from ratchet.core import rollout as core
from ratchet.core.ledger import INTENDED
from ratchet.errors import RatchetError, ServerError
from ratchet.operate import controller, promotion, underway
from ratchet.operate.controller import Controller
from ratchet.operate.looking import Looker
from ratchet.settings import Settings
from ratchet.stages import PRODUCTION, PROMOTE
from ratchet.steps import chronicle, moves
from tests import moving, rolling
from tests.adapters.capturing import append_rows, moment
from tests.conftest import Told
from tests.end_to_end.commands import run, start
from tests.rolling import Behaviour, Traffic, looked, until_over

Say = Callable[..., Told]


@pytest.fixture(scope="module")
def staged(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 is in Production, version 2 in Staging, each by its gates."""
    place = tmp_path_factory.mktemp("staged")
    config = rolling.prepared(store, place)
    done = run("ratchet", "promote", "-c", config, "--to", "staging", "--seed", 8, cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def begun(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rollout of version 2 has its first share."""
    place = tmp_path_factory.mktemp("begun")
    config = moving.copied(staged, place)
    done = run("ratchet", "rollout", "start", "-c", config, "--comment", "a better encoder", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def config(begun: Path, workplace: Path) -> Path:
    """The task's file beside a store of one's own, in which the rollout is at 5 %."""
    return moving.copied(begun, workplace)


@pytest.fixture
def look(config: Path) -> Looker:
    return rolling.looker(Settings.from_env())


@pytest.fixture
def traffic(look: Looker) -> Traffic:
    return Traffic(look.engine)


def now(at: Looker) -> Rollout:
    found = rollouts.newest(at.engine, at.task)
    assert found is not None
    return found


# ---------------------------------------------------------------- it begins


def test_the_version_in_staging_gets_the_first_share_and_the_ledger_the_terms(
    config: Path, look: Looker, ratchet: Say
) -> None:
    found = now(look)
    assert (found.state, found.percent, found.champion, found.challenger) == (RUNNING, 5, 1, 2)
    entries = [e for e in chronicle.all_entries(Settings.from_env()) if e.change.action.startswith("rollout-")]
    assert [entry.change.action for entry in entries] == ["rollout-start", "rollout-step"]
    assert "a better encoder" in entries[0].change.why
    assert {entry.change.evidence for entry in entries} == {core.digest(found.terms)}
    assert entries[0].change.from_stage == entries[0].change.to_stage == "Staging"
    assert core.thaw(found.terms).measure.classes == (0, 1)
    told = ratchet("rollout", "status", "-c", config, "--json").json
    assert (told["state"], told["percent"], told["looks"], told["arms"]["champion"]["rows"]) == ("running", 5.0, [], 0)
    assert ratchet("ledger", "verify").code == 0
    assert ratchet("reconcile", "-c", config).code == 0, "no version has moved"


@pytest.mark.parametrize(
    ("sections", "words", "told"),
    [
        ({"serving": {"capture": False}}, (), "serving.capture: false; a rollout is judged by what is captured"),
        ({}, ("--version", "1"), "a rollout is of the version in Staging, and version 2 is there"),
        ({"rollout": {"metric": "absolute_error", "largest_error": 1}}, (), "absolute_error is not defined for binary"),
    ],
)
def test_what_is_missing_is_told_and_nothing_begins(
    sections: dict[str, Any], words: tuple[str, ...], told: str, staged: Path, workplace: Path, ratchet: Say
) -> None:
    config = rolling.prepared(staged, workplace, **sections)
    said = ratchet("rollout", "start", "-c", config, *words)
    assert said.code == 1
    assert told in said.err
    assert "there was no rollout yet" in ratchet("rollout", "status", "-c", config).err


def test_a_second_one_is_refused_while_one_is_under_way(config: Path, ratchet: Say) -> None:
    said = ratchet("rollout", "start", "-c", config)
    assert said.code == 1
    assert "a rollout is under way already" in said.err


# ---------------------------------------------------------------- it goes on by itself


def test_a_better_challenger_reaches_production_by_itself_through_its_gates(
    config: Path, traffic: Traffic, ratchet: Say
) -> None:
    heard: list[str] = []
    at = Controller(config, Settings.from_env(), heard.append)
    last, _ = until_over(at.look, traffic, Behaviour(right=0.95), count=1_500)
    assert (last.state, last.percent) == (WAITING, 100)
    deadline = time.monotonic() + 120
    while rollouts.open_of(traffic.engine, "small") or rollouts.is_owed(traffic.engine, "small"):
        assert time.monotonic() < deadline, heard
        at.look()
        time.sleep(0.2)
    at.stop()
    assert at.trial() is None
    assert moving.stages(moving.session(config)) == {1: ("Archived", ()), 2: ("Production", ("champion",))}
    entries = chronicle.all_entries(Settings.from_env())
    told = [e.change.action for e in entries if e.change.version == 2 and e.phase == "done"][1:]
    assert told == [
        "rollout-start", "rollout-step", "rollout-step", "rollout-step", "rollout-step", "rollout-step", "promote",
        "rollout-done",
    ]  # fmt: skip
    found = underway.shown(Settings.from_env(), "small")
    assert found is not None
    assert (found["state"], [step["percent"] for step in found["steps"]]) == ("done", [0, 5, 10, 20, 50, 100, 100])
    assert all(step["entry"] for step in found["steps"])
    assert found["arms"]["challenger"]["loss"] > found["arms"]["champion"]["loss"], "accuracy: more is better"
    client = moving.session(config).client
    run_id = client.search_runs(
        [client.get_experiment_by_name("small").experiment_id], "tags.`ratchet.step` = 'rollout'"
    )[0].info.run_id
    assert [file.path for file in client.list_artifacts(run_id, "plots")] == ["plots/rollout.png"]
    assert ratchet("ledger", "verify").code == 0
    assert "version 2 is in Production" in ratchet("rollout", "status", "-c", config).out


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (Behaviour(fails=0.3), "model errors"),
        (Behaviour(nan=0.5), "model errors"),
        (Behaviour(ms=45), "times the champion's"),
        (Behaviour(right=0.2), "is surely worse"),
    ],
    ids=["errs", "answers NaN", "slow", "worse"],
)
def test_a_bad_challenger_is_aborted_at_its_first_share(
    how: Behaviour, told: str, look: Looker, traffic: Traffic
) -> None:
    last, touched = until_over(look.look, traffic, how, count=200)
    assert (last.state, last.percent, last.verdict) == (ABORTED, 0, "abort")
    assert told in " ".join(last.reasons)
    assert [step.percent for step in rollouts.steps(look.engine, last.id)] == [0, 5, 0]
    assert touched < 120
    assert look.look() is None


def test_nothing_is_stepped_up_without_outcomes(look: Looker, traffic: Traffic) -> None:
    traffic.with_outcomes = 0
    last, _ = until_over(look.look, traffic, Behaviour(right=1), most=4)
    assert (last.state, last.percent, last.verdict) == (RUNNING, 5, "hold")
    assert last.reasons[0] == "no outcome yet"


def test_a_feed_that_falls_silent_holds(look: Looker, traffic: Traffic) -> None:
    traffic.send(now(look), 1_500, Behaviour(right=0.95))
    after = look.look(datetime.now(UTC) + timedelta(days=2))
    assert after is not None
    assert (after.percent, after.verdict) == (5, "hold")
    assert "no outcome for" in after.reasons[0]


def test_while_the_challenger_cannot_answer_nothing_is_stepped_up_and_status_says_why(
    config: Path, look: Looker, traffic: Traffic, ratchet: Say
) -> None:
    look.silence = lambda number: f"the challenger does not answer: version {number} broke"
    last, _ = until_over(look.look, traffic, Behaviour(right=0.95), most=3, count=1_000)
    assert (last.state, last.percent, last.verdict) == (RUNNING, 5, "hold")
    assert "the challenger does not answer: version 2 broke" in ratchet("rollout", "status", "-c", config).out
    watch = rolling.looker(Settings.from_env())  # it knows of no server, but reads what a gateway has said
    traffic.send(now(look), 10)
    assert looked(watch).percent == 5
    assert "version 2 broke" in now(look).reasons[0]
    later = datetime.now(UTC) + timedelta(seconds=60)  # that gateway is gone
    traffic.send(now(look), 10)
    assert looked(watch, later).percent == 10


def test_a_challenger_that_answers_again_goes_on(look: Looker, traffic: Traffic) -> None:
    look.silence = lambda number: "the challenger does not answer: it ended"
    assert until_over(look.look, traffic, Behaviour(right=0.95), most=3, count=1_000)[0].percent == 5
    look.silence = lambda number: ""
    traffic.send(now(look), 10)
    assert looked(look).percent == 10
    assert now(look).silence == ""


def test_a_promotion_that_waits_is_tried_again_after_its_challenger_was_silent(look: Looker, traffic: Traffic) -> None:
    at, _ = until_over(look.look, traffic, Behaviour(right=0.95), count=1_500)
    head = rollouts.ledger_head(look.engine, "small")
    assert at.state == WAITING
    assert rollouts.changed(look.engine, now(look), {"ledger_seen": head, "reasons": (controller.TRYING,)})
    look.silence = lambda number: "the challenger does not answer: it ended"
    traffic.send(now(look), 10)
    held = look.look()
    assert held is not None and (held.state, held.verdict, held.ledger_seen) == (WAITING, "hold", -1)
    look.silence = lambda number: ""
    traffic.send(now(look), 10)
    after = look.look()
    assert after is not None and controller._is_due(after, look)


def test_while_the_database_is_away_the_share_stays_as_it_was(config: Path) -> None:
    at = Controller(config, Settings.from_env())
    before = at.trial()
    assert before is not None and (before[0], before[1].percent) == (2, 5)
    path = Path(Settings.from_env().database_url.removeprefix("sqlite:///"))
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    at.engine().dispose()  # what is open reads on
    with pytest.raises(ServerError):
        at.look()
    assert at.trial() == before
    assert at.entity() == "applicant_id"
    assert at.problem
    path.rmdir()
    path.with_suffix(".away").rename(path)
    assert at.look() is not None


def test_who_watches_takes_a_bad_one_off_within_seconds(config: Path, traffic: Traffic) -> None:
    watch = start("ratchet", "rollout", "watch", "-c", config, cwd=config.parent)
    try:
        assert watch.stdout is not None and "running at 5 %" in watch.stdout.readline()
        traffic.send(rollouts.open_of(traffic.engine, "small"), 1_500, Behaviour(fails=0.5))  # type: ignore[arg-type]
        began = time.monotonic()
        while rollouts.open_of(traffic.engine, "small"):
            time.sleep(0.05)
            assert time.monotonic() - began < 10
        said, _ = watch.communicate(timeout=60)
    finally:
        watch.kill()
    assert watch.returncode == 0, said
    assert "aborted at 0 %: model errors" in said
    assert not rollouts.is_owed(traffic.engine, "small"), "it is on the ledger too"


# ---------------------------------------------------------------- what is counted


def test_the_champions_time_is_not_told_by_requests_that_the_challenger_answered_too(
    look: Looker, traffic: Traffic
) -> None:
    found, at = now(look), captured.written(datetime.now(UTC))
    rows = [
        traffic.row(found, f"r{n}", f"e{n}-{arm}", arm, True, Behaviour(ms=ms)) | {"row": row, "at": at}
        for n in range(50) for row, (arm, ms) in enumerate([("challenger", 90.0), ("champion", 100.0)])
    ]  # fmt: skip
    append_rows(look.engine, rows)
    seen = look._known(found, core.thaw(found.terms))[0]
    assert seen.seen.calls.whole.rows("champion") == seen.seen.calls.whole.rows("challenger") == 50
    assert "champion" not in seen.times and seen.seen.pace.pending == ()


def judged(at: Looker) -> core.Judged:
    found = now(at)
    return core.Judged.from_json(found.judged, core.thaw(found.terms))


def test_outcomes_that_come_late_twice_or_corrected_count_as_they_are_now(look: Looker, traffic: Traffic) -> None:
    found = now(look)
    traffic.with_outcomes = 0.5
    names = traffic.send(found, 600)
    look.look()
    others = [f"r{traffic.seed}-{n}" for n in range(600)]
    for wave in range(3):  # each time some of them come true, or otherwise than was said
        chosen = traffic.draw.sample(others, 200)
        told = [Outcome(traffic.draw.choice([0, 1]), moment(wave), request_id=name, row=0) for name in chosen]
        captured.append_outcomes(look.engine, "small", [replace(each, at=moment(600_000 + wave)) for each in told])
        look.look()
    by_waves = judged(look)
    at_once = look._known(replace(found), core.thaw(found.terms))[0]
    assert by_waves.seen.outcomes == at_once.seen.outcomes
    assert by_waves.seen.awaited == at_once.seen.awaited
    assert by_waves.made == at_once.made
    assert by_waves.corrected > 100 and at_once.corrected == 0
    assert len(names) == by_waves.seen.awaited.rows("challenger")


def test_what_came_while_it_was_looked_counts_at_one_share_whatever_comes_true_later(
    look: Looker, traffic: Traffic
) -> None:
    found, began = now(look), datetime.now(UTC)
    traffic.with_outcomes = 0.5
    traffic.send(found, 3_000, Behaviour(right=0.95))
    assert looked(look, began).percent == 10
    names = traffic.draw.sample([f"r{traffic.seed}-{n}" for n in range(3_000)], 600)
    told = [Outcome(traffic.draw.choice([0, 1]), datetime.now(UTC), request_id=name, row=0) for name in names]
    captured.append_outcomes(look.engine, "small", told)
    traffic.send(now(look), 500)
    look.look()
    by_looks = judged(look)
    at_once = look._known(found, core.thaw(found.terms))[0]
    assert by_looks.seen.outcomes == at_once.seen.outcomes
    assert by_looks.seen.awaited == at_once.seen.awaited
    assert by_looks.seen.outcomes.rows_at("challenger", 5.0) > 50


def test_outcomes_of_entities_in_any_order_count_as_if_all_had_come_at_once(look: Looker, traffic: Traffic) -> None:
    found, draw = now(look), traffic.draw
    for wave in range(8):
        rows = []
        for n in range(20):  # an entity that asks again takes the later outcomes with it, also where that comes late
            entity = f"e{draw.randrange(12)}"
            arm = "challenger" if int(entity[1:]) % 3 == 0 else "champion"
            row = traffic.row(found, f"r{wave}-{n}", entity, arm, draw.random() < 0.5, Behaviour(fails=0.2))
            rows.append(row | {"at": captured.written(moment(draw.randrange(100)))})
        append_rows(look.engine, rows)
        told = [Outcome(draw.randrange(2), moment(draw.randrange(120)), entity=f"e{draw.randrange(12)}")
                for _ in range(15)]  # fmt: skip
        captured.append_outcomes(look.engine, "small", told)
        look.look()
    by_waves = judged(look)
    at_once = look._known(found, core.thaw(found.terms))[0]
    assert by_waves.seen.outcomes == at_once.seen.outcomes
    assert by_waves.seen.awaited == at_once.seen.awaited
    assert by_waves.seen.outcomes.rows("champion") > 20


def test_a_row_that_the_champion_answered_for_a_failed_challenger_is_not_held_for_it(
    look: Looker, traffic: Traffic
) -> None:
    found = now(look)
    theirs = traffic.send(found, 400, Behaviour(fails=1))
    seen = look._known(found, core.thaw(found.terms))[0].seen
    assert seen.calls.whole.mean("challenger") == 1
    assert seen.calls.whole.rows("challenger") == len(theirs)
    assert seen.calls.whole.rows("champion") == seen.outcomes.rows("champion") == 400 - len(theirs)
    assert seen.outcomes.rows("challenger") == 0


def test_a_look_at_a_thousand_new_rows_is_short_and_an_idle_one_hardly_counts(look: Looker, traffic: Traffic) -> None:
    for _ in range(3):
        traffic.send(now(look), 1_000)
        look.look()
    traffic.send(now(look), 1_000)
    began = time.thread_time()
    look.look()
    busy, began = time.thread_time() - began, time.thread_time()
    look.look()
    idle = time.thread_time() - began
    print(f"1,000 new rows: {busy * 1e3:.0f} ms of CPU; none: {idle * 1e3:.1f} ms")  # noqa: T201
    assert busy < 0.25 and idle < 0.05


# ---------------------------------------------------------------- people, and others who look


def test_it_is_paused_resumed_and_aborted_by_hand(config: Path, look: Looker, traffic: Traffic, ratchet: Say) -> None:
    told = ratchet("rollout", "pause", "-c", config, "--comment", "a holiday", "--json").json
    assert (told["state"], told["percent"], told["ledger"]) == ("paused", 5.0, "written")
    last, _ = until_over(look.look, traffic, Behaviour(right=0.95), most=3, count=1_000)
    assert (last.state, last.percent, last.verdict) == (PAUSED, 5, "advance"), "no step is made"
    assert ratchet("rollout", "resume", "-c", config).code == 0
    traffic.send(now(look), 10)
    assert looked(look).percent == 10
    assert "give a reason with --comment" in ratchet("rollout", "abort", "-c", config).err
    assert "is aborted at 0 %" in ratchet("rollout", "abort", "-c", config, "--comment", "a complaint").out
    assert "no rollout is under way; the last one, 1, is aborted: a complaint" in ratchet(
        "rollout", "pause", "-c", config
    ).err  # fmt: skip
    actions = [e.change.action for e in chronicle.all_entries(Settings.from_env())][-5:]
    assert actions == ["rollout-step", "rollout-pause", "rollout-resume", "rollout-step", "rollout-abort"]


def test_a_bad_one_is_aborted_also_while_it_is_paused(config: Path, look: Looker, traffic: Traffic) -> None:
    underway.pause(Settings.from_env(), "small", "")
    last, _ = until_over(look.look, traffic, Behaviour(fails=0.5))
    assert last.state == ABORTED


def test_an_abort_needs_neither_mlflow_nor_the_ledger(
    config: Path, look: Looker, ratchet: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_DATABASE_URL", Settings.from_env().database_url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said = ratchet("rollout", "abort", "-c", config, "--comment", "now")
    assert said.code == 0
    assert "the ledger has it later" in said.out
    assert now(look).state == ABORTED
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{config.parent / 'mlflow.db'}")
    assert rollouts.is_owed(look.engine, "small")
    assert ratchet("rollout", "settle", "-c", config, "--json").json["entries"] == 1
    assert ratchet("rollout", "settle", "-c", config, "--json").json["entries"] == 0


def test_terms_stay_as_they_were_at_the_start(config: Path, look: Looker, traffic: Traffic) -> None:
    said = yaml.safe_load(config.read_text())
    said["rollout"] |= {"minimum_rows": 1_000_000, "percents": [100], "key": "age"}
    config.write_text(yaml.safe_dump(said))
    at = Controller(config, Settings.from_env())
    traffic.send(now(look), 1_500, Behaviour(right=0.95))
    after = at.look()
    assert after is not None and after.percent == 10
    assert at.trial() and at.entity() == "applicant_id"


def test_a_promote_by_hand_ends_it(config: Path, look: Looker) -> None:
    moving.promote(moving.session(config), 2)
    after = look.look()
    assert after is not None
    assert (after.state, after.reasons) == (DONE, ("version 2 is in Production",))


def test_another_champion_ends_it_be_it_a_rollback_or_a_promote(config: Path, look: Looker) -> None:
    at = moving.session(config)
    (third,) = moving.again(at)
    moving.promote(at, third)
    after = look.look()
    assert after is not None
    assert (after.state, after.percent) == (ABORTED, 0)
    assert after.reasons == (f"version {third} came to Production in place of version 1",)


def test_two_who_look_at_once_act_once(look: Looker, traffic: Traffic) -> None:
    traffic.send(now(look), 1_500, Behaviour(right=0.95))
    found = [rolling.looker(Settings.from_env()) for _ in range(4)]
    barrier = threading.Barrier(len(found))

    def looks(at: Looker) -> None:
        barrier.wait()
        at.look()

    threads = [threading.Thread(target=looks, args=(each,)) for each in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [step.percent for step in rollouts.steps(look.engine, 1)] == [0, 5, 10]
    assert now(look).percent == 10
    assert judged(look).seen.calls.whole.rows("champion") + judged(look).seen.calls.whole.rows("challenger") == 1_500


# ---------------------------------------------------------------- the promotion at its end


def at_the_end(look: Looker) -> Rollout:
    """Without the traffic that leads there; whoever looks would wait for that."""
    found = rollouts.changed(look.engine, now(look), {"state": WAITING, "percent": 100.0, "verdict": "advance"})
    assert found is not None
    return found


def test_a_refusal_waits_and_is_tried_again_when_the_ledger_changes(
    config: Path, look: Looker, traffic: Traffic, ratchet: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(said | {"approvals": {"production": 1, "trust": "local"}}))
    assert until_over(look.look, traffic, Behaviour(right=0.95), count=1_500)[0].state == WAITING
    at = Controller(config, Settings.from_env())
    monkeypatch.setattr(controller, "AGAIN_S", 0.0)
    assert at.look() is not None

    def looked_until(is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not is_done():
            assert time.monotonic() < deadline, now(look)
            at.look()
            time.sleep(0.1)

    looked_until(lambda: "approvals 0 of 1" in " ".join(now(look).reasons))
    assert now(look).state == WAITING
    assert at.trial() is not None and at.trial()[1].percent == 100, "it keeps its share"  # type: ignore[index]
    looked_until(lambda: at._child is None)
    for _ in range(3):
        at.look()
        assert at._child is None, "nothing has changed"
    moving.as_user(monkeypatch, "a reviewer")
    assert ratchet("approve", 2, "-c", config, "--comment", "the card is fine").code == 0
    looked_until(lambda: now(look).state == DONE)
    at.stop()
    assert moving.in_production(moving.session(config)) == [2]


def test_a_promotion_whose_controller_died_is_tried_again(
    config: Path, look: Looker, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = until_over(look.look, traffic, Behaviour(right=0.95), count=1_500)
    seen = {"ledger_seen": rollouts.ledger_head(look.engine, "small"), "reasons": (controller.TRYING,)}
    assert rollouts.changed(look.engine, found, seen)
    at = Controller(config, Settings.from_env())
    at.look()
    assert at._child is None or at._word == "settle", "it may still be at it"
    monkeypatch.setattr(controller, "UNANSWERED_S", 0.0)
    deadline = time.monotonic() + 120
    while now(look).state != DONE:
        assert time.monotonic() < deadline, now(look)
        at.look()
        time.sleep(0.1)
    at.stop()
    assert moving.in_production(moving.session(config)) == [2]


def test_of_a_stop_by_hand_and_a_promotion_one_wins_and_the_other_is_told(config: Path, look: Looker) -> None:
    at_the_end(look)
    said: dict[str, str] = {}

    def promotes() -> None:
        try:
            promotion.promoted(moving.session(config))
            said["promote"] = "won"
        except RatchetError as error:
            said["promote"] = str(error)

    thread = threading.Thread(target=promotes)
    thread.start()
    time.sleep(1.0)
    try:
        underway.abort(Settings.from_env(), "small", "stop it")
        said["abort"] = "won"
    except RatchetError as error:
        said["abort"] = str(error)
    thread.join()
    last = now(look)
    if said["abort"] == "won":
        assert last.state == ABORTED and moving.in_production(moving.session(config)) == [1]
        assert "no rollout is under way" in said["promote"] or "stays in Staging" in said["promote"]
    else:
        assert last.state == DONE and moving.in_production(moving.session(config)) == [2]
        assert said["promote"] == "won"


def test_a_stop_between_the_move_and_the_word_of_it_is_told_that_it_comes_too_late(
    config: Path, look: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_end(look)
    finish = promotion._finish

    def stopped(*about: Any) -> None:
        with pytest.raises(RatchetError, match="too late: version 2 is in Production"):
            underway.abort(Settings.from_env(), "small", "stop it")
        finish(*about)

    monkeypatch.setattr(promotion, "_finish", stopped)
    promotion.promoted(moving.session(config))
    assert now(look).state == DONE and moving.in_production(moving.session(config)) == [2]


@pytest.mark.parametrize("has_moved", [False, True])
def test_a_stop_first_ends_what_a_killed_promotion_had_begun(
    has_moved: bool, config: Path, look: Looker, ratchet: Say
) -> None:
    assert rollouts.changed(look.engine, at_the_end(look), {"state": PROMOTING})
    at = moving.session(config)
    with at.opened(PROMOTE) as run, moves.begun(at, run) as board:
        version = registry.numbered(at.client, "small", 2)
        chronicle.append(at, run, moves.change_of(version, PROMOTE, PRODUCTION, board.entries), INTENDED)
        if has_moved:
            registry.move(at.client, version, PRODUCTION)
    with pytest.raises(underway.HalfMovedError, match="was begun and not ended; nothing was changed"):
        underway.abort(Settings.from_env(), "small", "stop it")
    told = ratchet("rollout", "abort", "-c", config, "--comment", "stop it")
    if has_moved:
        assert told.code != 0 and "too late: version 2 is in Production" in told.err
        assert moving.in_production(at) == [2]
        assert looked(look).state == DONE
    else:
        assert "is aborted at 0 %" in told.out, told.err
        assert moving.in_production(at) == [1]
    assert moving.whole(chronicle.entries(at))


AT = "2026-05-03T14:00:00.000000Z"


def test_a_shadow_ends_with_a_report_and_is_never_promoted(staged: Path, workplace: Path, ratchet: Say) -> None:
    config = rolling.prepared(staged, workplace, rollout={"shadow": True})
    assert ratchet("rollout", "start", "-c", config).code == 0
    at = Controller(config, Settings.from_env())
    trial = at.trial()
    assert trial is not None and trial[1].shadow and trial[1].percent == 0
    look = rolling.looker(Settings.from_env())
    traffic, found = Traffic(look.engine), now(look)
    append_rows(look.engine, [
        traffic.row(found, f"r{n}", f"e{n}", arm, n % 10 != 0 or arm == "champion", rolling.USUAL) | {"at": AT}
        for n in range(60) for arm in ("champion", "shadow")
    ])  # fmt: skip
    look.silence = lambda number: "the challenger does not answer: it ended"
    held = look.look()
    assert held is not None and (held.state, held.reasons[0]) == (RUNNING, look.silence(2))
    look.silence, look.judged_at = (lambda number: ""), -math.inf  # after a while
    after = look.look()
    assert after is not None
    assert after.state == DONE
    assert after.reasons == ("60 calls of the shadow without a fault; it answers 90.0% of 60 rows like the champion",)
    assert moving.in_production(moving.session(config)) == [1]
