"""Give memory that is free within the process back to the system."""

import ctypes
from typing import Final

_LIBRARY: Final = ctypes.CDLL(None)


def release_free_memory() -> None:
    """Return free pages to the system, where the C library can do that.

    By itself, glibc returns only what lies at the end of its heap: a single small object there
    keeps the memory of a thousand connections that have ended (malloc_trim(3)).
    """
    if hasattr(_LIBRARY, "malloc_trim"):
        _LIBRARY.malloc_trim(0)
