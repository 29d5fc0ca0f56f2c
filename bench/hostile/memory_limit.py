"""A limit on the memory of one process, by a control group of its own (cgroups(7)).

Version 1 and version 2 are supported. Where no group can be made, as in most containers, the
benchmark watches the resident memory of the process instead, and ends it above the limit.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """A limit in bytes; ``group`` is the folder of the control group, None where there is none."""

    limit: int
    group: Path | None
    is_version_2: bool = False

    def describe(self) -> str:
        """Return how the limit is held."""
        size = f"{self.limit // _MIB} MiB"
        if self.group is None:
            return f"no control group can be made here: ended when its RSS exceeds {size}"
        return f"in a control group (version {2 if self.is_version_2 else 1}) of {size}"

    def wrap(self, command: list[str]) -> list[str]:
        """Return the command that runs this one under the limit."""
        if self.group is None:
            return command
        script = 'echo $$ > "$0" && exec "$@"'
        return ["/bin/sh", "-c", script, str(self.group / "cgroup.procs"), *command]

    def kernel_bytes(self) -> int:
        """Return what the kernel holds for the process, such as socket buffers; 0 if not known."""
        if self.group is None:
            return 0
        if self.is_version_2:
            wanted = {"kernel", "sock"}
            rows = map(str.split, (self.group / "memory.stat").read_text().splitlines())
            return sum(int(value) for name, value in rows if name in wanted)
        names = ("memory.kmem.usage_in_bytes", "memory.kmem.tcp.usage_in_bytes")
        return sum(int((self.group / name).read_text()) for name in names)


@contextmanager
def limited_memory(limit: int) -> Iterator[MemoryLimit]:
    """Make a control group with this limit in bytes, and remove it at the end."""
    version_2 = (_ROOT / "cgroup.controllers").exists()
    group = (_ROOT if version_2 else _ROOT / "memory") / f"scaleengine-bench-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield MemoryLimit(limit, None)
        return
    try:
        try:
            _set_limit(group, limit, version_2=version_2)
        except OSError:  # the memory controller is not for us
            yield MemoryLimit(limit, None)
        else:
            yield MemoryLimit(limit, group, version_2)
    finally:
        group.rmdir()


def _set_limit(group: Path, limit: int, *, version_2: bool) -> None:
    if version_2:
        (group / "memory.max").write_text(str(limit))
        with suppress(OSError):  # there is no swap
            (group / "memory.swap.max").write_text("0")
        return
    (group / "memory.limit_in_bytes").write_text(str(limit))
    with suppress(OSError):  # without it, socket buffers are not counted
        (group / "memory.kmem.tcp.limit_in_bytes").write_text(str(limit))
