"""Whatever is done to versions in whatever order: one champion, and a ledger that says who and how."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ratchet.core import history
from ratchet.errors import GateRefused, RatchetError
from ratchet.operate import reconcile, review
from ratchet.stages import ARCHIVED, NONE, PRODUCTION, STAGING
from ratchet.steps import chronicle, moves
from tests import moving
from tests.faults.counts import times

VERSIONS = st.integers(1, 5)
MOST_STATEMENTS = 250  # of a move, so that most kills come in its middle


class Killed(BaseException):
    """The end of a process, which nothing catches."""


@contextmanager
def killed_at(moment: int) -> Iterator[None]:
    """End the block at the statement of that number."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    left = moment

    def statement(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    event.listen(Engine, "before_cursor_execute", statement)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", statement)


class Versions(RuleBasedStateMachine):
    """The versions of one model; `stages` and `champions` are what they have to be."""

    place: Path
    store: Path

    @initialize()
    def begins(self) -> None:
        place = Path(tempfile.mkdtemp(dir=self.place))  # a new one each time: MLflow keeps a store open by its name
        os.environ.pop("MLFLOW_TRACKING_URI", None)  # which MLflow sets to the store before
        os.chdir(place)
        moving.copied(self.store, place)
        self.config = moving.task_in(place, approvals={"production": 1})
        self.at = moving.session(self.config)
        self.stages = {1: PRODUCTION}
        self.former: dict[int, int | None] = {1: None}  # of each champion, whom it was promoted over
        self.withdrawn = set[int]()  # the versions that were withdrawn, and are not asked for by number since
        self.emptied: int | None = None  # the version that left Production empty
        self.is_edited = False

    @property
    def champion(self) -> int | None:
        return next((number for number, stage in self.stages.items() if stage == PRODUCTION), None)

    def moved(self, number: int, stage: str) -> None:
        if stage == PRODUCTION:
            self.withdrawn.discard(number)
            self.emptied = None
        self.stages |= {n: ARCHIVED for n, s in self.stages.items() if s == stage and stage in (STAGING, PRODUCTION)}
        self.stages[number] = stage

    @precondition(lambda self: len(self.stages) < 5)
    @rule()
    def registers(self) -> None:
        (number,) = moving.again(self.at)
        self.stages[number] = NONE

    @rule(number=VERSIONS, to=st.sampled_from([STAGING, PRODUCTION]))
    def promotes(self, number: int, to: str) -> None:
        if number not in self.stages:
            return
        if self.is_edited:
            with pytest.raises(RatchetError, match=r"changed past the ledger|are all in"):
                moving.promote(self.at, number, to)
        elif self.stages[number] == ARCHIVED and number in self.former:
            with pytest.raises(GateRefused, match=r"comes back by `ratchet rollback"):
                moving.promote(self.at, number, to)
        else:
            moving.promote(self.at, number, to)
            if self.stages[number] not in (to, PRODUCTION):
                self._promoted(number, to)

    def _promoted(self, number: int, to: str) -> None:
        if self.stages[number] != STAGING:
            self.moved(number, STAGING)
        if to == PRODUCTION:
            self.former[number] = self.champion
            self.moved(number, PRODUCTION)

    @rule()
    def rolls_back(self) -> None:
        left = self.champion or self.emptied
        number = self.former[left] if left else None
        if self.is_edited:
            with pytest.raises(RatchetError, match=r"changed past the ledger"):
                moving.back(self.at)
        elif number is None:
            with pytest.raises(RatchetError, match="had no champion before it"):
                moving.back(self.at)
        elif number in self.withdrawn:
            with pytest.raises(
                RatchetError, match=r"was withdrawn at .* because: it approves everybody; to bring it back"
            ):
                moving.back(self.at)
        else:
            assert moving.back(self.at) == number
            self.moved(number, PRODUCTION)

    @rule(again=st.booleans())
    def withdraws(self, again: bool) -> None:
        if self.is_edited:
            with pytest.raises(RatchetError, match=r"changed past the ledger"):
                moving.withdrawn(self.at)
        elif (number := self.champion) is None:
            with pytest.raises(RatchetError, match="nothing is in Production, so there is nothing to withdraw"):
                moving.withdrawn(self.at)
        else:
            assert moving.withdrawn(self.at) == number
            self.stages[number] = ARCHIVED
            self.withdrawn.add(number)
            self.emptied = number
            if again:
                with pytest.raises(RatchetError, match="to bring it back all the same, name it"):
                    moving.back(self.at, number)
                assert moving.back(self.at, number, "the alarm was false") == number
                self.moved(number, PRODUCTION)

    @precondition(lambda self: not self.is_edited)
    @rule(number=VERSIONS)
    def refuses(self, number: int) -> None:
        if number in self.stages and self.stages[number] != PRODUCTION:
            review.review(self.at, number, "refuse", PRODUCTION, "the rows of March are missing")

    @precondition(lambda self: not self.is_edited)
    @rule(number=VERSIONS, moment=st.integers(1, MOST_STATEMENTS), way=st.sampled_from(["promote", "back", "withdraw"]))
    def is_killed(self, number: int, moment: int, way: str) -> None:
        before, left = self.champion, self.champion or self.emptied
        if number not in self.stages or (number in self.former and way == "promote"):
            return
        after = {"promote": number, "back": self.former[left] if left else None, "withdraw": None}[way]
        try:
            with killed_at(moment):
                {"promote": lambda: moving.promote(self.at, number), "back": lambda: moving.back(self.at),
                 "withdraw": lambda: moving.withdrawn(self.at)}[way]()  # fmt: skip
        except Killed:  # the next command is another process, which knows nothing of what was on its way in this one
            self.at = moving.session(self.config)
        except RatchetError:
            assert way != "promote"
            assert before is None if way == "withdraw" else (after is None or after in self.withdrawn)
        if self.at.spool.fault:  # the kill came where the end of a refused command was sent: the next one is anew
            self.at = moving.session(self.config)
        now = next(iter(moving.in_production(self.at)), None)
        assert now in {before, after}
        assert reconcile.reconcile(self.at, "look") == [], "the next command mends it"
        assert next(iter(moving.in_production(self.at)), None) == now, "and keeps what was reached"
        self.stages = {n: stage for n, (stage, _) in moving.stages(self.at).items()}
        if now != before:
            self._reached(now, before, way)

    def _reached(self, now: int | None, before: int | None, way: str) -> None:
        if now is None:
            assert before
            self.withdrawn.add(before)
            self.emptied = before
            return
        if way == "promote":
            self.former[now] = before
        self.withdrawn.discard(now)
        self.emptied = None

    @rule(number=VERSIONS, to=st.sampled_from([NONE, STAGING, PRODUCTION, ARCHIVED]), archive=st.booleans())
    def is_edited_in_the_ui(self, number: int, to: str, archive: bool) -> None:
        if number in self.stages and not self.is_edited:
            moving.edited(self.at, number, to, archive and to in (STAGING, PRODUCTION))
            self.is_edited = to != self.stages[number]

    @precondition(lambda self: self.is_edited)
    @rule()
    def is_reverted(self) -> None:
        assert reconcile.reconcile(self.at, "revert")
        self.is_edited = False

    @invariant()
    def there_is_one_champion_or_none_and_the_ledger_says_the_same(self) -> None:
        if self.is_edited:
            return
        found = moving.stages(self.at)
        assert {number: stage for number, (stage, _) in found.items()} == self.stages
        assert [n for n, (_, aliases) in found.items() if "champion" in aliases] == [self.champion][
            : bool(self.champion)
        ]
        entries = chronicle.entries(self.at)
        assert moves.drift(self.at, entries) == []
        emptied = history.vacancy(entries)
        assert (emptied.change.version if emptied else None) == self.emptied
        assert {n for n in self.stages if history.withdrawal(entries, n)} == self.withdrawn

    def teardown(self) -> None:
        if hasattr(self, "at"):
            entries = chronicle.all_entries(self.at.settings)
            assert moving.whole(entries)
            assert chronicle.fault(self.at.client, self.at.settings, entries) is None
            self.at.spool.close()


def test_in_any_order_of_moves_withdrawals_reviews_kills_and_edits_the_ledger_and_the_registry_agree(
    store: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.as_user(monkeypatch, "a reviewer")
    Versions.store, Versions.place = store, workplace
    often = settings(
        max_examples=times(4, 60), stateful_step_count=times(12, 30), deadline=None,
        suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip
    run_state_machine_as_test(Versions, settings=often)
