"""What a stream can show, and a line on a terminal that says what is being tried."""

import json
import os
import threading
from typing import Final, TextIO

import click

_UNABLE: Final = ("dumb", "unknown")
"""Values of ``TERM`` for terminals without cursor movement and colours."""

CLEAR_LINE: Final = "\r\x1b[2K"
"""Goes to the beginning of the line on a terminal, and empties it."""

_WRAP_OFF: Final = "\x1b[?7l"
_WRAP_ON: Final = "\x1b[?7h"
"""DEC's private mode 7 (xterm: ``DECAWM``): without it a long line is cut, not continued."""


def is_capable(stream: TextIO) -> bool:
    """Return whether the stream is a terminal that obeys escape sequences."""
    return stream.isatty() and os.environ.get("TERM") not in _UNABLE


def has_colours(stream: TextIO) -> bool:
    """Return whether to print colours; ``NO_COLOR`` says no (https://no-color.org)."""
    return is_capable(stream) and not os.environ.get("NO_COLOR")


def printable(text: str, stream: TextIO) -> str:
    """Escape what a terminal would obey, and what the stream has no letters for."""
    shown = "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)
    encoding = stream.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


class Progress:
    """A line that says what is being tried; where there is no terminal, there is none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._enabled = is_capable(stream)
        self._is_shown = False
        self._lock = threading.Lock()

    def tell(self, what: str) -> None:
        """Show what is being tried now."""
        with self._lock:
            if self._enabled:
                shown = printable(f"trying {what}", self._stream)
                self._write(f"{CLEAR_LINE}{_WRAP_OFF}{shown}{_WRAP_ON}")
                self._is_shown = True

    def hide(self) -> None:
        """Take the line away, so that something can be printed in its place."""
        with self._lock:
            self._hide()

    def close(self) -> None:
        """Take the line away for good; from any thread."""
        with self._lock:
            self._enabled = False
            self._hide()

    def _hide(self) -> None:
        if self._is_shown:
            self._write(CLEAR_LINE)
            self._is_shown = False

    def _write(self, text: str) -> None:
        click.echo(text, file=self._stream, nl=False, color=True)
