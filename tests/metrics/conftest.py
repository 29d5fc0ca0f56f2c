"""A clock with hands to turn, and what Prometheus would read."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporter.scaleengine.clock import Clock


@dataclass
class Hands:
    """The hands of a clock that stands still: the time of day and the even time, in seconds."""

    now: float = 1415700000.0
    monotonic: float = 5000.0


@pytest.fixture
def hands() -> Hands:
    """Give the hands of the clock; it is 2014-11-11 10:00 UTC."""
    return Hands()


@pytest.fixture
def clock(hands: Hands) -> Clock:
    """Give a clock that stands still."""
    return Clock(now=lambda: hands.now, monotonic=lambda: hands.monotonic)


@pytest.fixture
def let_pass(hands: Hands) -> Callable[[float], None]:
    """Give a function that lets so many seconds pass on the clock."""

    def turn(seconds: float) -> None:
        hands.now += seconds
        hands.monotonic += seconds

    return turn


@pytest.fixture
def exposition() -> Callable[[CollectorRegistry], str]:
    """Give a function that renders a registry, without what tells of the process and of Python."""

    def render(registry: CollectorRegistry) -> str:
        families = generate_latest(registry).decode().split("# HELP ")[1:]
        own = [text for text in families if not text.startswith(("process_", "python_"))]
        return "".join(f"# HELP {text}" for text in own)

    return render
