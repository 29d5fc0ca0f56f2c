"""Take little memory, and return what is free within the process back to the system."""

import ctypes
import gc
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_LIBRARY: Final = ctypes.CDLL(None)

_TRIM_THRESHOLD: Final = -1  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of mallopt(3)
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_LARGE: Final = 512 * 1024
"""asyncio allocates 256 KiB for each read of a socket; with less, each would take system calls."""
_ARENAS: Final = 2
_CHANGE: Final = 0.05
_ENCODING_DETECTORS: Final = ("chardet", "charset_normalizer")
_NEW_OBJECTS: Final = 5_000
"""The number of new objects after which garbage is collected; Python's default is 700."""


def read_memory() -> int | None:
    """Return the bytes of this process that are in memory (RSS), or None outside of Linux.

    Source: proc_pid_statm(5).
    """
    try:
        _, resident, *_ = _STATM.read_text().split()
    except (OSError, ValueError):
        return None
    return int(resident) * os.sysconf("SC_PAGE_SIZE")


def return_large_memory() -> None:
    """Let the C library return large pieces of memory as soon as they are free.

    To be called before threads start. By default, glibc stops to do so after the first large piece:
    it raises its thresholds to twice the size of that, and keeps a heap for each thread, whose end
    malloc_trim(3) does not return. Eight responses of 31 MiB left 250 MB.
    """
    if hasattr(_LIBRARY, "mallopt"):
        _LIBRARY.mallopt(_MMAP_THRESHOLD, _LARGE)
        _LIBRARY.mallopt(_TRIM_THRESHOLD, _LARGE)
        _LIBRARY.mallopt(_ARENA_MAX, _ARENAS)


def release_free_memory() -> None:
    """Return free pages to the system, where the C library can do that.

    By default, glibc returns only what lies at the end of its heap: a single small object there
    keeps the memory of a thousand connections that have ended (malloc_trim(3)).
    """
    if hasattr(_LIBRARY, "malloc_trim"):
        _LIBRARY.malloc_trim(0)


def leave_out_encoding_detectors() -> None:
    """Keep requests from loading what guesses the encoding of a response: it takes 3 MB.

    To be called before requests is imported. It works without, and then warns of it. All responses
    of ScaleEngine are JSON in UTF-8. None in ``sys.modules`` means that there is no such module
    (https://docs.python.org/3/reference/import.html#the-module-cache).
    """
    for module in _ENCODING_DETECTORS:
        sys.modules[module] = None  # type: ignore[assignment] # the stub leaves None out
    warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")


def reduce_collections() -> None:
    """Let the garbage collector run less often, and skip all objects that there are now.

    To be called when all is imported: modules, classes and functions stay until the end. Polls and
    publications leave no garbage that refers to itself, and make many objects that stay.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)


class FreeMemoryRelease:
    """Returns free memory to the system again and again; for one thread.

    Where the memory in use has changed by a twentieth since the last time, something large has come
    or gone. Then garbage is collected as well, which empties the interpreter's stocks of free
    objects: two thousand tuples of each length keep a page each (``gc.collect``).
    """

    def __init__(self, read: Callable[[], int | None] = read_memory) -> None:
        self._read = read
        self._collected_at = 0

    def __call__(self) -> None:
        """Return free memory now."""
        memory = self._read() or 0
        has_changed = abs(memory - self._collected_at) > _CHANGE * self._collected_at
        if has_changed:
            gc.collect()
        release_free_memory()
        if has_changed:
            self._collected_at = self._read() or 0
