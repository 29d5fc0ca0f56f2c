"""Tally the files of a walk, as a whole and by folder."""

import heapq
from typing import Final

from exporter.polling.snapshots import FileCounts, FolderCount

ROOT_LABEL: Final = "."
"""The label ``folder`` of the files directly in the path."""

OTHER: Final = "_other"
"""The label ``folder`` of the sum of the smallest folders, where there are too many."""


class CountedFolder:
    """A folder with a count of its own: the folder that it is in, its name, and its files so far.

    The path is built only for a folder that is shown: a tree of long paths would take far more
    memory than the response that it comes from.
    """

    __slots__ = ("depth", "files", "name", "parent")

    def __init__(self, parent: "CountedFolder | None" = None, name: str = "") -> None:
        self.parent = parent
        self.name = name
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.files = 0

    @property
    def label(self) -> str:
        """Return the path below the path that is counted (``a/b``), or ``.`` for that itself."""
        names = []
        folder = self
        while folder.parent is not None:
            names.append(folder.name)
            folder = folder.parent
        return "/".join(reversed(names)) or ROOT_LABEL


class FolderCounts:
    """The counts of one walk so far; ``depth`` None means that they are not needed by folder.

    ``root`` is the path that is counted, ``files`` and ``folders`` are those of the whole walk.
    """

    def __init__(self, depth: int | None) -> None:
        self.root = CountedFolder()
        self._depth = depth
        self.files = 0
        self.folders = 0
        self._below: list[CountedFolder] = []

    def add_folder(self, parent: CountedFolder, name: str) -> CountedFolder:
        """Count a folder; return where its files are counted, which may be a folder above."""
        self.folders += 1
        if self._depth is None or parent.depth >= self._depth:
            return parent
        folder = CountedFolder(parent, name)
        self._below.append(folder)
        return folder

    def add_files(self, folder: CountedFolder, files: int) -> None:
        """Count files of a folder."""
        self.files += files
        folder.files += files

    def result(self, max_folders: int) -> FileCounts:
        """Return the counts, with at most ``max_folders`` sub-folders, largest first to stay."""
        by_folder = None
        if self._depth is not None:
            files_by_label = self._fold(max_folders)
            by_folder = tuple(FolderCount(*item) for item in sorted(files_by_label.items()))
        return FileCounts(self.files, self.folders, by_folder)

    def _fold(self, max_folders: int) -> dict[str, int]:
        """Sum the smallest beyond the limit; a folder that is really named so joins them."""
        kept = heapq.nsmallest(
            max_folders, self._below, key=lambda folder: (-folder.files, folder.label)
        )
        files_by_label = {ROOT_LABEL: self.root.files}
        files_by_label |= {folder.label: folder.files for folder in kept}
        if len(kept) < len(self._below):
            others = self.files - sum(files_by_label.values())
            files_by_label[OTHER] = files_by_label.get(OTHER, 0) + others
        return files_by_label
