"""A stop that comes with another one, or before it."""

import pytest

from exporter.polling.stopping import EarlyStop


class Told:
    """A stop that comes after so many seconds of waiting; a wait sets the early one, if told."""

    def __init__(self, comes_after: float) -> None:
        self.waits: list[float] = []
        self.early: EarlyStop | None = None
        self._comes_after = comes_after

    def is_set(self) -> bool:
        return sum(self.waits) >= self._comes_after

    def wait(self, timeout: float) -> bool:
        self.waits.append(timeout)
        if self.early is not None:
            self.early.set()
        return self.is_set()


@pytest.mark.parametrize(
    ("comes_after", "timeout", "waits", "stopped"),
    [
        (100.0, 2.5, [1.0, 1.0, 0.5], False),
        (100.0, 0.0, [], False),
        (2.0, 2.5, [1.0, 1.0], True),
        (0.0, 0.0, [], True),
    ],
)
def test_with_the_other(
    comes_after: float, timeout: float, waits: list[float], *, stopped: bool
) -> None:
    """It comes when the other comes, and a wait takes as long as it was asked for until then."""
    latest = Told(comes_after)
    stop = EarlyStop(latest)
    assert stop.wait(timeout) is stopped
    assert stop.is_set() is stopped
    assert latest.waits == waits


def test_before_the_other() -> None:
    """It comes when it is set; the other, which others wait for too, does not."""
    latest = Told(100.0)
    stop = EarlyStop(latest)
    stop.set()
    assert stop.is_set()
    assert stop.wait(50.0)
    assert latest.waits == []
    assert not latest.is_set()


def test_during_a_wait() -> None:
    """Set while somebody waits, it ends the wait within a second."""
    latest = Told(100.0)
    latest.early = stop = EarlyStop(latest)
    assert stop.wait(50.0)
    assert latest.waits == [1.0]
