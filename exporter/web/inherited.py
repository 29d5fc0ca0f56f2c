"""Sockets that systemd listens on and hands over, as sd_listen_fds(3) describes it."""

import socket
from collections.abc import MutableMapping
from typing import Final

import structlog

from exporter.web.addresses import ListenError, close

log: Final = structlog.get_logger(__name__)

_FIRST: Final = 3  # SD_LISTEN_FDS_START
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def inherited(
    environ: MutableMapping[str, str], process: int, first: int = _FIRST
) -> list[socket.socket]:
    """Return the sockets that this process, by its id, was started with; none is the usual case.

    They listen already, and are used instead of ``--web.listen-address``, which the log says.
    Their files are systemd's: ``close`` leaves them. The variables that tell of them are taken out
    of ``environ``, because they mean nobody else. Raises ListenError.
    """
    pid, count, _ = (environ.pop(name, "") for name in _VARIABLES)
    if pid != str(process):
        return []
    if not (count.isascii() and count.isdigit()):
        raise ListenError(
            f"LISTEN_FDS is {count!r}, which is no number of sockets: start the exporter by a "
            "systemd socket unit, or without LISTEN_PID"
        )
    sockets: list[socket.socket] = []
    for descriptor in range(first, first + int(count)):
        try:
            sockets.append(_listening(descriptor))
        except OSError:
            close(sockets)
            raise ListenError(
                f"descriptor {descriptor} is no socket that listens, and LISTEN_FDS promises one: "
                "use ListenStream= and Accept=no in the systemd socket unit"
            ) from None
    if sockets:
        log.info("listening on inherited sockets alone", sockets=len(sockets))
    return sockets


def _listening(descriptor: int) -> socket.socket:
    inherited_one = socket.socket(fileno=descriptor)
    listens = inherited_one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if inherited_one.family not in _FAMILIES or not listens:
        inherited_one.close()
        raise OSError
    inherited_one.set_inheritable(False)
    return inherited_one
