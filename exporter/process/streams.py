"""Standard streams that never fail and, where a wait is not acceptable, never block.

The exit status of a command says what came of it, not what became of its output.
"""

import codecs
import io
import json
import os
import select
import sys
from typing import TYPE_CHECKING, Final, TextIO

from exporter.process.background_writer import BackgroundWriter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
_ERRORS: Final = "scaleengine-exporter"


def open_closed_descriptors() -> None:
    """Open the null device for each standard descriptor that is closed.

    Otherwise the next file or socket would get its number, and log lines would go there.
    Standard output is opened for reading: writing fails as before, with EBADF, and a command that
    only prints reports the error.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # It gets the lowest number that is free: this one.
            os.open(os.devnull, os.O_RDONLY if descriptor == STDOUT else os.O_RDWR)


def replace_streams(stderr: BackgroundWriter) -> None:
    """Replace ``sys.stdout`` and ``sys.stderr``.

    Standard output waits for its reader, and ignores what the system refuses. Standard error is
    written by ``stderr``. Characters that the encoding lacks are written as JSON escapes them.
    """
    codecs.register_error(_ERRORS, _escape)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(STDOUT)),
        _get_encoding(sys.__stdout__),
        _ERRORS,
        line_buffering=True,
    )
    # Without a buffer between: it would refuse a destructor that writes in the middle of a write.
    sys.stderr = io.TextIOWrapper(
        _Background(stderr), _get_encoding(sys.__stderr__), _ERRORS, line_buffering=True
    )


class _Output(io.FileIO):
    """A descriptor for output; what cannot be written is ignored."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write the data, or ignore that it cannot be written."""
        try:
            written = super().write(data)
            while written is None:  # it is set not to block, and full
                _wait_for_room(self)
                written = super().write(data)
        except OSError:
            return memoryview(data).nbytes
        return written


class _Background(io.RawIOBase):
    """What is written here is written to standard error in another thread."""

    def __init__(self, writer: BackgroundWriter) -> None:
        self._writer = writer

    def writable(self) -> bool:
        """Return True: that is what it is for."""
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Let the data be written."""
        piece = bytes(data)
        if piece:
            self._writer.write(piece)
        return len(piece)

    def fileno(self) -> int:
        """Return the descriptor, for callers that look at its type."""
        return STDERR

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(STDERR)


def _get_encoding(before: TextIO | None) -> str:
    return "utf-8" if before is None else before.encoding


def _wait_for_room(output: _Output) -> None:
    room = select.poll()
    room.register(output, select.POLLOUT)
    room.poll()


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
