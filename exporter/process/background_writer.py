"""Write to a descriptor in a thread of its own, so that callers never wait."""

import os
import queue
import select
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_WAITING_BYTES: Final = 1024 * 1024
"""Bytes that may wait to be written; what does not fit is dropped."""

_NEWLINE: Final = b"\n"


@dataclass(frozen=True, slots=True)
class _Piece:
    """One write: its bytes, its lines, and how many lines were dropped before it."""

    data: bytes
    lines: int
    lost_before: int


class BackgroundWriter:
    """Writes what it is given to a descriptor, in order, or drops it: ``write`` never waits.

    A piece is dropped where more than ``max_waiting`` bytes wait already (a pipe that is not read),
    and where the system refuses it (a full disk, a closed pipe). ``describe_loss`` makes
    the line that says how many lines are missing; it is written in their place, as soon as
    something can be written.
    """

    def __init__(self, descriptor: int, max_waiting: int = MAX_WAITING_BYTES) -> None:
        self.describe_loss: Callable[[int], str] = _describe_loss
        self._descriptor = descriptor
        self._max_waiting = max_waiting
        # Both may be entered again by the same thread: a destructor that runs in the middle of a
        # write may write too.
        self._pieces: queue.SimpleQueue[_Piece | threading.Event] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._waiting = 0
        self._dropped = 0
        self._lost = 0
        self._unsaid = 0
        self._within_line = False
        self._thread = threading.Thread(target=self._run, name="stderr", daemon=True)

    def start(self) -> None:
        """Begin to write; raises RuntimeError where no thread can be started."""
        self._thread.start()

    @property
    def lines_dropped(self) -> int:
        """Return how many lines were dropped so far."""
        return self._dropped

    def write(self, data: bytes) -> None:
        """Let the data be written, all of it or nothing."""
        size, lines = len(data), data.count(_NEWLINE)
        with self._lock:
            if self._waiting and self._waiting + size > self._max_waiting:
                self._dropped += lines
                self._lost += lines
                return
            self._waiting += size
            self._pieces.put(_Piece(data, lines, self._lost))
            self._lost = 0

    def flush(self, timeout: float) -> bool:
        """Wait until all is written or dropped, or ``timeout`` seconds; return whether it is."""
        if not self._thread.is_alive():
            return True
        reached = threading.Event()
        self._pieces.put(reached)
        return reached.wait(timeout)

    def _run(self) -> None:
        while True:
            piece = self._pieces.get()
            if isinstance(piece, _Piece):
                self._handle(piece)
            if self._pieces.empty():
                self._say_lost()
            if isinstance(piece, threading.Event):
                piece.set()

    def _handle(self, piece: _Piece) -> None:
        self._unsaid += piece.lost_before
        if not (self._say_unsaid() and self._put_out(piece.data)):
            with self._lock:
                self._dropped += piece.lines
            self._unsaid += piece.lines
        with self._lock:
            self._waiting -= len(piece.data)

    def _say_lost(self) -> None:
        """Return what was dropped last: nothing may follow that would say it."""
        with self._lock:
            self._unsaid += self._lost
            self._lost = 0
        self._say_unsaid()

    def _say_unsaid(self) -> bool:
        """Write how many lines are missing here, if any; return whether nothing is left to say."""
        if self._unsaid and self._put_out(f"{self.describe_loss(self._unsaid)}\n".encode()):
            self._unsaid = 0
        return not self._unsaid

    def _put_out(self, data: bytes) -> bool:
        """Write all of the data, however long that takes; return False where it is refused."""
        if self._within_line and self._unsaid:  # what was cut off stays a line of its own
            data = _NEWLINE + data
        rest = memoryview(data)
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:  # another process has set the pipe so
                _wait_for_room(self._descriptor)
            except OSError:
                return False
            else:
                self._within_line = rest[written - 1] != _NEWLINE[0] if written else False
                rest = rest[written:]
        return True


def _wait_for_room(descriptor: int) -> None:
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    room.poll()


def _describe_loss(lines: int) -> str:
    return f"{lines} lines were dropped here: standard error was not read, or was full"
