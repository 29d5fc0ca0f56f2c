"""Free memory goes back to the system."""

import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.process.memory import FreeMemoryRelease, release_free_memory


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


def test_garbage_is_collected_where_memory_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that has grown or shrunk by more than a twentieth is worth the look at all objects."""
    collected: list[None] = []
    monkeypatch.setattr("gc.collect", lambda: collected.append(None))
    sizes = iter(
        [
            *(100, 100),  # before and after the first collection
            *(104, 96),
            *(106, 100),
            101,
            *(90, 89),
            *(89, 91),
        ]
    )
    release = FreeMemoryRelease(lambda: next(sizes))
    found = []
    for _ in range(8):
        release()
        found.append(len(collected))
    assert found == [1, 1, 1, 2, 2, 3, 3, 3]


LARGE_IN_THREADS = """
import sys, threading
from pathlib import Path
import pytest

from exporter.process.memory import return_large_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def fill():
    for _ in range(2):
        body = bytearray()
        while len(body) < 20_000_000:
            body += bytes(65536)
    done.wait()
    del body
    gone.wait()
    ended.wait()

if sys.argv[1] == "limited":
    return_large_memory()
before = resident()
done, gone, ended = threading.Barrier(5), threading.Barrier(5), threading.Event()
threads = [threading.Thread(target=fill, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
done.wait()
gone.wait()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do otherwise")
def test_large_pieces_of_threads_that_run_on_are_returned() -> None:
    def kept(mode: str) -> int:
        command = [sys.executable, "-c", LARGE_IN_THREADS, mode]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603

    assert kept("as it is") > 40_000_000
    assert kept("limited") < 20_000_000
