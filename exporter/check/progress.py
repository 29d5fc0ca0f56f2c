"""Show on a terminal what is being tried."""

import threading
from typing import TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text


class Progress:
    """A line that says what is being tried; where there is no terminal, there is none."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, force_terminal=stream.isatty())
        self._status: Status | None = None
        self._closed = False
        self._lock = threading.Lock()

    def tell(self, what: str) -> None:
        """Show what is being tried now."""
        with self._lock:
            self._hide()
            if self._console.is_interactive and not self._closed:
                self._status = Status(Text(f"trying {what}"), console=self._console)
                self._status.start()

    def hide(self) -> None:
        """Take the line away, so that something can be printed in its place."""
        with self._lock:
            self._hide()

    def close(self) -> None:
        """Take the line away for good; from any thread."""
        with self._lock:
            self._closed = True
            self._hide()

    def _hide(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
