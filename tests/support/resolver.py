"""A resolver that gives names the addresses of a test."""

import socket
from collections.abc import Sequence

import pytest

from exporter.scaleengine.connecting import PeerAddress


def resolve_to(
    patched: pytest.MonkeyPatch, addresses: Sequence[PeerAddress | str], suffix: str = ""
) -> None:
    """Give names that end in ``suffix`` these addresses; a text gets the port asked for.

    Names that end otherwise are looked up as before.
    """
    look_up = socket.getaddrinfo

    def resolve(host: str, port: int, *arguments: int, **named: int) -> object:
        if not host.endswith(suffix):
            return look_up(host, port, *arguments, **named)
        peers = [
            _add_port(address, port) if isinstance(address, str) else address
            for address in addresses
        ]
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", to) for family, to in peers]

    patched.setattr(socket, "getaddrinfo", resolve)


def _add_port(address: str, port: int) -> PeerAddress:
    if ":" in address:
        return PeerAddress(socket.AF_INET6, (address, port, 0, 0))
    return PeerAddress(socket.AF_INET, (address, port))
