"""Free memory goes back to the system."""

import resource
from pathlib import Path

from exporter.process.free_memory import release_free_memory


def resident() -> int:
    """Return how many bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_memory_below_what_is_in_use_is_given_back() -> None:
    """Given 50 MB that were freed, and some bytes after them in use, then they are not held."""
    blocks = [bytearray(b"x" * 100_000) for _ in range(500)]
    in_use = [bytearray(10_000) for _ in range(10)]
    held = resident()
    del blocks
    release_free_memory()
    assert resident() < held - 25_000_000
    assert in_use
