"""The end of a rollout: its challenger comes to Production as by `ratchet promote`, unless it was stopped."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ratchet.adapters import captured, rollouts
from ratchet.adapters.rollouts import DONE, PROMOTING, WAITING, Step
from ratchet.errors import GateRefused
from ratchet.operate import settling
from ratchet.operate.looking import moment, who
from ratchet.operate.underway import under_way
from ratchet.steps import promote
from ratchet.steps.promote import Promoted
from ratchet.steps.session import Session

if TYPE_CHECKING:
    import sqlalchemy


def promoted(session: Session, why: str = "") -> Promoted:
    """Bring the challenger of a rollout that has passed all shares to Production, through the gates.

    Raises GateRefused with every reason, or where the rollout is not that far, or was stopped meanwhile.
    """
    engine, name = captured.engine(session.settings), session.task.name

    def claim() -> None:
        found = under_way(engine, name)
        if found.state not in (WAITING, PROMOTING):
            raise GateRefused(
                f"{name} version {found.challenger} stays in Staging: rollout {found.id} is {found.state}"
            )
        if not rollouts.changed(engine, found, {"state": PROMOTING}):
            raise GateRefused(f"{name} version {found.challenger} stays in Staging: rollout {found.id} was changed")

    def unclaimed() -> None:
        found = rollouts.open_of(engine, name)
        if found and found.state == PROMOTING:
            rollouts.changed(engine, found, {"state": WAITING})

    try:
        found = under_way(engine, name)
        if found.state not in (WAITING, PROMOTING):
            raise GateRefused(f"{name}: rollout {found.id} is {found.state} at {found.percent:g} %, not at its end")
        settling.settle(session)  # so that the ledger tells things in their order
        said = why or f"rollout {found.id} passed all shares"
        try:
            done = promote.promote(session, promote.Asked(number=found.challenger, why=said, claim=claim))
        except Exception:
            unclaimed()
            raise
        _finish(engine, name, found.challenger)
        settling.settle(session)
        return done
    finally:
        engine.dispose()


def _finish(engine: "sqlalchemy.Engine", task: str, number: int) -> None:
    """Say that it is done, unless a controller has seen it on the ledger before."""
    said = f"version {number} is in Production"
    now, found = moment(datetime.now(UTC)), rollouts.open_of(engine, task)
    if found:
        rollouts.changed(engine, found, {"state": DONE, "reasons": (said,), "updated_at": now},
                         Step(now, "done", found.percent, said, who()))  # fmt: skip
