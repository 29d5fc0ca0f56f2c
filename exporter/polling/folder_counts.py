"""Tally the files of a walk, as a whole and by folder."""

from typing import Final

from exporter.polling.snapshots import FileCounts, FolderCount

DIRECTLY: Final = "."
"""The label ``folder`` of the files that stand directly in the path."""

OTHER: Final = "_other"
"""The label ``folder`` of the sum of the smallest folders, where there are too many."""


class FolderCounts:
    """The counts of one walk so far; ``depth`` None means that nobody asks for them by folder."""

    def __init__(self, depth: int | None) -> None:
        self._depth = depth
        self._files = 0
        self._folders = 0
        self._by_folder: dict[str, int] = {DIRECTLY: 0}

    def add_folder(self, place: str) -> None:
        """Count a folder, given by its place below the path (``a/b``)."""
        self._folders += 1
        self._add(place, 0)

    def add_files(self, place: str, files: int) -> None:
        """Count files that stand in the folder at this place; "" is the path itself."""
        self._files += files
        self._add(place, files)

    def result(self, max_folders: int) -> FileCounts:
        """Return the counts, with at most ``max_folders`` sub-folders, largest first to stay."""
        by_folder = None
        if self._depth is not None:
            by_folder = tuple(
                FolderCount(folder, files)
                for folder, files in sorted(_folded(self._by_folder, max_folders).items())
            )
        return FileCounts(self._files, self._folders, by_folder)

    def _add(self, place: str, files: int) -> None:
        if self._depth is None:
            return
        folder = "/".join(place.split("/", self._depth)[: self._depth]) or DIRECTLY
        self._by_folder[folder] = self._by_folder.get(folder, 0) + files


def _folded(by_folder: dict[str, int], max_folders: int) -> dict[str, int]:
    """Sum the smallest beyond the limit; a folder that is really named so joins them."""
    sub_folders = [(files, folder) for folder, files in by_folder.items() if folder != DIRECTLY]
    if len(sub_folders) <= max_folders:
        return by_folder
    sub_folders.sort(key=lambda item: (-item[0], item[1]))
    kept = {folder: files for files, folder in sub_folders[:max_folders]}
    others = sum(files for files, _ in sub_folders[max_folders:])
    kept[OTHER] = kept.get(OTHER, 0) + others
    return {DIRECTLY: by_folder[DIRECTLY], **kept}
