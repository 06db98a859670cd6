"""What the adapters' tests share."""

import signal
from collections.abc import Iterator

import pytest

from ratchet.adapters import stops


@pytest.fixture
def heard() -> Iterator[None]:
    """Signals are heard as under the command line, and as before at the end."""
    former = {sign: signal.getsignal(sign) for sign in stops.STOPS}
    stops.hear()
    yield
    for sign, handler in former.items():
        signal.signal(sign, handler)
