"""The memory of this process."""

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")


def read_memory() -> int | None:
    """Return the bytes of this process that are in memory (RSS), or None outside of Linux.

    Source: proc_pid_statm(5).
    """
    try:
        _, resident, *_ = _STATM.read_text().split()
    except (OSError, ValueError):
        return None
    return int(resident) * os.sysconf("SC_PAGE_SIZE")
