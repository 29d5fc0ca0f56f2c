"""What can go wrong on the server's side and on the way, and which calls it hits."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import TypeAlias


class Fault(Enum):
    """One way in which an answer is bad; a code or an HTTP status are Refusal and HttpError."""

    STUCK_OFFSET = auto()
    """The requested folder is partial, and its ``__offset`` is the one that was asked for."""
    ALWAYS_SKIPPED = auto()
    """The requested folder comes back skipped."""
    SHRINKING = auto()
    """A follow-up answer is complete and empty, as though the rest had been deleted."""
    OTHER_PATH = auto()
    """The listing is that of another path than the requested one."""

    NOT_ROWS = auto()
    """Rows, or file names, that are numbers, texts, null and lists."""
    NOT_A_FOLDER = auto()
    """The requested folder, or the list of rows, is a text."""
    NAN = auto()
    """Numbers are ``NaN``, which is no JSON."""
    HUGE_NUMBER = auto()
    """Numbers have ten thousand digits."""
    LONE_SURROGATE = auto()
    """A file name, or a CPU user, holds half of a surrogate pair: no text that UTF-8 can hold."""

    HTML_PAGE = auto()
    EMPTY_BODY = auto()
    TRUNCATED = auto()
    """The first half of the JSON text, as a whole HTTP body."""
    NULL = auto()
    A_LIST = auto()
    DEEP_NESTING = auto()
    """The envelope holds a hundred thousand brackets."""
    DUPLICATE_KEYS = auto()
    """The content stands twice in the envelope, the second time empty."""
    BAD_UTF8 = auto()
    """The body holds bytes that are no UTF-8."""

    GZIP_BOMB = auto()
    """A small gzip body that unpacks to 64 MiB of spaces before the answer."""
    ENDLESS_BODY = auto()
    """A body that goes on until the client leaves; it ends after a GiB all the same."""
    HANG = auto()
    """No answer until the client leaves or the simulator stops."""
    SLOW_HEADERS = auto()
    """The right answer, one byte of its headers at a time."""
    SLOW_BODY = auto()
    """The right answer, one byte of its body at a time."""
    RESET = auto()
    """The connection is reset before the answer."""
    RESET_IN_BODY = auto()
    """The connection is reset after half of the body."""
    REDIRECT = auto()
    """HTTP 307 to ``/elsewhere/``, which answers as usual and is recorded as another route."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API's failure envelope, whatever was asked; ``code`` has four digits, or is None."""

    code: str | None
    message: str = "Request refused"


@dataclass(frozen=True, slots=True)
class HttpError:
    """An HTTP status with an HTML page; ``retry_after`` is the header's text, seconds or a date."""

    status: int
    retry_after: str | None = None


BUSY = Refusal("1000", "Our servers are busy, please try again in a few minutes")
FAILING = Refusal("0004", "An unexpected error occurred")
NOT_FOUND = Refusal(None, "Path not found")
"""As the simulator answers for a path that does not exist; the real API's code is not known."""

AnyFault: TypeAlias = Fault | Refusal | HttpError


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault and the calls that it hits.

    A call counts when it is of the command and of the path (None: any). ``calls`` are the numbers
    of those that are hit, from 1 on, counted from the moment at which the behaviour came into
    force: ``(3,)`` the third, ``range(1, 4)`` the first three, None all. ``share`` is the part of
    them that is hit, by chance.
    """

    fault: AnyFault
    command: str | None = None
    path: str | None = None
    calls: Collection[int] | None = None
    share: float = 1.0

    def concerns(self, command: str, path: str | None) -> bool:
        """Say whether a call is counted."""
        return self.command in (None, command) and self.path in (None, path)

    def hits(self, number: int, chance: float) -> bool:
        """Say whether the counted call of this number is hit; chance is from 0 up to 1."""
        return (self.calls is None or number in self.calls) and chance < self.share


class FaultPicker:
    """Counts calls and finds the fault that hits each; for one behaviour, from its start on."""

    def __init__(self, broken: tuple[Broken, ...], random: Random) -> None:
        self._broken = broken
        self._random = random
        self._counts = [0] * len(broken)

    def pick(self, command: str, path: str | None) -> AnyFault | None:
        """Count a call and return the fault that hits it; of several the first."""
        picked: AnyFault | None = None
        for index, broken in enumerate(self._broken):
            if broken.concerns(command, path):
                self._counts[index] += 1
                hit = broken.hits(self._counts[index], self._random.random())
                picked = picked or (broken.fault if hit else None)
        return picked
