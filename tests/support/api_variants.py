"""API variants: each reading of what ScaleEngine's pages leave open, for the simulator.

The default of each switch is the plainest reading of the published pages, which is also that of
``exporter/simulator/published.py``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from exporter.simulator.php import PhpValue
from exporter.simulator.protocol import MISSING_FIELD, UNKNOWN_COMMAND, UNPUBLISHED
from exporter.simulator.published import ListedFolder
from exporter.simulator.simulated_accounts import DAYS, Row, Usage, list_rows
from exporter.simulator.storage import Folder, MemberOrder
from tests.support import variant_encoding, variant_listing
from tests.support.variant_switches import (
    COUNTS_FOLDERS,
    EXTRA_MEMBERS,
    Array,
    Code,
    CompleteOffset,
    Content,
    Counted,
    Empty,
    FileCount,
    FolderShape,
    LoadFlagPlacement,
    Nothing,
    Numbers,
    Offsets,
    OffsetWritten,
    Order,
    PassingOffset,
    Unreached,
)

__all__ = [
    "EXTRA_MEMBERS",
    "ApiVariant",
    "Array",
    "Code",
    "CompleteOffset",
    "Content",
    "Counted",
    "Empty",
    "FileCount",
    "FolderShape",
    "LoadFlagPlacement",
    "MemberOrder",
    "Nothing",
    "Numbers",
    "OffsetWritten",
    "Offsets",
    "Order",
    "PassingOffset",
    "Unreached",
]

_HTTP_STATUS: Mapping[str | None, int] = {
    UNKNOWN_COMMAND: 404,
    "0001": 401,
    "0002": 401,
    "0003": 403,
    "0004": 500,
    "0005": 403,
    MISSING_FIELD: 400,
    UNPUBLISHED: 404,
    "1000": 503,
}
"""The statuses of failures under ``ApiVariant.telling_status``."""


@dataclass(frozen=True, slots=True)
class ApiVariant:
    """One reading of everything that the API's pages leave open.

    All combine freely, except those that contradict each other or hide a file from every client:
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
    loaded: LoadFlagPlacement = LoadFlagPlacement.EVERYWHERE
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

    def find_status(self, code: str | None) -> int:
        """Return the HTTP status of a failure with a code."""
        return _HTTP_STATUS.get(code, 400) if self.telling_status else 200

    def list_rows(
        self, usage: Usage, cpu_users: Sequence[str], first: date, *, today: date, random: Random
    ) -> list[Row]:
        """Return the rows of thirty days from the first; no CPU users means all."""
        until_today = (today - first).days + (1 if self.with_today else 0)
        days = [first + timedelta(days=number) for number in range(min(DAYS, until_today))]
        if self.with_tomorrow and until_today <= DAYS:
            days.append(today + timedelta(days=1))
        rows = list_rows(usage, cpu_users, days)
        if self.row_order is Order.REVERSED:
            rows.reverse()
        elif self.row_order is Order.SHUFFLED:
            random.shuffle(rows)
        return rows

    def write_rows(self, rows: Sequence[Row], odd: Sequence[PhpValue]) -> PhpValue:
        """Return the rows of disk.usage, and after them the ``odd`` ones unchanged."""
        return variant_encoding.rows(rows, odd, self)

    def list_folder(self, folder: Folder, file_type: str, offset: int) -> ListedFolder:
        """Return what one response shows of a folder, from an offset on."""
        return variant_listing.list_folder(folder, file_type, offset, self)

    def write_listing(self, path: str, listed: ListedFolder) -> Mapping[str, PhpValue]:
        """Return the content of a response of files.list."""
        shows_nothing = listed == ListedFolder(file_count=listed.file_count)
        if shows_nothing and self.nothing is not Nothing.FOLDER:
            return {}
        return {path: variant_encoding.folder(listed, self)}

    def write_success(
        self, content: Mapping[str, PhpValue], message: str, seconds: float, *, is_listing: bool
    ) -> dict[str, PhpValue]:
        """Return the envelope of a success; ``seconds`` is how long the request took."""
        return variant_encoding.success(content, message, self, seconds, listing=is_listing)

    def write_failure(self, code: str | None, message: str, seconds: float) -> dict[str, PhpValue]:
        """Return the envelope of a failure; the code has four digits, or is None."""
        return variant_encoding.failure(code, message, self, seconds)


def _contradictions(variant: ApiVariant) -> Iterator[str]:
    own = variant.offsets is Offsets.OWN
    counts = variant.offset_counts
    if not 0 <= variant.overlap < variant.files_per_answer:
        yield "overlap must be at least 0 and less than files_per_answer"
    if variant.overlap and own and variant.members is not MemberOrder.FILES_FIRST:
        yield "a follow-up that repeats folders may never get past them: overlap needs files first"
    if own and counts not in COUNTS_FOLDERS:
        if variant.unreached is Unreached.BEHIND_OFFSET:
            yield "an offset that counts files only does not lead to folders"
        if (
            variant.unreached is Unreached.SKIPPED_AFTER_FILES
            and variant.members is not MemberOrder.FILES_FIRST
        ):
            yield "an offset that counts files only passes over the folders before them"
    if variant.offset_in_every_folder and not own:
        yield "a recursive offset is skipped once, not in every folder"
    if variant.offset_stays and not (own and counts is Counted.ENTRIES):
        yield "an offset stays at a sub-folder only where it counts the folder's own entries"
    yield from _limit_contradictions(variant)
    yield from _written_contradictions(variant)


def _limit_contradictions(variant: ApiVariant) -> Iterator[str]:
    own = variant.offsets is Offsets.OWN
    counts, limit = variant.offset_counts, variant.limit_counts
    if limit in {Counted.SCANNED_ENTRIES, Counted.FOLDERS}:
        yield "a response is limited by its files, its entries, or the files that are scanned"
    if limit is Counted.SCANNED and counts not in {Counted.SCANNED, Counted.SCANNED_ENTRIES}:
        yield "a response may scan files and show none, so offsets must count scanned files too"
    if counts is Counted.FOLDERS and variant.unreached is Unreached.BEHIND_OFFSET:
        yield "a response that may exceed its limit does not tell if a folder is left out"
    if counts is Counted.FOLDERS and (variant.overlap or not own):
        yield "an offset that counts folders only leads from one to the next, and repeats none"
    if not own and limit is Counted.ENTRIES and counts not in COUNTS_FOLDERS:
        yield "a response may be full of empty folders, so recursive offsets must count them too"


def _written_contradictions(variant: ApiVariant) -> Iterator[str]:
    flagless = {
        OffsetWritten.EVERYWHERE: frozenset(LoadFlagPlacement),
        OffsetWritten.NOT_ON_ROOT: {LoadFlagPlacement.NOT_ON_ROOT, LoadFlagPlacement.NOWHERE},
        OffsetWritten.NOWHERE: {LoadFlagPlacement.NOWHERE},
    }
    if variant.loaded not in flagless[variant.offset_written]:
        yield "a folder that says it is partial has to say where it goes on"
    unknown = frozenset(variant.extra_members) - EXTRA_MEMBERS.keys()
    if unknown:
        yield f"there is no extra member {min(unknown)!r}"
