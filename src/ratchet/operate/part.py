"""The servers of the stack that are no databases: each is started, found healthy, stopped and started again."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from ratchet.adapters import servers
from ratchet.adapters.servers import Child

DEPLOY = Path(__file__).parents[3] / "deploy"
READY_S = 120  # an empty database is migrated first
Tell = Callable[[str], None]


class Part:
    """A server of the stack, which may be stopped and started again. child: its process, None while it is stopped."""

    def __init__(self, name: str, words: Sequence[str], log: Path, health: str, env: Mapping[str, str]) -> None:
        self.name, self.words, self.log, self.health, self.environment = name, words, log, health, env
        self.child: Child | None = None
        self._up = ExitStack()

    def start(self) -> None:
        """Start it; return when it is healthy.

        Raises ServerError with the end of its log if it is not.
        """
        child = self._up.enter_context(servers.running(self.name, self.words, self.log, env=self.environment))
        try:
            child.require(self.is_up, READY_S)
        except BaseException:
            self._up.close()
            raise
        self.child = child

    def stop(self) -> None:
        """Stop it, and whatever it left behind."""
        self._up.close()
        self.child = None

    def is_up(self) -> bool:
        """Whether it answers."""
        return servers.answers(self.health)


class Tracking(Part):
    """The tracking server, with the accounts for which the stack writes an environment."""

    def __init__(self, environment: Mapping[str, str], url: str, log: Path, tell: Tell = lambda text: None) -> None:
        words = ["bash", str(DEPLOY / "tracking" / "serve.sh")]
        super().__init__("mlflow server", words, log, f"{url}/health", environment)
        self.tell = tell

    def start(self) -> None:
        """Start it and make its accounts; return when it is healthy."""
        super().start()
        words = [sys.executable, str(DEPLOY / "accounts.py")]
        done = subprocess.run(words, env=dict(self.environment), capture_output=True, text=True, check=False)
        for line in done.stderr.strip().splitlines():
            self.tell(line)
