"""Recognize errors that come from a limit of this process or machine, and say how to raise it."""

import errno
import os
import resource
from collections.abc import Iterator
from typing import Final, NamedTuple

_MIB: Final = 2**20
_NO_THREAD: Final = "can't start new thread"
"""What CPython says where the system gives no thread (``_thread.error``)."""


class ResourceLimit(NamedTuple):
    """Which limit was reached, and the next step."""

    cause: str
    advice: str

    def __str__(self) -> str:
        """Return both as one message."""
        return f"{self.cause}: {self.advice}"


def find_resource_limit(error: BaseException) -> ResourceLimit | None:
    """Return the limit that an error comes from, or None where it comes from something else.

    The errors that led to it are looked at too.
    """
    for layer in _iter_causes(error):
        if isinstance(layer, MemoryError) or _is_unloaded(layer):
            return _describe_memory_limit()
        if isinstance(layer, RuntimeError) and str(layer) == _NO_THREAD:
            return _describe_thread_limit()
        if isinstance(layer, OSError):
            limit = _find_limit_of_number(layer.errno)
            if limit is not None:
                return limit
    return None


def _iter_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_unloaded(error: BaseException) -> bool:
    """Return whether there was no memory for a library: only the loader's words say so."""
    said = str(error) if isinstance(error, ImportError) else ""
    return os.strerror(errno.ENOMEM) in said or "failed to map segment" in said


def _find_limit_of_number(number: int | None) -> ResourceLimit | None:
    match number:
        case errno.EMFILE:
            limit = _limit(resource.RLIMIT_NOFILE)
            return ResourceLimit(
                f"this process has too many open files (limit {limit})",
                "raise the limit of open files (ulimit -n, LimitNOFILE= of systemd)",
            )
        case errno.ENFILE:
            return ResourceLimit(
                "this machine has too many open files",
                "raise fs.file-max, or end the program that holds them",
            )
        case errno.ENOMEM:
            return _describe_memory_limit()
        case errno.ENOBUFS:
            return ResourceLimit(
                "this machine has no memory left for connections",
                "raise net.ipv4.tcp_mem, or end the program that holds many connections",
            )
        case errno.ENOSPC | errno.EDQUOT:
            return ResourceLimit("no space is left on a disk", "make room there")
    return None


def _describe_memory_limit() -> ResourceLimit:
    limit = _read_memory_limit()
    return ResourceLimit(
        f"this process has no memory left{f' (limit {limit})' if limit else ''}",
        "give it more memory (ulimit -v, MemoryMax= of systemd, the limit of the container)",
    )


def _describe_thread_limit() -> ResourceLimit:
    memory = _read_memory_limit()
    limits = f"limit {_limit(resource.RLIMIT_NPROC)} of its user"
    limits += f", {memory} of memory" if memory else ""
    return ResourceLimit(
        f"this process can start no further thread ({limits})",
        "raise the limit of processes or of memory (ulimit -u, TasksMax= of systemd, "
        "pids.max of the container)",
    )


def _read_memory_limit() -> str | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else f"{limit // _MIB} MiB"


def _limit(which: int) -> str:
    soft = resource.getrlimit(which)[0]
    return "none" if soft == resource.RLIM_INFINITY else str(soft)
