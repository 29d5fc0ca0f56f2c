"""Ask the exporter of this container for its health: 0 if it answers that it is well, else 1.

It is asked where it listens, as the flags of process 1 and the environment say.
"""

import http.client
import os
import socket
import ssl
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import click

from exporter.flags import WEB_CONFIG_FILE, WEB_LISTEN_ADDRESS
from exporter.web.addresses import Address, UnixAddress

PROGRAM: Final = "scaleengine-exporter"
PATIENCE: Final = 2.0
"""Seconds to wait for each step of an answer."""

_TURNED_AWAY: Final = (True, "it is there, for clients with a certificate only")


def main(command_line: bytes, environ: Mapping[str, str]) -> int:
    """Print what the exporter with this command line, as proc(5) gives it, says of its health."""
    address, may_be_tls = _parse_flags(_arguments(command_line), environ)
    try:
        healthy, said = _ask(address, tls=may_be_tls)
    except (OSError, http.client.HTTPException) as error:
        healthy, said = False, f"no answer: {error!r}"
    sys.stdout.write(f"{said}\n")
    return 0 if healthy else 1


def _arguments(command_line: bytes) -> list[str]:
    """Return what follows the program: an interpreter, or an init, may stand before it."""
    words = os.fsdecode(command_line).removesuffix("\0").split("\0")
    names = [Path(word).name for word in words]
    return words[names.index(PROGRAM) + 1 :] if PROGRAM in names else []


def _parse_flags(arguments: list[str], environ: Mapping[str, str]) -> tuple[Address, bool]:
    """Return the first address that the exporter listens on, and whether it may speak TLS there.

    What other flags and commands there are does not matter.
    """
    command = click.Command(
        PROGRAM,
        params=[WEB_LISTEN_ADDRESS, WEB_CONFIG_FILE],
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    obj = SimpleNamespace(environ=environ)
    flags = command.make_context(PROGRAM, arguments, obj=obj).params
    return flags["web_listen_address"][0], flags["web_config_file"] is not None


def _ask(address: Address, *, tls: bool) -> tuple[bool, str]:
    """Return whether the exporter is well, and its words; ``tls`` where it may speak that."""
    if not tls:
        return _answer(_connected(address))
    try:
        connection = _secured(_connected(address))
    except (ssl.SSLError, ConnectionError) as error:
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            return _TURNED_AWAY
        return _answer(_connected(address))
    try:
        return _answer(connection)
    except (ssl.SSLError, ConnectionError):  # TLS 1.3 refuses a client after the handshake
        return _TURNED_AWAY


def _connected(address: Address) -> socket.socket:
    if isinstance(address, UnixAddress):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(address.path))
        return connection
    return socket.create_connection((address.host or "localhost", address.port), PATIENCE)


def _secured(connection: socket.socket) -> ssl.SSLSocket:
    """Speak TLS with whoever is there: no secret is sent to him, and he is only asked how he is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no files that the environment names
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def _answer(connection: socket.socket) -> tuple[bool, str]:
    """Ask for the health; who asks for a password, or for patience, is well enough to do so."""
    asking = http.client.HTTPConnection("localhost")
    asking.sock = connection
    try:
        asking.request("GET", "/-/healthy", headers={"Connection": "close"})
        answer = asking.getresponse()
        said = answer.read().decode(errors="replace").strip()
        return answer.status < HTTPStatus.INTERNAL_SERVER_ERROR, f"{answer.status}: {said}"
    finally:
        asking.close()


if __name__ == "__main__":
    sys.exit(main(Path("/proc/1/cmdline").read_bytes(), os.environ))
