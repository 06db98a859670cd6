"""Versions come and go under load, processes are killed, records are forged: callers notice nothing of it."""

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ratchet.adapters import records, registry, servers, tether
from ratchet.console import Quiet
from ratchet.errors import ServerError
from ratchet.operate import reconcile
from ratchet.operate.gateway import How, supervised
from ratchet.operate.supervisor import Supervisor
from ratchet.serving.routes import Backend, Trial
from ratchet.stages import PRODUCTION, STAGING
from ratchet.steps.session import Session
from tests import moving
from tests.end_to_end.commands import ROOT, environment, settle, start
from tests.operate.proxy import Load, Proxy


class Heard(Quiet):
    def __init__(self) -> None:
        self.notes = list[str]()

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Stage:
    """A task whose version 1 answers through a small gateway."""

    session: Session
    proxy: Proxy
    supervisor: Supervisor
    heard: Heard
    trials: list[tuple[int, Trial]]

    @property
    def champion(self) -> Backend:
        assert self.proxy.routes.champion
        return self.proxy.routes.champion

    def load(self) -> Load:
        return Load(self.proxy.url, dict(self.champion.sample[0]))

    def servers(self) -> int:
        """How many servers of the champion are up."""
        return self.supervisor._keepers[self.champion.version].up

    def heard_of(self, words: str) -> int:
        return sum(words in note for note in self.heard.notes)


def until(is_so: Callable[[], bool], limit_s: float = 120) -> float:
    """Wait for it; how long it took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < limit_s, "it never came to that"
        time.sleep(0.01)
    return time.monotonic() - began


def listener(url: str) -> int:
    """The process that listens at an address."""
    port = f":{url.rpartition(':')[2]}"
    inode = next(
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].rpartition(":")[2], 16) == int(port[1:])
    )
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) == f"socket:[{inode}]" for link in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    raise AssertionError(f"nobody listens at {url}")


@pytest.fixture(scope="module")
def stage(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    place = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, place)
        heard = Heard()
        session = replace(moving.session(moving.copied(store, place)), progress=heard)
        moving.again(session, 2)
        proxy, trials = Proxy(), list[tuple[int, Trial]]()
        with (
            proxy.listening(),
            supervised(session, proxy, How(trial=lambda: trials[0] if trials else None)) as supervisor,
        ):
            yield Stage(session, proxy, supervisor, heard, trials)


def test_no_request_fails_while_a_version_is_promoted_and_while_it_is_rolled_back(stage: Stage) -> None:
    with stage.load() as load:
        until(lambda: sum(load.asked.values()) > 20)
        moving.promote(stage.session, 2)
        until(lambda: stage.champion.version == 2)
        until(lambda: "2" in load.versions)
        moving.back(stage.session)
        until(lambda: stage.champion.version == 1)
        until(lambda: list(stage.supervisor._keepers) == [1])
    assert load.failed == 0, load.asked
    assert load.versions == {"1", "2"}
    assert stage.heard_of("version 2: nobody recorded its answers") == 1


def test_no_request_fails_when_a_model_process_is_killed_and_another_one_is_started(stage: Stage) -> None:
    until(lambda: stage.servers() == 2)
    first = stage.champion.url
    with stage.load() as load:
        until(lambda: sum(load.asked.values()) > 20)
        os.kill(listener(first), signal.SIGKILL)
        took_s = until(lambda: stage.champion.url != first)
        until(lambda: stage.servers() == 2)
    assert load.failed == 0, load.asked
    assert took_s < 1
    assert stage.heard_of("the model server has ended") == 1


def test_while_no_process_is_left_nobody_answers_and_it_comes_back_by_itself(stage: Stage) -> None:
    until(lambda: stage.servers() == 2)
    keeper = stage.supervisor._keepers[1]
    for backend in list(keeper._up):
        os.kill(listener(backend.url), signal.SIGKILL)
    until(lambda: stage.proxy.routes.champion is None)
    until(lambda: stage.proxy.routes.champion is not None)
    with stage.load() as load:
        until(lambda: sum(load.asked.values()) > 5)
    assert load.failed == 0


def test_a_version_that_answers_otherwise_than_evaluate_recorded_never_takes_over(stage: Stage) -> None:
    client = stage.session.client
    first = client.get_model_version("small", "1")
    report = records.read_json(client, first.tags["ratchet.evaluate_run"], "evaluation.json")
    report["answers"][1]["probability"] += 1e-12
    forged = client.create_run(client.get_run(first.run_id).info.experiment_id).info.run_id
    client.log_dict(forged, report, "evaluation.json")
    client.set_model_version_tag("small", "3", "ratchet.evaluate_run", forged)
    with stage.load() as load:
        moving.promote(stage.session, 3)
        until(lambda: stage.heard_of("version 3: version 3 does not take over: it answers sample row 2") > 0)
        time.sleep(3)
        assert moving.in_production(stage.session) == [3]
        assert stage.champion.version == 1
        moving.back(stage.session)
        until(lambda: list(stage.supervisor._keepers) == [1])
    assert load.failed == 0
    assert load.versions == {"1"}
    assert stage.heard_of("does not take over") == 1, "it is told once, however often it is tried"
    stage.trials[:] = [(3, Trial(1, "salt", 5))]
    until(lambda: "the challenger does not answer: version 3 does not take over" in (stage.supervisor.silence(3) or ""))
    assert stage.proxy.routes.challenger is None
    assert stage.supervisor.silence(1) == ""
    stage.trials.clear()
    until(lambda: list(stage.supervisor._keepers) == [1])


def test_a_challenger_is_started_for_a_rollout_and_leaves_with_it(stage: Stage) -> None:
    trial = Trial(1, "salt", 5)
    stage.trials[:] = [(2, trial)]
    until(lambda: stage.proxy.routes.challenger is not None)
    assert stage.proxy.routes.trial == trial
    assert stage.champion.version == 1
    stage.trials[:] = [(2, replace(trial, percent=10))]
    until(lambda: stage.proxy.routes.trial == replace(trial, percent=10), 5)
    assert stage.proxy.routes.challenger
    os.kill(listener(stage.proxy.routes.challenger.url), signal.SIGKILL)
    until(lambda: stage.proxy.routes.challenger is None, 2)
    assert stage.proxy.routes.trial is None
    assert stage.champion.version == 1
    stage.trials.clear()
    until(lambda: list(stage.supervisor._keepers) == [1])


def test_a_registry_that_is_away_is_told_once_and_the_last_good_version_goes_on(stage: Stage) -> None:
    lock = sqlite3.connect("mlflow.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        with stage.load() as load:
            until(lambda: stage.heard_of("the registry cannot be followed") > 0)
            until(lambda: sum(load.asked.values()) > 20)
    finally:
        lock.rollback()
        lock.close()
    until(lambda: stage.heard_of("the registry is followed again") > 0)
    assert load.failed == 0
    assert stage.heard_of("the registry cannot be followed") == 1


def test_a_challenger_is_taken_off_also_while_the_registry_is_away(stage: Stage) -> None:
    stage.trials[:] = [(2, Trial(1, "salt", 5))]
    until(lambda: stage.proxy.routes.challenger is not None)
    lock = sqlite3.connect("mlflow.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        time.sleep(2)
        stage.trials.clear()
        took_s = until(lambda: stage.proxy.routes.challenger is None, 10)
    finally:
        lock.rollback()
        lock.close()
    assert took_s < 4
    until(lambda: list(stage.supervisor._keepers) == [1])


def test_servers_that_run_elsewhere_are_proven_and_followed_in_the_same_way(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_UPSTREAMS", stage.champion.url)
    proxy = Proxy()
    with supervised(stage.session, proxy, How()):
        assert proxy.routes.champion == stage.champion
    assert servers.answers(f"{stage.champion.url}/ping"), "it was not ours to stop"
    monkeypatch.setenv("RATCHET_UPSTREAMS", f"7={stage.champion.url}")
    named = pytest.raises(ServerError, match="names no model server of version 1")
    with named, supervised(stage.session, proxy, How()):
        pass


def test_a_version_that_somebody_moved_past_the_alias_is_followed_by_its_stage(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = moving.copied(store, tmp_path)
    settle(monkeypatch, tmp_path)
    at = moving.session(config)
    moving.again(at)
    assert registry.holder(at.client, "small", STAGING) is None
    moving.edited(at, 2, PRODUCTION, archive=True)
    found = registry.holder(at.client, "small", PRODUCTION)
    assert found
    assert found.number == 2
    assert found.aliases == ()


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_model_process_outlives_its_gateway(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals, code: int
) -> None:
    config = moving.copied(store, tmp_path)
    env = environment(PYTHONPATH=f"{ROOT / 'src'}:{ROOT}")
    gateway = start(sys.executable, "-m", "tests.operate.supervise", config, cwd=tmp_path, env=env)
    assert gateway.stdout
    url = gateway.stdout.readline().strip()
    assert url.startswith("http"), url + gateway.stdout.read()
    child = listener(url)
    os.kill(gateway.pid, sign)
    assert gateway.wait(30) == code
    until(lambda: not tether.members(os.getpgid(child)) if Path(f"/proc/{child}").exists() else True, 10)
    assert not servers.answers(f"{url}/ping")
    left = list((tmp_path / ".ratchet").glob("serving.*"))
    assert len(left) == (sign == signal.SIGKILL)


def test_a_withdrawn_version_answers_nobody_within_a_poll_and_the_gateway_goes_on_with_the_next_one(
    stage: Stage,
) -> None:
    assert stage.champion.version == 1
    last = stage.champion
    moving.withdrawn(stage.session)
    until(lambda: stage.proxy.routes.withdrawn is not None, 5)
    withdrawn = stage.proxy.routes.withdrawn
    assert withdrawn and (withdrawn.version, withdrawn.last) == (1, last)
    assert stage.proxy.routes.champion is None
    until(lambda: list(stage.supervisor._keepers) == [])
    assert stage.heard_of("version 1 was withdrawn at") == 1

    heard = Heard()
    with supervised(replace(stage.session, progress=heard), Proxy(), How()) as again:
        described = again.routes.withdrawn
        assert described and described.last, "a gateway that starts now knows what the last version read"
        assert (described.version, described.last.signature, described.last.sample) == (1, last.signature, last.sample)

    moving.back(stage.session, 1, "the alarm was false")
    until(lambda: stage.proxy.routes.champion is not None)
    assert stage.champion.version == 1
    assert stage.proxy.routes.withdrawn is None


def test_a_version_that_was_only_clicked_out_of_production_goes_on_until_that_is_adopted(stage: Stage) -> None:
    moving.edited(stage.session, 1, "Archived")
    until(lambda: stage.heard_of("no version is in Production; version 1 goes on") > 0)
    assert stage.champion.version == 1
    reconcile.reconcile(stage.session, "adopt", "it was meant")
    until(lambda: stage.proxy.routes.withdrawn is not None, 10)
    moving.back(stage.session, 1, "it is needed")
    until(lambda: stage.proxy.routes.champion is not None)
