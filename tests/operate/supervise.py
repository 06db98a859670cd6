"""A gateway's process, for a test to end: supervises the task in the working folder until it is told to stop."""

import sys
import time
from pathlib import Path

from ratchet.adapters import stops
from ratchet.operate.gateway import How, supervised
from tests import moving
from tests.operate.proxy import Proxy

if __name__ == "__main__":
    stops.hear()
    proxy = Proxy()
    with supervised(moving.session(Path(sys.argv[1])), proxy, How()):
        assert proxy.routes.champion
        print(proxy.routes.champion.url, flush=True)  # noqa: T201
        while True:
            time.sleep(1)
