"""The signal to stop, as it is passed to all that waits."""

import threading
from typing import Final, Protocol

_PIECE: Final = 1.0


class Stop(Protocol):
    """The signal to stop: ``threading.Event`` is one."""

    def is_set(self) -> bool:
        """Return whether it is time to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds or until it is time to stop; return whether it is."""


class EarlyStop:
    """A stop that comes with another one, or before it when it is set; then within a second."""

    def __init__(self, latest: Stop) -> None:
        self._latest = latest
        self._early = threading.Event()

    def set(self) -> None:
        """Stop now."""
        self._early.set()

    def is_set(self) -> bool:
        """Return whether it is time to stop."""
        return self._early.is_set() or self._latest.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds or until it is time to stop; return whether it is."""
        left = timeout
        while left > 0 and not self._early.is_set() and not self._latest.wait(min(left, _PIECE)):
            left -= _PIECE
        return self.is_set()


class StopSwitch(Stop, Protocol):
    """A signal to stop, and the means to give it: ``threading.Event`` is one."""

    def set(self) -> None:
        """Tell that it is time to stop."""


class StoppedError(Exception):
    """It is time to stop: what was under way is given up, and says nothing of ScaleEngine."""
