"""Random readings and trees, to try a client under unforeseen combinations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from random import Random
from typing import TypeVar

from exporter.simulator.storage import MemberOrder
from tests.support.api_variants import (
    EXTRA_MEMBERS,
    ApiVariant,
    Array,
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
    PassingOffset,
    Unreached,
)
from tests.support.variant_switches import COUNTS_FOLDERS

T = TypeVar("T")

LIMITS = (100, 100, 100, 10, 25, 37, 100, 150, 250)
"""How many files a response lists: the published number, and others."""

_WRITTEN = (
    (LoadFlagPlacement.EVERYWHERE, OffsetWritten.EVERYWHERE),
    *(
        (loaded, OffsetWritten.EVERYWHERE)
        for loaded in LoadFlagPlacement
        if loaded is not LoadFlagPlacement.EVERYWHERE
    ),
    *3 * ((LoadFlagPlacement.NOT_ON_ROOT, OffsetWritten.NOT_ON_ROOT),),
    *2 * ((LoadFlagPlacement.NOWHERE, OffsetWritten.NOT_ON_ROOT),),
    (LoadFlagPlacement.NOWHERE, OffsetWritten.NOWHERE),
)
"""What can be written together; a requested folder without either comes often."""

_COUNTED = (
    (Offsets.OWN, Counted.ENTRIES, Counted.FILES),
    (Offsets.OWN, Counted.ENTRIES, Counted.ENTRIES),
    (Offsets.OWN, Counted.FILES, Counted.FILES),
    (Offsets.OWN, Counted.FILES, Counted.ENTRIES),
    (Offsets.OWN, Counted.SCANNED, Counted.FILES),
    (Offsets.OWN, Counted.SCANNED, Counted.ENTRIES),
    (Offsets.OWN, Counted.SCANNED, Counted.SCANNED),
    (Offsets.OWN, Counted.SCANNED_ENTRIES, Counted.FILES),
    (Offsets.OWN, Counted.SCANNED_ENTRIES, Counted.ENTRIES),
    (Offsets.OWN, Counted.FOLDERS, Counted.FILES),
    (Offsets.OWN, Counted.FOLDERS, Counted.ENTRIES),
    (Offsets.RECURSIVE, Counted.FILES, Counted.FILES),
    (Offsets.RECURSIVE, Counted.ENTRIES, Counted.FILES),
    (Offsets.RECURSIVE, Counted.ENTRIES, Counted.ENTRIES),
    (Offsets.RECURSIVE, Counted.SCANNED, Counted.FILES),
    (Offsets.RECURSIVE, Counted.SCANNED, Counted.SCANNED),
    (Offsets.RECURSIVE, Counted.SCANNED_ENTRIES, Counted.FILES),
)
"""Where an offset counts, what it counts, and what the limit of a response counts."""

_BOLDNESS = (0.05, 0.2, 0.4, 0.7)
"""How likely each switch is an unusual one; a reading has one of these throughout."""


def random_variant(rng: Random, limits: Sequence[int] = LIMITS) -> ApiVariant:
    """Return a consistent reading of files.list; ``limits`` are those of a response."""
    dice = _Dice(rng, rng.choice(_BOLDNESS))
    return _counting(dice, rng.choice(limits), _writing(dice))


def describe(variant: ApiVariant) -> str:
    """Return what is unusual about a reading, in one line: ``members=BY_NAME overlap=1``."""
    plain = ApiVariant()
    unusual = (
        f"{field.name}={_word(getattr(variant, field.name))}"
        for field in fields(variant)
        if getattr(variant, field.name) != getattr(plain, field.name)
    )
    return " ".join(unusual) or "the plainest reading"


def _word(value: object) -> str:
    if isinstance(value, Enum):
        return value.name
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True, slots=True)
class _Dice:
    """Chance, and how likely it is that a switch is an unusual one."""

    rng: Random
    boldness: float

    def is_unusual(self) -> bool:
        return self.rng.random() < self.boldness

    def pick(self, options: Iterable[T]) -> T:
        """Return the first option, which is the usual one, or any other."""
        usual, *unusual = options
        return self.rng.choice(unusual) if self.is_unusual() else usual


def _writing(dice: _Dice) -> ApiVariant:
    """Return a reading that is unusual in how responses are written."""
    loaded, offset_written = dice.pick(_WRITTEN)
    return ApiVariant(
        folder=dice.pick(FolderShape),
        sub_folder=dice.pick([None, *FolderShape]),
        empty_object=dice.is_unusual(),
        skipped_object=dice.is_unusual(),
        files=dice.pick(Array),
        numbers=dice.pick(Numbers),
        content=dice.pick(Content),
        loaded=loaded,
        offset_written=offset_written,
        complete_offset=dice.pick(CompleteOffset),
        empty=dice.pick(Empty),
        nothing=dice.pick(Nothing),
        file_count=dice.pick(FileCount),
        count_all_types=dice.is_unusual(),
        count_below=dice.is_unusual(),
        count_on_complete=dice.is_unusual(),
        extra_members=dice.pick([(), *((name,) for name in EXTRA_MEMBERS), tuple(EXTRA_MEMBERS)]),
    )


def _counting(dice: _Dice, limit: int, writing: ApiVariant) -> ApiVariant:
    """Return the reading, made unusual in what offsets and limits count too."""
    offsets, counts, limit_counts = dice.pick(_COUNTED)
    own = offsets is Offsets.OWN
    counts_folders = counts in COUNTS_FOLDERS
    members = dice.pick(MemberOrder)
    files_first = members is MemberOrder.FILES_FIRST
    unreached = [Unreached.SKIPPED]
    if not own or counts_folders or files_first:
        unreached.append(Unreached.SKIPPED_AFTER_FILES)
    if not own or (counts_folders and counts is not Counted.FOLDERS):
        unreached.append(Unreached.BEHIND_OFFSET)
    may_overlap = not own or (files_first and counts is not Counted.FOLDERS)
    overlaps = [0, min(1, limit - 1), min(2, limit - 1), limit // 2, limit - 1]
    return replace(
        writing,
        offsets=offsets,
        offset_counts=counts,
        offset_in_every_folder=own and dice.is_unusual() and dice.is_unusual(),
        passing_offset=dice.pick(PassingOffset),
        offset_stays=own and counts is Counted.ENTRIES and dice.is_unusual(),
        files_per_answer=limit,
        limit_counts=limit_counts,
        members=members,
        unreached=dice.pick(unreached) if len(unreached) > 1 else unreached[0],
        overlap=dice.pick(overlaps) if may_overlap else 0,
        loaded_tells_files=dice.is_unusual(),
    )
