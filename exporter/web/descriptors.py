"""How many connections there is room for: each takes a descriptor, and some memory."""

import resource
from typing import Final

_MOST_CONNECTIONS: Final = 1024
_MOST_BY_TLS: Final = 512  # each takes 0.1 MB, most of it in OpenSSL
_RESERVE: Final = 4  # a quarter of them is for polling, files and the log


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard one.

    It is low for the sake of select(2), which nothing here uses.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for_connections(*, tls: bool) -> int:
    """Return how many connections may be open: three quarters of the descriptors.

    Never more than 1024, or 512 by TLS.
    """
    most = _MOST_BY_TLS if tls else _MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return most
    return max(1, min(most, soft - soft // _RESERVE))
