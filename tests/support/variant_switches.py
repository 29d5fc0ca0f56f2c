"""How the API may be read: the values of each switch of an API variant."""

from collections.abc import Mapping
from enum import Enum, auto

from exporter.simulator.php import PhpValue


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
    """Where the content of a response stands."""

    PUBLISHED = auto()
    """``usage`` next to ``message``, as in its sample; a listing under ``data``, as its fields."""
    UNDER_DATA = auto()
    BESIDE_MESSAGE = auto()


class LoadFlagPlacement(Enum):
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
    FLAGGED = auto()
    """Without ``__files``, but with its flag."""


class Nothing(Enum):
    """What is returned where a response has neither files nor folders to show.

    A perfect client takes each form for an empty folder.
    """

    FOLDER = auto()
    """The path, with an empty folder."""
    EMPTY_DATA = auto()
    """``"data": []``, PHP's empty array."""
    LEFT_OUT = auto()
    """Neither ``data`` nor the path."""


class Counted(Enum):
    """What is counted, by a limit or by an offset."""

    FILES = auto()
    """Files of the requested type."""
    ENTRIES = auto()
    """Files of the requested type, and folders."""
    SCANNED = auto()
    """Files of any type: they are scanned first, and the type filters afterwards."""
    SCANNED_ENTRIES = auto()
    """Files of any type, and folders; only an offset counts these."""
    FOLDERS = auto()
    """Folders; only an offset counts these. Each response shows the files of all folders that it
    reaches, and ends behind the one in which its limit is reached."""


COUNTS_FOLDERS = frozenset({Counted.ENTRIES, Counted.SCANNED_ENTRIES, Counted.FOLDERS})
"""What includes folders."""


class Offsets(Enum):
    """Where an offset counts; what it counts there is ``offset_counts``.

    A perfect client adds up what it has seen of the requested folder, or below it, in the order
    of the listing. Where scanned files count it cannot see them all: it asks on from the last file
    that it was shown, or from the next place, until a response shows no file.
    """

    OWN = auto()
    """In the requested folder alone. Where folders do not count, those that are listed before the
    file at the offset are passed over, and a response always shows a file of the requested folder
    while there are any: otherwise it might never get past the folders."""
    RECURSIVE = auto()
    """At any depth below the requested folder, in the order of the listing; every folder on the
    way to the place of the cut is partial then. A folder before that place is not listed again."""


class PassingOffset(Enum):
    """What the ``__offset`` of a sub-folder means that is listed with the requested folder."""

    OWN = auto()
    """It is for a request for the sub-folder itself."""
    FROM_REQUESTED = auto()
    """It counts from the requested path, at any depth. A perfect client does not use it for the
    sub-folder: it asks for that from the first, or from behind what it was shown of it."""


class OffsetWritten(Enum):
    """On which partial folders ``__offset`` and ``__file_count`` are written.

    Where neither they nor a flag are written, nothing tells that more is to come: a perfect client
    asks for each folder on from what it was shown, until a response shows nothing.
    """

    EVERYWHERE = auto()
    NOT_ON_ROOT = auto()
    """On every folder but the requested one."""
    NOWHERE = auto()


class CompleteOffset(Enum):
    """What ``__offset`` is on a complete folder."""

    ABSENT = auto()
    NULL = auto()
    ZERO = auto()


class FileCount(Enum):
    """What ``__file_count`` of a partial folder counts; a perfect client does not need it."""

    FOLDER = auto()
    """All its files of the type, and its folders."""
    RESPONSE = auto()
    """Those that this response shows."""


class Unreached(Enum):
    """What becomes of folders that a response does not reach.

    A perfect client asks for a skipped folder itself; for one that is not listed it asks the
    parent on.
    """

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


EXTRA_MEMBERS: Mapping[str, PhpValue] = {
    "__errors": [],
    "__size": 4096,
    "__modified": None,
    "__owner": "www",
}
"""Members that a folder may have in addition to those that are published."""
