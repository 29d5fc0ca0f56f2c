"""Read files that may not answer: a pipe without a writer, a mount whose server is gone."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Final, Generic, TypeVar

from exporter.documents.problems import ConfigError, Problem

T = TypeVar("T")

MAX_HANGING: Final = 3
"""Threads that may hang at the same time: nothing can end them."""


class TimedRead(Generic[T]):
    """Calls ``read``, which reads a file, and waits at most so many seconds for it.

    A call that takes longer is left behind in its thread, and what it returns is ignored.
    """

    def __init__(self, file: Path, read: Callable[[], T], seconds: float) -> None:
        self._file = file
        self._read = read
        self._seconds = seconds
        self._hanging: list[threading.Thread] = []

    def __call__(self) -> T:
        """Return what ``read`` returns.

        Raises what it raises, and ConfigError where it takes too long or earlier calls still hang.
        """
        self._hanging = [thread for thread in self._hanging if thread.is_alive()]
        if len(self._hanging) >= MAX_HANGING:
            raise self._failed(
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
            raise self._failed(
                f"was not read within {self._seconds:g} s, or a file that it names was not; check "
                "for a pipe without a writer, or a mount whose server does not answer"
            )
        return outcome.result()

    def _settle(self, outcome: Future[T]) -> None:
        try:
            outcome.set_result(self._read())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            outcome.set_exception(error)

    def _failed(self, sentence: str) -> ConfigError:
        return ConfigError((Problem(str(self._file), None, None, "", sentence),))
