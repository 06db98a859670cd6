"""What is away is waited for: again and again, with back-off and jitter, up to a limit, and people are told."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ratchet.errors import Away

if TYPE_CHECKING:
    from tenacity import RetryCallState

Answer = TypeVar("Answer")
FIRST_S, LONGEST_S = 0.2, 15
CALLS_AGAIN = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
# How a server says that what it stands on is away: its database, its bucket, or a worker that was stopped.
SIGNS = re.compile(
    r"OperationalError|InterfaceError|API request to|[Cc]onnection|timed? ?out|Max retries|too many 5\d\d"
    r"| 50[234]\b|\b429\b|database is locked"
)


FOR_GOOD = re.compile(
    r"authentication failed|does not exist|[Pp]ermission denied|error code 40[0134]|is full|readonly database"
)


def is_away(error: BaseException) -> bool:
    """Whether the same call may succeed later, with nothing changed by the user."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DBAPIError, PendingRollbackError

    error = cause_of(error)
    if FOR_GOOD.search(str(error)):
        return False
    if isinstance(error, MlflowException):
        passing = error.error_code in ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
        return passing or (error.error_code == "INTERNAL_ERROR" and bool(SIGNS.search(str(error))))
    if isinstance(error, PendingRollbackError):  # the connection broke within a transaction
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or bool(SIGNS.search(str(error)))
    return isinstance(error, requests.ConnectionError | requests.Timeout | Away)


def cause_of(error: BaseException) -> BaseException:
    """Return what the database said, which Optuna wraps in a guess."""
    from sqlalchemy.exc import SQLAlchemyError

    return error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error


@dataclass(frozen=True)
class Patience:
    """How long to wait for what is away, and whom to tell."""

    limit_s: float
    tell: Callable[[str], None] = lambda text: None

    def call(self, do: Callable[[], Answer], what: str, forever: bool = False) -> Answer:
        """Do it until it succeeds, or fails for another reason than that something is away.

        what: what is waited for, as people know it. Raises the last error after limit_s, unless it is forever.
        """
        import tenacity

        def told(state: "RetryCallState") -> None:
            error = state.outcome.exception() if state.outcome else None
            if state.attempt_number == 3 and error:  # a short absence is nobody's business
                reason = (str(cause_of(error)).splitlines() or [type(error).__name__])[0][:200]
                self.tell(f"waiting for {what}: {reason}")

        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_away),
            wait=tenacity.wait_random_exponential(multiplier=FIRST_S, max=LONGEST_S),
            stop=tenacity.stop_never if forever else tenacity.stop_after_delay(self.limit_s),
            before_sleep=told,
            reraise=True,
        )
        return again(do)


@contextmanager
def made_once() -> Iterator[None]:
    """Have MLflow's client give up at once inside: called again by itself it would make a second of what it made.

    Who calls looks for what the first call may have made, and then calls again.
    """
    with _ONCE.turn:
        if not _ONCE.inside:
            _ONCE.former = os.environ.get(CALLS_AGAIN)
        _ONCE.inside += 1
        os.environ[CALLS_AGAIN] = "0"
    try:
        yield
    finally:
        with _ONCE.turn:
            _ONCE.inside -= 1
            if not _ONCE.inside:
                del os.environ[CALLS_AGAIN]
                if _ONCE.former is not None:
                    os.environ[CALLS_AGAIN] = _ONCE.former


class _Once:
    """The setting is the whole process's: the last thread that leaves puts it back."""

    turn, inside = threading.Lock(), 0
    former: str | None = None


_ONCE = _Once()


NONE = Patience(0)
