"""How the API may be read: each point that its pages leave open, as a switch.

The default of each switch is the plainest reading of the published pages.
"""

from dataclasses import dataclass
from enum import Enum, auto


class FolderShape(Enum):
    """How a folder of a listing is written."""

    LIST = auto()
    """As the published sample: a list of one mapping."""
    MAPPING = auto()
    PIECES = auto()
    """A list of several mappings, each with one member of the folder."""


class Order(Enum):
    """In which order the rows of disk.usage come."""

    SORTED = auto()
    """By day, then by CPU user."""
    REVERSED = auto()
    SHUFFLED = auto()


class Array(Enum):
    """How a list of names or rows is written."""

    LIST = auto()
    GAPS = auto()
    """A mapping from index to item, as PHP prints an array that lost some items."""


class Numbers(Enum):
    """How numbers are written: ``__is_loaded``, ``__offset``, ``__file_count``, ``bytes_total``."""

    NUMBER = auto()
    TEXT = auto()


class Content(Enum):
    """Where the content of an answer stands."""

    PUBLISHED = auto()
    """``usage`` beside ``message``, as in its sample; a listing under ``data``, as its fields."""
    UNDER_DATA = auto()
    BESIDE_MESSAGE = auto()


class Loaded(Enum):
    """Where ``__is_loaded`` is written."""

    EVERYWHERE = auto()
    NOT_ON_ROOT = auto()
    """On every folder but the requested one, as in the published sample."""
    NOT_ON_COMPLETE = auto()
    """On the requested folder, and below it on partial and skipped ones."""
    ONLY_UNFINISHED = auto()
    """On partial and skipped folders, the requested one among them."""
    NOWHERE = auto()


class Empty(Enum):
    """How a folder is written that has no files to show."""

    OMITTED = auto()
    """Without ``__files``; without anything at all, ``[]``, when it is complete and has none
    of folders either."""
    WRITTEN = auto()
    """With an empty ``__files``, and with its flag."""


class Offsets(Enum):
    """What an offset counts."""

    OWN = auto()
    """The requested folder's own entries: its files of the type, then its folders."""
    RECURSIVE = auto()
    """The files at any depth below the requested folder; every folder on the way to the place
    of the cut is partial then."""


class FileCount(Enum):
    """What ``__file_count`` of a partial folder counts."""

    FOLDER = auto()
    """All its files of the type, and its folders."""
    ANSWER = auto()
    """Those that this answer shows."""


class Unreached(Enum):
    """What becomes of folders that an answer does not reach."""

    SKIPPED = auto()
    """They are listed as skipped, those of a folder that is cut among its files too."""
    SKIPPED_AFTER_FILES = auto()
    """They are listed as skipped, but a folder that is cut among its files shows none."""
    BEHIND_OFFSET = auto()
    """They are not listed: their parent is partial, and its offset leads to them."""


class Code(Enum):
    """How the code of a failure is written."""

    TEXT = auto()
    """With its leading zeros: ``"0003"``."""
    NUMBER = auto()
    SHORT_TEXT = auto()
    """As text, without the leading zeros: ``"3"``."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One reading of everything that the API's pages leave open.

    ``files_per_answer`` is the published 100. ``overlap`` is how many files a follow-up answer
    repeats; it must be less than an answer holds. ``with_today`` says whether disk.usage has the
    day that is not over; ``with_tomorrow`` adds a day that has not begun. ``telling_status`` gives
    failures an HTTP status of their own instead of 200.
    """

    folder: FolderShape = FolderShape.LIST
    files: Array = Array.LIST
    rows: Array = Array.LIST
    row_order: Order = Order.SORTED
    numbers: Numbers = Numbers.NUMBER
    content: Content = Content.PUBLISHED
    loaded: Loaded = Loaded.EVERYWHERE
    empty: Empty = Empty.OMITTED
    offsets: Offsets = Offsets.OWN
    file_count: FileCount = FileCount.FOLDER
    unreached: Unreached = Unreached.SKIPPED
    files_per_answer: int = 100
    overlap: int = 0
    with_today: bool = True
    with_tomorrow: bool = False
    code: Code = Code.TEXT
    telling_status: bool = False
    content_type: str = "application/json"

    def __post_init__(self) -> None:
        """Refuse readings under which a walk could not get on."""
        if not 0 <= self.overlap < self.files_per_answer:
            raise ValueError("overlap must be at least 0 and less than files_per_answer")
