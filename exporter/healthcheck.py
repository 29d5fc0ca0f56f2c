"""Ask a running exporter for its health, without loading what serves."""

import http.client
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import click

from exporter.flags import WEB_CONFIG_FILE, WEB_LISTEN_ADDRESS
from exporter.web.listeners import ListenAddress, UnixAddress

TIMEOUT: Final = 2.0
"""Seconds to wait for each step of a response."""

_PROGRAM: Final = "scaleengine-exporter"
_REFUSED: Final = "it is running, and refuses clients without a certificate"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where an exporter listens, and whether it may speak TLS there."""

    address: ListenAddress
    may_be_tls: bool


def read_command_line(process: int) -> bytes:
    """Return the command line of a process as proc(5) gives it; nothing if it cannot be read."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # the process may be hidden, or have ended
        return b""


def find_listener(command_line: bytes, environ: Mapping[str, str]) -> Listener:
    """Return the first address that the exporter with this command line listens on.

    Other flags and commands do not matter. Of a command line without the exporter, only the
    environment and the defaults count.
    """
    command = click.Command(
        _PROGRAM,
        params=[WEB_LISTEN_ADDRESS, WEB_CONFIG_FILE],
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    context = SimpleNamespace(environ=environ)
    flags = command.make_context(_PROGRAM, _list_arguments(command_line), obj=context).params
    return Listener(flags["web_listen_address"][0], flags["web_config_file"] is not None)


def check_health(listener: Listener) -> tuple[bool, str]:
    """Return whether an exporter is healthy, and what it says.

    An exporter that requires a password or a certificate, or is overloaded, is healthy: it
    responds.
    """
    try:
        return _request(listener)
    except (OSError, http.client.HTTPException) as error:
        return False, (
            f"no response from {listener.address}: {error}; start the exporter, or say where it "
            "listens with --web.listen-address"
        )


def _list_arguments(command_line: bytes) -> list[str]:
    """Return what follows the program; an interpreter or an init may come before it."""
    words = os.fsdecode(command_line).removesuffix("\0").split("\0")
    names = [Path(word).name for word in words]
    return words[names.index(_PROGRAM) + 1 :] if _PROGRAM in names else []


def _request(listener: Listener) -> tuple[bool, str]:
    address = listener.address
    if not listener.may_be_tls:
        return _get_health(_connect(address))
    try:
        connection = _start_tls(_connect(address))
    except (ssl.SSLError, ConnectionError) as error:
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            return True, _REFUSED
        return _get_health(_connect(address))
    try:
        return _get_health(connection)
    except (ssl.SSLError, ConnectionError):  # TLS 1.3 refuses a client after the handshake
        return True, _REFUSED


def _connect(address: ListenAddress) -> socket.socket:
    if isinstance(address, UnixAddress):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(TIMEOUT)
            connection.connect(str(address.path))
        except OSError:
            connection.close()
            raise
        return connection
    return socket.create_connection((address.host or "localhost", address.port), TIMEOUT)


def _start_tls(connection: socket.socket) -> ssl.SSLSocket:
    """Speak TLS without verifying the server: the request carries no secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no files that the environment names
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def _get_health(sock: socket.socket) -> tuple[bool, str]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = sock
    try:
        connection.request("GET", "/-/healthy", headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read().decode(errors="replace").strip()
        return response.status < HTTPStatus.INTERNAL_SERVER_ERROR, f"{response.status}: {body}"
    finally:
        connection.close()
