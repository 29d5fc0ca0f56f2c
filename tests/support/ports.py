"""Ports of loopback that no other test or program takes meanwhile."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

LOWEST: Final = 10_000
HIGHEST: Final = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
"""From here on the kernel gives ports to any socket that connects, or asks for port 0 (ip(7))."""


def choose_port() -> int:
    """Return a free port, at random, that the kernel gives only to a socket that asks for it."""
    while True:
        port = random.randrange(LOWEST, HIGHEST)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


@contextmanager
def refusing_port() -> Iterator[int]:
    """Return a port where connections are refused: it is taken, and nothing listens there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
