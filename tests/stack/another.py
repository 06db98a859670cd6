"""A second tracking server on the same PostgreSQL, with another bucket behind it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ratchet.adapters.servers import free_port
from ratchet.operate.stack import Stack, Tracking


@contextmanager
def another_server(stack: Stack, folder: Path, bucket: str) -> Iterator[str]:
    """Yield its address. bucket: the address of what it takes for Google Cloud Storage."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {"STORAGE_EMULATOR_HOST": bucket, "MLFLOW_PORT": str(port), "MLFLOW_STATE": str(folder)}
    server = Tracking({**stack.tracking.environment, **own}, url, folder / "tracking.log")
    server.start()
    try:
        yield url
    finally:
        server.stop()
