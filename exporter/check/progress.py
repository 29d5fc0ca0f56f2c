"""Show on a terminal what is being tried."""

from typing import TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text


class Progress:
    """A line that says what is being tried; where there is no terminal, there is none."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, force_terminal=stream.isatty())
        self._status: Status | None = None

    def tell(self, what: str) -> None:
        """Show what is being tried now."""
        self.hide()
        if self._console.is_interactive:
            self._status = Status(Text(f"trying {what}"), console=self._console)
            self._status.start()

    def hide(self) -> None:
        """Take the line away, so that something can be printed in its place."""
        if self._status is not None:
            self._status.stop()
            self._status = None
