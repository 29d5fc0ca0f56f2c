"""Read files that may hang, or that are being written.

A pipe without a writer hangs, and so does a mount whose server is down. A file that is being
written can be valid before it is complete: ``url: https://api.sc`` names another host.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final, Generic, TypeVar

from exporter.yamlfile.problems import ConfigError, Problem

T = TypeVar("T")

MAX_HANGING: Final = 3
"""Threads that may hang at the same time: nothing can end them."""

SETTLE_SECONDS: Final = 1.0
"""Seconds for which a file must not change before a critical change in it is accepted."""

MAX_READS: Final = 5
"""How often a file is read until two reads in a row agree."""


class TimedRead(Generic[T]):
    """Calls ``read``, which reads the file ``name``, and waits at most ``seconds`` seconds for it.

    A call that takes longer is left behind in its thread, and what it returns is ignored.
    """

    def __init__(self, name: str, read: Callable[[], T], seconds: float) -> None:
        self._name = name
        self._read = read
        self._seconds = seconds
        self._hanging: list[threading.Thread] = []

    def __call__(self) -> T:
        """Return what ``read`` returns.

        Raises what it raises, and ConfigError where it takes too long or earlier calls still hang.
        """
        self._hanging = [thread for thread in self._hanging if thread.is_alive()]
        if len(self._hanging) >= MAX_HANGING:
            raise self._build_error(
                f"{MAX_HANGING} earlier attempts to read it still hang; restart the exporter when "
                "the file can be read"
            )
        outcome: Future[T] = Future()
        thread = threading.Thread(
            target=self._settle, args=(outcome,), name="read configuration", daemon=True
        )
        thread.start()
        if not wait([outcome], self._seconds).done:
            self._hanging.append(thread)
            raise self._build_error(
                f"was not read within {self._seconds:g} s, or a file that it names was not; check "
                "for a pipe without a writer, or a mount whose server does not respond"
            )
        return outcome.result()

    def _settle(self, outcome: Future[T]) -> None:
        try:
            outcome.set_result(self._read())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            outcome.set_exception(error)

    def _build_error(self, message: str) -> ConfigError:
        return ConfigError((Problem(self._name, None, None, "", message),))


class SettledRead(Generic[T]):
    """Calls ``read``; a critical result is returned only when a second read agrees with it.

    ``is_critical`` says whether a result needs the second read. ``wait`` waits some seconds and
    returns whether it is time to stop, as ``threading.Event.wait`` does. ``name`` is that of the
    file or files, for messages.
    """

    def __init__(
        self,
        read: Callable[[], T],
        is_critical: Callable[[T], bool],
        wait: Callable[[float], bool],
        name: str = "",
    ) -> None:
        self._name = name
        self._read = read
        self._is_critical = is_critical
        self._wait = wait

    def __call__(self) -> T:
        """Return what ``read`` returns: at once, or after a second where that is critical.

        Raises what ``read`` raises, and ConfigError where critical results kept changing or the
        exporter stops first.
        """
        earlier: T | None = None
        for _ in range(MAX_READS):
            current = self._read()
            if not self._is_critical(current) or current == earlier:
                return current
            earlier = current
            if self._wait(SETTLE_SECONDS):
                raise self._build_unsettled_error(
                    "changed, and the exporter stops before that is confirmed"
                )
        raise self._build_unsettled_error(
            f"changed, and the file was different at each of {MAX_READS} reads, "
            f"{SETTLE_SECONDS:g} s apart; reload again when it is no longer being written"
        )

    def _build_unsettled_error(self, message: str) -> ConfigError:
        return ConfigError((Problem(self._name, None, None, "api", message),))
