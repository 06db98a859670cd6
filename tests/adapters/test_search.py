"""The study: an exact budget, a grid that stays on its points, nothing lost by a failure or a raised budget."""

import inspect
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, _cached_storage

from ratchet.adapters import database, schema, search, study
from ratchet.adapters.search import Outcome
from ratchet.adapters.study import Ask, Plan, Trial
from ratchet.config import Search
from ratchet.errors import ServerError, TrainError
from ratchet.settings import Settings


def plan(queue: list[dict[str, Any]] | None = None, exhaustive: bool = False, **section: Any) -> Plan:
    def propose(ask: Ask) -> tuple[str, dict[str, Any]]:
        return ask.choice("family", ["one"]), {"x": ask.number("one.x", 1, 100, False, True)}

    settings = Search(**({"timeout_s": 60, "sampler": "random"} | section))
    return Plan("study", propose, queue or [], exhaustive, "roc_auc", settings)


def point(x: int) -> dict[str, Any]:
    return {"family": "one", "one.x": x}


def score(family: str, params: Any, report: Any) -> Outcome:
    return Outcome(params["x"] / 100, [params["x"] / 100])


def tune(planned: Plan, place: Path, objective: Any = None) -> list[Trial]:
    return together(objective or score, planned, place).trials


def together(objective: Any, planned: Plan, place: Path, on_trial: Any = None, claim: str = "search") -> search.Ended:
    url = f"sqlite:///{place / 'r.db'}"
    settings = Settings("", url, (), place)
    schema.ready(settings)
    claimed = partial(database.lock, settings, claim)
    return search.tune(objective, planned, url, claimed, on_trial or (lambda trials, budget: None))


def tried(trials: list[Trial], status: str = "complete") -> list[int]:
    return [trial.params["x"] for trial in trials if trial.status == status]


def test_the_budget_is_met_exactly_and_a_raised_one_goes_on(tmp_path: Path) -> None:
    assert len(tune(plan(trials=3), tmp_path)) == 3
    more = tune(plan(trials=5), tmp_path)
    assert len(more) == 5
    assert len(tune(plan(trials=5), tmp_path)) == 5
    assert study.best(more, "roc_auc").params["x"] == max(tried(more))


def test_workers_that_begin_at_the_same_moment_on_a_fresh_store_make_its_tables_once(tmp_path: Path) -> None:
    def of_task(number: int) -> list[Trial]:
        planned = replace(plan(trials=3), study=f"study {number % 2}")
        return together(score, planned, tmp_path, claim=f"search {number % 2}").trials

    with ThreadPoolExecutor(6) as workers:
        found = list(workers.map(of_task, range(6)))
    assert [len(trials) for trials in found] == [3] * 6


def test_a_grid_tries_its_points_and_no_others_also_when_the_budget_is_raised(tmp_path: Path) -> None:
    points = [1, 50, 100, 25]
    queue = [point(x) for x in points]
    assert tried(tune(plan(queue, exhaustive=True, trials=2), tmp_path)) == [1, 50]
    assert tried(tune(plan(queue, exhaustive=True, trials=40), tmp_path)) == points


def test_a_point_that_failed_is_tried_again(tmp_path: Path) -> None:
    failures = []

    def once(family: str, params: Any, report: Any) -> Outcome:
        if params["x"] == 50 and not failures:
            failures.append(params["x"])
            raise ValueError("bad luck")
        return Outcome(params["x"] / 100, [])

    trials = tune(plan([point(1), point(50)], exhaustive=True, trials=9), tmp_path, once)
    assert sorted(tried(trials)) == [1, 50]
    assert tried(trials, "failed") == [50]


def test_an_interrupted_start_is_not_lost(tmp_path: Path) -> None:
    def stopped(family: str, params: Any, report: Any) -> Outcome:
        if params["x"] == 50:
            raise KeyboardInterrupt
        return Outcome(0.5, [])

    with pytest.raises(KeyboardInterrupt):
        tune(plan([point(1), point(50)], trials=3), tmp_path, stopped)
    assert tried(tune(plan([point(1), point(50)], trials=3), tmp_path))[:2] == [1, 50]


def test_what_never_works_ends_with_the_reason(tmp_path: Path) -> None:
    def broken(family: str, params: Any, report: Any) -> Outcome:
        raise ValueError("no folds here")

    with pytest.raises(TrainError, match="no trial was completed; the last one failed: one: no folds here"):
        tune(plan(trials=2), tmp_path, broken)


def test_a_start_that_always_fails_does_not_keep_the_search_from_others(tmp_path: Path) -> None:
    def picky(family: str, params: Any, report: Any) -> Outcome:
        if params["x"] == 50:
            raise ValueError("never")
        return Outcome(params["x"] / 100, [])

    trials = tune(plan([point(1), point(50), point(100)], trials=8), tmp_path, picky)
    assert len(tried(trials)) == 8
    assert len(tried(trials, "failed")) == study.RETRIES


def test_a_fault_in_one_thread_ends_the_search_with_that_fault(tmp_path: Path) -> None:
    main = threading.get_ident()

    def watch(trials: list[Trial], budget: int) -> None:
        if threading.get_ident() != main:
            raise ServerError("the tracking server is away")

    def slow(family: str, params: Any, report: Any) -> Outcome:
        for fold in range(100):
            time.sleep(0.02 if threading.get_ident() == main else 0)
            if threading.get_ident() == main:
                report(fold, 0.5)
        return Outcome(0.5, [])

    with pytest.raises(ServerError, match="the tracking server is away"):
        together(slow, plan(trials=4, jobs=2), tmp_path, watch)


def test_a_trial_that_was_begun_by_nobody_is_run_again(tmp_path: Path) -> None:
    planned = plan(trials=2, timeout_s=20)
    tune(plan(trials=1), tmp_path)
    study = optuna.load_study(study_name=planned.study, storage=f"sqlite:///{tmp_path / 'r.db'}")
    study.ask()  # killed before it could say who it was
    assert len(tried(tune(planned, tmp_path))) == 2


def test_a_trial_past_the_time_is_given_up_between_rounds_and_time_is_left_for_the_last_fits(tmp_path: Path) -> None:
    def slow(family: str, params: Any, report: Any) -> Outcome:
        for fold in range(2):
            for _ in range(20):  # as boosting rounds
                time.sleep(0.02)
                report.check()
            report(fold, 0.5)
        return Outcome(0.5, [0.5, 0.5])

    schema.ready(Settings("", f"sqlite:///{tmp_path / 'r.db'}", (), tmp_path))
    planned = replace(plan(trials=50, timeout_s=4), last_fits_s=lambda trial: 2.0)
    ended = together(slow, planned, tmp_path)
    assert time.monotonic() - planned.began < 4 - 2.0 + 1.5
    assert ended.early == "search.timeout_s (4 s) is over"
    assert [trial.status for trial in ended.trials].count("complete") >= 1


def test_a_first_trial_that_is_too_slow_is_judged_by_the_folds_that_it_had_time_for(tmp_path: Path) -> None:
    def slow(family: str, params: Any, report: Any) -> Outcome:
        folds: list[float] = []
        for fold in range(50):
            time.sleep(0.2)
            folds.append(0.5)
            report(fold, 0.5)
            if report.is_last():
                break
        return Outcome(0.5, folds)

    (trial,) = together(slow, plan(trials=50, timeout_s=1), tmp_path).trials
    assert trial.status == "complete"
    assert 1 <= len(trial.folds) <= 7
    whole = replace(trial, folds=[0.4] * 50, score=0.4, number=1)
    assert study.best([trial, whole], "roc_auc") is whole, "what saw all folds is not beaten by luck on a few"


def test_threads_share_the_budget(tmp_path: Path) -> None:
    threads = set()

    def score(family: str, params: Any, report: Any) -> Outcome:
        threads.add(threading.get_ident())
        return Outcome(params["x"] / 100, [])

    assert len(tune(plan(trials=8, jobs=2), tmp_path, score)) == 8
    assert len(threads) == 2


def test_a_pruned_trial_counts_and_keeps_its_folds(tmp_path: Path) -> None:
    def score(family: str, params: Any, report: Any) -> Outcome:
        return Outcome(0.1, [0.1], pruned=params["x"] != 100)

    trials = tune(plan([point(100)], trials=3), tmp_path, score)
    assert [trial.status for trial in trials] == ["complete", "pruned", "pruned"]
    assert trials[1].folds == [0.1]


def test_importance_names_the_parameter_that_moved_the_score(tmp_path: Path) -> None:
    planned = plan(trials=12)
    tune(planned, tmp_path)
    assert study.importance(planned, f"sqlite:///{tmp_path / 'r.db'}", "one") == {"x": pytest.approx(1)}


def test_each_call_of_optunas_cache_waits_for_a_database_that_is_away() -> None:
    source = inspect.getsource(_cached_storage)
    called = set(re.findall(r"self\._backend\.(\w+)", source))
    without_database = {"get_heartbeat_interval", "get_heartbeat_stale_trial_callback"}
    assert called - without_database <= BaseStorage.__abstractmethods__ | set(study.BEYOND)


def test_a_database_that_cannot_be_opened_is_named_without_its_password() -> None:
    url = "postgresql+psycopg2://u:secret@127.0.0.1:1/x"
    with pytest.raises(ServerError, match=r"RATCHET_DATABASE_URL \(postgresql\+psycopg2://u:\*\*\*@127"):
        search.tune(lambda *_: Outcome(0, []), plan(), url, nullcontext, lambda *_: None)
