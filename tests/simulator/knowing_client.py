"""A client that knows the API variant, and sees the responses only."""

from dataclasses import dataclass, field

from exporter.simulator.published import COMPLETE, PARTIAL, SKIPPED, ListedFolder
from exporter.simulator.storage import Folder
from tests.support.api_variants import ApiVariant, Counted, Offsets, OffsetWritten
from tests.support.variant_listing import list_folder
from tests.support.variant_switches import COUNTS_FOLDERS


@dataclass
class Found:
    """The paths of the files and folders that a client was shown, and its requests."""

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    requests: int = 0


def find_all(tree: Folder, listed: str, variant: ApiVariant) -> Found:
    """Ask for the tree and for every folder in it, each until nothing more is to come."""
    found = Found()
    unasked = [""]
    while unasked:
        path = unasked.pop()
        folder = tree.find(path)
        assert folder is not None
        before = set(found.folders)
        _follow(folder, path, listed, variant, found)
        unasked += found.folders - before
    return found


def _follow(folder: Folder, path: str, listed: str, variant: ApiVariant, found: Found) -> None:
    """Ask for one folder from the first on."""
    offset = 0
    while True:
        response = list_folder(folder, listed, offset, variant)
        found.requests += 1
        _note(response, path, found)
        next_offset = _next_offset(response, offset, variant)
        if next_offset is None:
            return
        assert next_offset > offset
        offset = next_offset


def _note(response: ListedFolder, path: str, found: Found) -> None:
    found.files.update(f"{path}/{name}".lstrip("/") for name in response.files)
    for name, below in response.folders:
        found.folders.add(f"{path}/{name}".lstrip("/"))
        _note(below, f"{path}/{name}".lstrip("/"), found)


def _next_offset(response: ListedFolder, offset: int, variant: ApiVariant) -> int | None:
    """Return where to ask on, by what the response says or else by what it shows; None to end."""
    says_so = (
        variant.offset_written is OffsetWritten.EVERYWHERE
        and not variant.loaded_tells_files
        and not variant.offset_stays
    )
    if says_so:
        assert response.loaded in {COMPLETE, PARTIAL}
        return response.offset if response.loaded == PARTIAL else None
    step = _shown(response, variant)
    return None if step is None else offset + max(1, step - variant.overlap)


def _shown(response: ListedFolder, variant: ApiVariant) -> int | None:
    """Return how many places the response shows for sure; None where it shows the end."""
    counts_folders = variant.offset_counts in COUNTS_FOLDERS
    if variant.offset_counts is Counted.FOLDERS:
        shown = sum(below.loaded != SKIPPED for _, below in response.folders)
        is_end = True
    elif variant.offsets is Offsets.OWN:
        begun = [name for name, below in response.folders if below.loaded != SKIPPED]
        shown = len(response.files) + len(begun) * counts_folders
        is_end = not response.files
    else:
        shown = response.file_total()
        is_end = not shown
    return None if is_end and not (counts_folders and response.folders) else shown
