"""Let the interpreter take the memory of all objects from the C library.

Python's own allocator takes arenas of 1 MiB, and returns one when nothing in it is in use any more
(https://docs.python.org/3/c-api/memory.html). After a large response, a few small objects that stay
keep most arenas: up to 80 MB, for as long as the process runs. The C library returns each page of 4
KiB that is free (malloc_trim(3)). On glibc, neither a poll nor a publication takes longer with it.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

_VARIABLE: Final = "PYTHONMALLOC"
_WITHOUT_LOCK: Final = "t"
"""The ABI flag of interpreters without a global lock: they have an allocator that they need."""

_GLIBC: Final = "CS_GNU_LIBC_VERSION"
"""A name that only glibc knows (confstr(3))."""

Execute = Callable[[str, list[str], Mapping[str, str]], object]


def use_system_allocator(
    environ: Mapping[str, str] = os.environ, execute: Execute = os.execve
) -> None:
    """Start this program again in the same process, with ``PYTHONMALLOC=malloc``.

    Only the interpreter's start can choose the allocator. It takes about 50 ms, once: not worth it
    for a command that ends at once. To be called before anything else. Does nothing where the
    variable is set or ignored, where the C library returns no pages, or where the system refuses to
    start the program again.
    """
    if _VARIABLE in environ or sys.flags.ignore_environment or _WITHOUT_LOCK in sys.abiflags:
        return
    if _GLIBC not in os.confstr_names:
        return
    path, arguments = _find_command()
    try:
        execute(path, arguments, {**environ, _VARIABLE: "malloc"})
    except OSError:
        return  # it runs without, too: more memory stays after a large response


def _find_command() -> tuple[str, list[str]]:
    """Return the path and the arguments that start this program again.

    A script is started by its own path: the name of the process stays that of the script.
    """
    script = sys.argv[0]
    if sys.orig_argv[1:2] == [script] and os.access(script, os.X_OK):
        return script, sys.argv
    return sys.executable, [sys.executable, *sys.orig_argv[1:]]
