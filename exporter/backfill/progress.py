"""How far a backfill is: a bar on a terminal, log lines elsewhere."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TextIO

import click
import structlog

from exporter.backfill.windows import Window
from exporter.terminal import CLEAR_LINE

log: Final = structlog.get_logger(__name__)


class BackfillProgress:
    """Shows how far the stages of the work are."""

    def __init__(self, stream: TextIO, *, is_terminal: bool) -> None:
        self._stream = stream
        self._is_terminal = is_terminal
        self._update: Callable[[int], None] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, label: str, steps: int | None) -> Iterator[None]:
        """Show a stage of the work until the ``with`` ends; None where its length is not known."""
        if not self._is_terminal:
            log.info(label)
            yield
            return
        # Without a length it shows the number of steps so far.
        endless = itertools.count() if steps is None else None
        with click.progressbar(
            endless, length=steps, label=label, file=self._stream, show_pos=True
        ) as bar:
            self._update = bar.update
            try:
                yield
            finally:
                self._update = None

    def advance(self, steps: int) -> None:
        """Show that some steps are done."""
        with self._lock:
            if self._update is not None:
                self._update(steps)

    def show_window(self, account: str, window: Window, rows: int) -> None:
        """Show that a window is complete."""
        if self._is_terminal:
            self.advance(1)
            return
        days = {"first": str(window.first), "last": str(window.last)}
        log.info("window complete", account=account, **days, rows=rows)

    def warn(self, event: str, fields: Mapping[str, object]) -> None:
        """Log a warning; on a terminal it takes the place of the bar, which is drawn again."""
        if self._is_terminal:
            click.echo(CLEAR_LINE, file=self._stream, nl=False, color=True)
        log.warning(event, **fields)
