"""Rollouts without servers: traffic is put on record as the gateway does it, and whoever looks does the rest."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Engine

from ratchet.adapters import captured, rollouts
from ratchet.adapters.captured import Outcome, written
from ratchet.adapters.rollouts import Rollout
from ratchet.operate.looking import Looker
from ratchet.serving.routes import Trial
from ratchet.settings import Settings
from tests import moving
from tests.adapters.capturing import append_rows

TERMS: dict[str, Any] = {"metric": "accuracy", "margin": 0.2, "minimum_rows": 40, "bake_s": 0}


@dataclass(frozen=True)
class Behaviour:
    """How an arm answers: right so often, failing so often, in about so many ms, with NaN so often."""

    right: float = 0.8
    fails: float = 0.0
    ms: float = 10.0
    nan: float = 0.0


USUAL = Behaviour()


@dataclass
class Traffic:
    """Requests of one row, each of an entity of its own, to the arm that it belongs to."""

    engine: Engine
    task: str = "small"
    seed: int = 1
    with_outcomes: float = 1.0
    numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def send(self, found: Rollout, count: int, challenger: Behaviour = USUAL, champion: Behaviour = USUAL) -> list[str]:
        """Put requests and their outcomes on record; the names of the challenger's."""
        trial = Trial(found.id, found.salt, found.percent)
        rows, outcomes, theirs = [], [], []
        for number in itertools.islice(self.numbers, count):
            name, entity = f"r{self.seed}-{number}", f"e{self.seed}-{number}"
            is_theirs = trial.has(entity)
            how, arm = (challenger, "challenger") if is_theirs else (champion, "champion")
            truth = self.draw.random() < 0.5
            called = truth if self.draw.random() < how.right else not truth
            row = self.row(found, name, entity, arm, called, how)
            rows.append(row)
            if row["answer"] is None:  # the champion answers in its place
                rows.append(self.row(found, name, entity, "champion", truth, champion) | {"at": row["at"]})
            if is_theirs:
                theirs.append(name)
            if self.draw.random() < self.with_outcomes:
                outcomes.append(Outcome(int(truth), datetime.now(UTC), request_id=name, row=0))
        append_rows(self.engine, rows)
        captured.append_outcomes(self.engine, self.task, outcomes)
        return theirs

    def row(self, found: Rollout, name: str, entity: str, arm: str, called: bool, how: Behaviour) -> dict[str, Any]:
        fails = arm == "challenger" and self.draw.random() < how.fails
        probability = None if self.draw.random() < how.nan else 0.5
        return {
            "task": self.task, "request_id": name, "row": 0, "at": written(datetime.now(UTC)), "entity": entity,
            "version": found.challenger if arm == "challenger" else found.champion, "arm": arm, "rollout": found.id,
            "status": 500 if fails else 200, "latency_ms": how.ms * self.draw.uniform(0.5, 1.5), "inputs": None,
            "answer": None if fails else {"label": int(called), "probability": probability}, "problem": "",
        }  # fmt: skip


def looker(settings: Settings, task: str = "small") -> Looker:
    return Looker(settings, captured.engine(settings), task)


def looked(at: Looker, when: datetime | None = None) -> Rollout:
    """Look once at a rollout that is under way; how it is then."""
    found = at.look(when)
    assert found is not None
    return found


def until_over(
    look: Callable[[], Rollout | None], traffic: Traffic, challenger: Behaviour, most: int = 40, count: int = 400
) -> tuple[Rollout, int]:
    """Send and look until the rollout has ended, or waits; how it is then, and how many of its requests it had."""
    touched = 0
    for _ in range(most):
        found = rollouts.open_of(traffic.engine, traffic.task)
        if found is None or found.state == rollouts.WAITING:
            break
        touched += len(traffic.send(found, count, challenger))
        look()
    last = rollouts.newest(traffic.engine, traffic.task)
    assert last is not None
    return last, touched


def prepared(store: Path, place: Path, **sections: Any) -> Path:
    """A copy of a store whose version 2 is in Staging; its task file with these terms of a rollout."""
    config = moving.copied(store, place)
    terms = TERMS | sections.pop("rollout", {})
    config.write_text(yaml.safe_dump(moving.SMALL | {"rollout": terms} | sections), encoding="utf-8")
    return config
