"""What holds for all tests."""

import gc
import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from exporter.process.allocator import use_system_allocator

ALLOCATOR = "PYTHONMALLOC"

# A machine that is busy is no defect: only what a property says counts, not how long it took.
BUSY = [HealthCheck.too_slow]
settings.register_profile("here", deadline=None, suppress_health_check=BUSY)
# For a change, the same cases are tried each time.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=BUSY)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Tests start the program some two hundred times: the first start compiles it for all of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell lets what it starts in the background ignore SIGINT, and so would the programs of tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Let the garbage collector not look at the thousands of tests again and again.

    Some of them took ten times as long among all others as alone.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _system_allocator() -> Iterator[None]:
    """Let programs that tests start run with the allocator that they would choose.

    Otherwise each would start itself a second time (`exporter/process/allocator.py`).
    """
    with pytest.MonkeyPatch.context() as environ:
        use_system_allocator(
            execute=lambda _path, _arguments, chosen: environ.setenv(ALLOCATOR, chosen[ALLOCATOR])
        )
        yield


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Find the test that leaves logging set up: those after it would lose their log lines."""
    before = structlog.get_config()
    yield
    assert structlog.get_config() == before
