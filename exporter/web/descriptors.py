"""How many connections there is room for: each takes a descriptor, and some memory."""

import resource
from typing import Final

_MOST_CONNECTIONS: Final = 512  # each takes 10 KB, by TLS 100 KB, most of it in OpenSSL
_RESERVE: Final = 4  # a quarter of them is for polling, files and the log


def raise_limit() -> None:
    """Raise the soft limit of descriptors to the hard one.

    It is low for the sake of select(2), which nothing here uses.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for_connections() -> int:
    """Return how many connections may be open: three quarters of the descriptors, 512 at most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(1, min(_MOST_CONNECTIONS, soft - soft // _RESERVE))
