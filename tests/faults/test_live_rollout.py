"""Versions are let in on live traffic by a real gateway: bad ones are taken off, a better one comes to Production."""

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from sqlalchemy import Engine, text

from ratchet.adapters import captured, rollouts, servers
from ratchet.adapters.rollouts import ABORTED, DONE, PROMOTING, RUNNING, WAITING, Rollout
from ratchet.core.verdict import HOLD
from ratchet.operate import rollout
from ratchet.steps import chronicle, promote
from ratchet.steps.session import Session
from tests import challengers, moving
from tests.end_to_end.commands import environment, run, settle
from tests.faults.counts import FULL, times
from tests.faults.live import Traffic, until
from tests.faults.test_moving_gateway import model_servers

TERMS: dict[str, Any] = {"metric": "accuracy", "margin": 0.1, "minimum_rows": 60, "bake_s": 1, "silence_s": 3,
                         "percents": [5, 20, 100]}  # fmt: skip
BETTER = {"models": ["xgboost"], "trials": 2, "folds": 2, "max_rounds": 60}
SUBTLY, MARGIN = times(0.305, 0.28), times(0.05, 0.02)  # off the threshold: 0.13, or 0.09, less accuracy
DEAD_S, BAKED_S = 6, 10  # a share stays for longer than silence is borne, so that a dead feed is told of in it
PER_S, CALM_PER_S, TIMEOUT_S, LONGEST_S = 250, 40, 4, 300
GONE_S = 10.0  # from the look that aborts to the last request that reaches the challenger, at the most


@dataclass
class Live:
    """A gateway with traffic on it. at: a session that moves versions."""

    place: Path
    at: Session
    engine: Engine
    port: int = field(default_factory=servers.free_port)
    traffic: Traffic = field(init=False)
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        self.traffic = Traffic(f"http://127.0.0.1:{self.port}", PER_S)

    def serve(self) -> float:
        """Start the gateway, and wait until a model answers; how many seconds that took."""
        words = ["ratchet", "serve", "-c", "small.yaml", "--port", str(self.port)]
        with (self.place / "serve.log").open("a") as log:
            self.process = subprocess.Popen(words, cwd=self.place, env=environment(), stdout=log, stderr=log)
        return until(lambda: servers.answers(f"{self.traffic.url}/ready"), 60)

    def begin(self, number: int, **terms: Any) -> Rollout:
        """Start the rollout of the version in Staging, by the usual terms but these; it answers some by then."""
        config = self.place / "terms.yaml"
        config.write_text(yaml.safe_dump(moving.SMALL | {"rollout": TERMS | terms}), encoding="utf-8")
        self.traffic.per_s, before = CALM_PER_S, len(self.traffic.answers)
        found = rollout.start(moving.session(config), number)
        until(lambda: any(answer.arm == "challenger" for answer in self.traffic.answers[before:]), LONGEST_S)
        self.traffic.per_s = PER_S
        return found

    def now(self) -> Rollout:
        """The newest rollout as it is now."""
        found = rollouts.newest(self.engine, "small")
        assert found is not None
        return found

    def calls(self, found: Rollout) -> "Calls":
        """What is on record of a rollout, once it has come to the database."""
        time.sleep(1.5)
        with captured.connected(self.engine) as connection:
            rows = connection.execute(
                text("SELECT entity, arm, status, at FROM requests WHERE rollout = :id ORDER BY sequence"),
                {"id": found.id},
            ).all()
        theirs = [row for row in rows if row.arm == "challenger"]
        return Calls({row.entity for row in rows}, {row.entity for row in theirs}, len(theirs),
                     sum(row.status != 200 for row in theirs), [moment(row.at) for row in theirs])  # fmt: skip


@dataclass(frozen=True)
class Calls:
    """Entities that came, those that the challenger was asked for, its calls, how many failed, and when each was."""

    entities: set[str]
    touched: set[str]
    made: int
    failed: int
    at: list[float]


def moment(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


@pytest.fixture(scope="module")
def live(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    place = tmp_path_factory.mktemp("live")
    config = moving.copied(store, place)
    serving = {"timeout_s": TIMEOUT_S, "standby": False}
    config.write_text(yaml.safe_dump(moving.SMALL | {"rollout": TERMS, "serving": serving}), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, place)
        at = moving.session(config)
        found = Live(place, at, captured.engine(at.settings))
        found.serve()
        try:
            with found.traffic as traffic:
                yield found
                traffic.quiet()
        finally:
            found.process.send_signal(signal.SIGTERM)
            assert found.process.wait(60) == 0


BAD = {
    "errors": challengers.ERRORS,
    "is subtly worse": challengers.calls_more_positive(SUBTLY),
    "answers NaN": challengers.NAN,
    "is slow": challengers.SLOW,
    "hangs": challengers.HANGS,
}
IN_CI = ("errors", "is subtly worse")


@pytest.mark.parametrize("how", BAD if FULL else IN_CI)
def test_a_challenger_is_taken_off_and_nobody_notices_when_it(how: str, live: Live) -> None:
    made = challengers.staged(live.at, BAD[how])
    first, began = len(live.traffic.answers), live.begin(made, margin=MARGIN)
    until(lambda: live.now().state != RUNNING, LONGEST_S)
    ended = live.now()
    assert (ended.state, ended.percent) == (ABORTED, 0.0), ended.reasons
    time.sleep(3)
    shown(how, live, began, first)


def test_a_challenger_that_never_works_gets_no_traffic_and_status_says_why(live: Live) -> None:
    made = challengers.staged(live.at, challengers.NEVER_WORKS)
    first = len(live.traffic.answers)
    live.traffic.per_s = CALM_PER_S
    rollout.start(live.at, made)
    until(lambda: "the challenger does not answer: " in " ".join(live.now().reasons), LONGEST_S)
    held = live.now()
    print(f"never works: {held.verdict}, {held.reasons[0]!r}")
    assert (held.state, held.percent, held.verdict) == (RUNNING, 5.0, HOLD)
    assert held.reasons[0].endswith("the model answered 400: ValueError: it never worked")
    status = run("ratchet", "rollout", "status", "-c", "small.yaml", cwd=live.place)
    assert held.reasons[0] in status.stdout.replace("\n", " "), status.stdout
    ended = run("ratchet", "rollout", "abort", "-c", "small.yaml", "--comment", "it never worked", cwd=live.place)
    assert ended.returncode == 0, ended.stderr
    assert {answer.arm for answer in live.traffic.answers[first:]} == {"champion"}
    assert not [answer for answer in live.traffic.answers[first:] if answer.status != 200]


def shown(how: str, live: Live, began: Rollout, first: int) -> None:
    """What has come of a rollout that was aborted, in figures, which must be right."""
    ended, calls, answers = live.now(), live.calls(began), live.traffic.answers[first:]
    steps = rollouts.steps(live.engine, began.id)
    aborted_at, widest = moment(steps[-1].at), max(step.percent for step in steps)
    share, allowed = len(calls.touched) / len(calls.entities), widest / 100
    slack = 4 * (allowed * (1 - allowed) / len(calls.entities)) ** 0.5
    failed = [answer for answer in answers if answer.status != 200]
    print(f"{how}: up {calls.at[0] - moment(began.share_since):.1f} s after the start, aborted"
          f" {aborted_at - calls.at[0]:.1f} s after its first request; {calls.made:,} rows reached it, of"
          f" which {calls.failed:,} failed; it touched {share:.2%} of {len(calls.entities):,} entities (widest share"
          f" {widest:g} %); the last {calls.at[-1] - aborted_at:+.1f} s from the abort; {len(answers):,} requests"
          f" answered, {len(failed)} failed, the slowest in {max(a.seconds for a in answers):.1f} s;"
          f" {'; '.join(ended.reasons)}")  # fmt: skip
    assert not failed, failed[:3]
    assert share <= allowed + slack
    assert calls.at[-1] - aborted_at < GONE_S
    assert answers[-1].arm == "champion"


def test_a_better_one_comes_to_production_past_a_dead_feed_and_a_killed_gateway(live: Live) -> None:
    config = live.place / "better.yaml"
    config.write_text(yaml.safe_dump(moving.SMALL | {"search": BETTER, "rollout": TERMS}), encoding="utf-8")
    number = promote.promote(moving.session(config), promote.Asked("staging")).version.number
    traffic, first = live.traffic, len(live.traffic.answers)

    traffic.tells = False
    began = live.begin(number, bake_s=BAKED_S)
    time.sleep(DEAD_S)
    held = live.now()
    assert (held.state, held.percent, held.verdict) == (RUNNING, 5.0, HOLD)
    assert "no outcome yet" in held.reasons
    print(f"a feed that is dead from the start: held for {DEAD_S} s, {held.reasons[0]!r}")

    traffic.tells = True
    until(lambda: live.now().percent > 5, LONGEST_S)
    traffic.tells = False
    until(lambda: any("no outcome for" in reason for reason in live.now().reasons), LONGEST_S)
    held = live.now()
    assert (held.state, held.percent, held.verdict) == (RUNNING, 20.0, HOLD)
    print(f"a feed that dies: held, {'; '.join(held.reasons)}")

    assert not [answer for answer in traffic.answers[first:] if answer.status != 200]
    servers_then = model_servers(psutil.Process(live.process.pid))
    assert len(servers_then) == 2
    killed = len(traffic.answers)
    live.process.kill()
    traffic.quiet()
    live.process.wait()
    lost = sum(answer.status == 0 for answer in traffic.answers[killed:])
    took_s = live.serve()
    again = len(traffic.answers)
    assert not [process for process in servers_then if process.is_running()]
    after = live.now()
    assert (after.id, after.state, after.percent) == (began.id, RUNNING, 20.0)
    traffic.per_s, traffic.tells = PER_S, True
    print(f"killed at 20 %: {lost} requests were on their way, or found nobody;"
          f" answers again {took_s:.1f} s after its start, and goes on at {after.percent:g} %")  # fmt: skip

    until(lambda: live.now().state not in (RUNNING, WAITING, PROMOTING), LONGEST_S)
    assert live.now().state == DONE, live.now().reasons
    until(lambda: traffic.answers[-1].version == str(number) and traffic.answers[-1].arm == "champion", LONGEST_S)
    time.sleep(2)
    answers = traffic.answers[first:killed] + traffic.answers[again:]
    steps = rollouts.steps(live.engine, began.id)
    print(f"version {number} came to Production {moment(steps[-1].at) - moment(steps[0].at):.0f} s after the start;"
          f" {len(answers):,} requests answered, {sum(a.status != 200 for a in answers)} failed;"
          f" {live.now().reasons}")  # fmt: skip
    for step in steps:
        print(f"  {step.at[11:19]} {step.action} {step.percent:g} %: {step.why}")
    assert not [answer for answer in answers if answer.status != 200]
    assert [(step.action, step.percent) for step in steps] == [
        ("start", 0), ("step", 5), ("step", 20), ("step", 100), ("done", 100)]  # fmt: skip
    assert moving.in_production(live.at) == [number]
    told = [entry.change.action for entry in chronicle.entries(live.at) if entry.change.version == number]
    moves = ["rollout-start", *["rollout-step"] * 3, "promote", "promote", "rollout-done"]  # intended, then made
    assert told[-7:] == moves, told
    verified = run("ratchet", "ledger", "verify", cwd=live.place)
    assert verified.returncode == 0, verified.stdout + verified.stderr
