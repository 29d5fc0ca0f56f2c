"""Child processes whose log is read as it is written."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.waiting import END_SECONDS, TIMEOUT

_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_MAX_SHOWN: Final = 20
"""Lines of the log that a failure shows."""


class Child:
    """A program that runs during the test; its log is read as it is written.

    The log is standard error, and standard output too, unless ``keep_stdout`` leaves that for
    ``printed``. ``environ`` is added to this environment, which the child gets without what would
    change the exporter or lead off loopback.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path | None = None,
        environ: Mapping[str, str] | None = None,
        keep_stdout: bool = False,
    ) -> None:
        self.name = Path(command[0]).name
        self._lines: list[str] = []
        self._is_silent = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(  # noqa: S603 - a program of this project, or one found on the path
            [str(part) for part in command],
            cwd=folder,
            env=_clean_environment(environ or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if keep_stdout else subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        log = self._process.stderr if keep_stdout else self._process.stdout
        assert log is not None
        self._log = log
        self._reader = threading.Thread(target=self._read, name=f"log of {self.name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        """Return the program, which runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ask the program to end, and end it by force if it does not."""
        try:
            self.end()
        finally:
            self.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def lines(self) -> list[str]:
        """The lines of the log so far."""
        with self._changed:
            return list(self._lines)

    def wait_for_line(self, pattern: str, timeout: float = TIMEOUT) -> str:
        """Wait for a line of the log that has this pattern.

        Return its first group; the whole match, if it has none.
        """
        found: list[re.Match[str]] = []

        def is_found() -> bool:
            found.extend(filter(None, (re.search(pattern, line) for line in self._lines)))
            return bool(found)

        self._wait(is_found, timeout)
        shown = "\n".join(self.lines[-_MAX_SHOWN:])
        assert found, f"{self.name} has not logged {pattern!r}; its last lines:\n{shown}"
        return found[0][found[0].re.groups and 1]

    @property
    def printed(self) -> str:
        """What it wrote to standard output, where that is kept; it must have ended."""
        assert self._process.stdout is not None
        return self._process.stdout.read()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; return its exit status, or fail where it hangs."""
        self._process.send_signal(number)
        return self.wait(END_SECONDS)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait ``timeout`` seconds at most for its end, and return its exit status."""
        status = self._process.wait(timeout)
        self._reader.join(TIMEOUT)
        return status

    def close(self) -> None:
        """End it by force if it still runs."""
        self._process.kill()
        self.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _wait(self, is_enough: Callable[[], bool], timeout: float = TIMEOUT) -> None:
        """Wait until it has written enough, or will write no more."""
        with self._changed:
            self._changed.wait_for(lambda: is_enough() or self._is_silent, timeout)

    def _record(self, line: str) -> None:
        """Take note of a line; ``_changed`` is held."""
        self._lines.append(line)

    def _read(self) -> None:
        with self._log:
            for line in self._log:
                with self._changed:
                    self._record(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._is_silent = True
            self._changed.notify_all()


def _clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this environment without what would change the exporter, and with more."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SCALEENGINE_") and name.lower() not in _PROXIES
    }
    return {**kept, **more}
