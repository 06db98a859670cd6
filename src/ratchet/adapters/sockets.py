"""Sockets that a server listens on."""

import socket
from typing import Any

from ratchet.errors import ServerError

BACKLOG = 4096


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that has the port; 0: any free one.

    Raises ServerError if another has it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, as asyncio looks before NODELAY
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ServerError(f"port {port}: {error.strerror}; name another with --port, or 0 for any") from None
    made.listen(BACKLOG)
    return made


def no_delay(connection: Any) -> None:
    """Send at once: with Nagle's algorithm each answer on a kept connection waits 40 ms for the caller's ACK."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
