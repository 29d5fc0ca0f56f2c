"""Capabilities of a terminal, and the progress line of ``check``."""

import itertools
import json
import os
import threading
from typing import TYPE_CHECKING, Final, TextIO

import click

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_UNABLE: Final = ("dumb", "unknown")
"""Values of ``TERM`` for terminals without cursor movement and colours."""

CLEAR_LINE: Final = "\r\x1b[2K"
"""Goes to the beginning of the line on a terminal, and empties it."""

SHOW_CURSOR: Final = "\x1b[?25h"
"""DEC's private mode 25 (xterm: ``DECTCEM``): click's bar hides the cursor."""

_WRAP_OFF: Final = "\x1b[?7l"
_WRAP_ON: Final = "\x1b[?7h"
"""DEC's private mode 7 (xterm: ``DECAWM``): without it a long line is cut, not continued."""

_BAR_WIDTH: Final = 20


def is_capable(stream: TextIO) -> bool:
    """Return whether the stream is a terminal with escape sequences."""
    return stream.isatty() and os.environ.get("TERM") not in _UNABLE


def has_colours(stream: TextIO) -> bool:
    """Return whether to print colours; ``NO_COLOR`` says no (https://no-color.org)."""
    return is_capable(stream) and not os.environ.get("NO_COLOR")


def escape_unprintable(text: str, stream: TextIO) -> str:
    """Escape control characters, and characters that the stream cannot encode."""
    shown = "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)
    encoding = stream.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


class Progress:
    """A progress line; nothing is shown if the stream is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._enabled = is_capable(stream)
        self._is_shown = False
        self._what = ""
        self._bar: ProgressBar[str] | None = None
        self._lock = threading.Lock()

    def show(self, what: str) -> None:
        """Show what is being tried now."""
        with self._lock:
            if self._enabled:
                self._hide()
                self._what = escape_unprintable(f"trying {what}", self._stream)
                self._write(f"{CLEAR_LINE}{_WRAP_OFF}{self._what}{_WRAP_ON}")
                self._is_shown = True

    def advance(self, done: int, expected: int | None, extent: str) -> None:
        """Show how far what is being tried is: the steps done, and how many there are.

        ``expected`` is None where that is not known. ``extent`` is shown behind the time left.
        """
        with self._lock:
            if not self._enabled:
                return
            if self._bar is None:
                self._bar = click.progressbar(
                    itertools.repeat(""),
                    label=self._what,
                    file=self._stream,
                    show_pos=True,
                    show_percent=False,
                    item_show_func=str,
                    bar_template="%(label)s [%(bar)s] %(info)s",
                    width=_BAR_WIDTH,
                    update_min_steps=0,
                )
            bar = self._bar
            # More steps than expected: how many are left is unknown.
            bar.length = None if expected is None or done >= expected else expected
            bar.eta_known = bar.eta_known and bar.length is not None
            self._write(_WRAP_OFF)
            bar.update(done - bar.pos, escape_unprintable(extent, self._stream))
            self._write(f"\r{_WRAP_ON}")  # a line of the log takes the place of the bar
            self._is_shown = True

    def hide(self) -> None:
        """Take the line away, so that something can be printed in its place."""
        with self._lock:
            self._hide()

    def close(self) -> None:
        """Take the line away for good; from any thread."""
        with self._lock:
            self._hide()
            self._enabled = False

    def _hide(self) -> None:
        if self._is_shown:
            self._write(f"{SHOW_CURSOR}{CLEAR_LINE}" if self._bar else CLEAR_LINE)
        self._bar = None
        self._is_shown = False

    def _write(self, text: str) -> None:
        click.echo(text, file=self._stream, nl=False, color=True)
