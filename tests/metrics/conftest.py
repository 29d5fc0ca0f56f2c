"""A clock that does not move, and what Prometheus would read."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter.scaleengine.clock import Clock
from tests.support.clocks import FakeClock


@pytest.fixture
def fake_clock() -> FakeClock:
    """Return a clock that is fixed at 2014-11-11 10:00 UTC, 5000 seconds after its start."""
    return FakeClock(monotonic=5000.0)


@pytest.fixture
def clock(fake_clock: FakeClock) -> Clock:
    """Return the same clock to the code under test."""
    return fake_clock.clock


@pytest.fixture
def exposition() -> Callable[[CollectorRegistry], str]:
    """Return a function that renders a registry, without metrics of the process and of Python."""

    def render(registry: CollectorRegistry) -> str:
        families = generate_latest(registry).decode().split("# HELP ")[1:]
        own = [text for text in families if not text.startswith(("process_", "python_"))]
        return "".join(f"# HELP {text}" for text in own)

    return render
