"""How the API may be read: each point that its pages leave open, as a switch.

The default of each switch is the plainest reading of the published pages.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from exporter.simulator.php import PhpValue
from exporter.simulator.storage import MemberOrder


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
    FLAGGED = auto()
    """Without ``__files``, but with its flag."""


class Nothing(Enum):
    """What is answered where a response has neither files nor folders to show.

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
    ANSWER = auto()
    """Those that this answer shows."""


class Unreached(Enum):
    """What becomes of folders that an answer does not reach.

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
"""Members that a folder may have beside those that are published."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One reading of everything that the API's pages leave open.

    All combine freely, but for those that contradict each other or hide a file from every client:
    these raise ValueError.

    - ``folder``: the form of the requested folder; ``sub_folder`` that of those below it, where it
      is another one. With ``empty_object``, an empty folder is ``{}`` in any form; with
      ``skipped_object``, a skipped one is an object that is in no list.
    - ``files_per_answer``: the limit of a response, published as 100; ``limit_counts``: what it
      counts. Folders that are listed as skipped never count. Where scanned files count, scanning
      goes on until there is a file to show: an empty response is always the end.
    - ``members``: the order in which a folder's members are listed, and cut.
    - ``overlap``: how many files a follow-up response repeats.
    - ``offset_in_every_folder``: the offset is skipped in every folder of a response alike. A
      perfect client believes a follow-up of the requested folder alone, and asks for each
      sub-folder itself.
    - ``offset_stays``: where a response ends in a sub-folder, the offset of its parent stays at
      it. A perfect client asks the parent on from behind the sub-folder.
    - ``loaded_tells_files``: "all files in the folder have been returned" says nothing of its
      folders. A perfect client asks on until a response shows nothing.
    - ``count_all_types``: ``__file_count`` counts files of any type; ``count_below``: at any depth.
    - ``count_on_complete``: complete folders have it too.
    - ``extra_members``: names out of EXTRA_MEMBERS, which a perfect client passes over.
    - ``with_today``: disk.usage has the day that is not over; ``with_tomorrow``: and one that has
      not begun.
    - ``telling_status``: failures have an HTTP status of their own instead of 200.
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
    sub_folder: FolderShape | None = None
    empty_object: bool = False
    skipped_object: bool = False
    nothing: Nothing = Nothing.FOLDER
    limit_counts: Counted = Counted.FILES
    offset_counts: Counted = Counted.ENTRIES
    members: MemberOrder = MemberOrder.FILES_FIRST
    offset_in_every_folder: bool = False
    passing_offset: PassingOffset = PassingOffset.OWN
    offset_stays: bool = False
    offset_written: OffsetWritten = OffsetWritten.EVERYWHERE
    complete_offset: CompleteOffset = CompleteOffset.ABSENT
    loaded_tells_files: bool = False
    count_all_types: bool = False
    count_below: bool = False
    count_on_complete: bool = False
    extra_members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse readings that contradict each other, or that hide a file from every client."""
        for contradiction in _contradictions(self):
            raise ValueError(contradiction)


def _contradictions(readings: Readings) -> Iterator[str]:
    own = readings.offsets is Offsets.OWN
    counts, limit = readings.offset_counts, readings.limit_counts
    if not 0 <= readings.overlap < readings.files_per_answer:
        yield "overlap must be at least 0 and less than files_per_answer"
    if readings.overlap and own and readings.members is not MemberOrder.FILES_FIRST:
        yield "a follow-up that repeats folders may never get past them: overlap needs files first"
    if limit is Counted.SCANNED is not counts:
        yield "a response may scan files and show none, so offsets must count scanned files too"
    if not own and limit is Counted.ENTRIES is not counts:
        yield "a response may be full of empty folders, so recursive offsets must count them too"
    if own and counts is not Counted.ENTRIES:
        if readings.unreached is Unreached.BEHIND_OFFSET:
            yield "an offset that counts files only does not lead to folders"
        if (
            readings.unreached is Unreached.SKIPPED_AFTER_FILES
            and readings.members is not MemberOrder.FILES_FIRST
        ):
            yield "an offset that counts files only passes over the folders before them"
    if readings.offset_in_every_folder and not own:
        yield "a recursive offset is skipped once, not in every folder"
    if readings.offset_stays and not (own and counts is Counted.ENTRIES):
        yield "an offset stays at a sub-folder only where it counts the folder's own entries"
    yield from _written_contradictions(readings)


def _written_contradictions(readings: Readings) -> Iterator[str]:
    flagless = {
        OffsetWritten.EVERYWHERE: frozenset(Loaded),
        OffsetWritten.NOT_ON_ROOT: {Loaded.NOT_ON_ROOT, Loaded.NOWHERE},
        OffsetWritten.NOWHERE: {Loaded.NOWHERE},
    }
    if readings.loaded not in flagless[readings.offset_written]:
        yield "a folder that says it is partial has to say where it goes on"
    unknown = frozenset(readings.extra_members) - EXTRA_MEMBERS.keys()
    if unknown:
        yield f"there is no extra member {min(unknown)!r}"
