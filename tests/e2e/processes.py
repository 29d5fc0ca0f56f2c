"""Child processes: started, watched by their log, and ended by their number."""

import os
import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.waiting import TIMEOUT

_END_SECONDS: Final = 30.0
_NO_CONNECTION: Final = ("http_proxy", "https_proxy", "all_proxy")
_TOLD: Final = 20
"""Lines of the log that a failure shows."""


class Child:
    """A program that runs beside the test; its log is read as it is written."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self.name = Path(command[0]).name
        self._lines: list[str] = []
        self._silent = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(  # noqa: S603 - a program of this project, or one found on the path
            [str(part) for part in command],
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, name=f"log of {self.name}")
        self._reader.start()

    def __enter__(self) -> Self:
        """Give the program, which runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the program."""
        self.end()

    @property
    def lines(self) -> list[str]:
        """The log so far."""
        with self._changed:
            return list(self._lines)

    def wait_for(self, pattern: str) -> str:
        """Wait for a line of the log that has this pattern; return the pattern's first group."""

        def found() -> re.Match[str] | None:
            return next(filter(None, (re.search(pattern, line) for line in self._lines)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._silent, TIMEOUT)
            match = found()
            told = "\n".join(self._lines[-_TOLD:])
        assert match is not None, f"{self.name} has not logged {pattern!r}; its last lines:\n{told}"
        return match[1]

    def end(self) -> int:
        """Ask the program to end, by force if it does not; return its exit status."""
        self._process.terminate()
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(_END_SECONDS)
        finally:
            self._reader.join(_END_SECONDS)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._silent = True
            self._changed.notify_all()


def _environment() -> dict[str, str]:
    """Return this environment without what would change the exporter or lead off loopback."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SCALEENGINE_") and name.lower() not in _NO_CONNECTION
    }
