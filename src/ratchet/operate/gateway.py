"""What runs beside the gateway's event loop: the model servers of the versions in use, from its start to its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from ratchet.adapters import places, stops
from ratchet.adapters.registry import Version
from ratchet.operate import modelservers
from ratchet.operate.keeper import LONGEST_S, Keeper
from ratchet.operate.modelservers import FOLDERS
from ratchet.operate.supervisor import Followed, Gateway, Supervisor
from ratchet.serving.routes import Trial
from ratchet.settings import upstreams
from ratchet.stages import PRODUCTION
from ratchet.steps.session import Session

WAIT_S = 120.0  # for a model server elsewhere to come up, before callers are told that there is none


@dataclass(frozen=True)
class How:
    """How model servers are run. trial: see `Followed`; waits: the block begins when the first version answers."""

    env_manager: str = "local"
    stage: str = PRODUCTION
    trial: Callable[[], tuple[int, Trial] | None] = lambda: None
    waits: bool = True


@contextmanager
def supervised(session: Session, gateway: Gateway, how: How) -> Iterator[Supervisor]:
    """Keep the versions in use up and the gateway told of them; a SIGINT or SIGTERM inside ends the block quietly.

    RATCHET_UPSTREAMS names servers that run elsewhere.
    Raises RatchetError if no version is in the stage, or it cannot be served.
    """
    named = upstreams()
    places.clear(session.settings.home, FOLDERS)

    def keep(supervisor: Supervisor, version: Version) -> Keeper:
        def found() -> modelservers.Found:
            is_champion = version.number == supervisor.champion
            return modelservers.elsewhere(session, version, modelservers.addresses(named, version.number, is_champion))

        prepare = found if named else partial(modelservers.children, session, version, how.env_manager)
        longest_s = modelservers.AGAIN_S if named else LONGEST_S
        return Keeper(version.number, prepare, supervisor.changed, session.progress.note, longest_s)

    def want(number: int, is_champion: bool) -> int:
        if named:
            return len(modelservers.addresses(named, number, is_champion))
        return 2 if is_champion and session.task.serving.standby else 1

    supervisor = Supervisor(session, gateway, keep, want, Followed(how.stage, how.trial))
    try:
        supervisor.begin()
        if how.waits:
            supervisor.wait(WAIT_S if named else modelservers.LONGEST_START_S)
        try:
            yield supervisor
        except KeyboardInterrupt:
            session.progress.note("stopping")
    finally:
        with stops.uninterrupted():
            supervisor.end()
