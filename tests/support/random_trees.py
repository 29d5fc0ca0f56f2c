"""Random trees: sizes around the limit of a response, and names that are easily misread."""

from collections.abc import Iterator
from random import Random

from exporter.simulator.storage import FileType, Folder
from tests.support.api_variants import ApiVariant, FolderShape, LoadFlagPlacement

MAX_FILES = 600
"""How many files a random tree has at most, roughly."""

_NAMES = (
    *("a", "b", "m", "z", "a b", "été", "🎬", "[]", 'a"\\b', "null", "_other", "100%"),
    *("0", "1", "2", "007", "-1", "1.5", "__x", "__", "%2e", "...", "sestore4"),
)
_AMBIGUOUS_NAMES = ("__files", "__is_loaded", "__offset", "__file_count", "__errors")
_OWN_MEMBERS = frozenset({"__files", "__is_loaded", "__offset", "__file_count"})
_OTHER_TYPES = (FileType.AUDIO, FileType.OTHER, FileType.INVALID, FileType.DELETED)
_MAX_DEPTH = 6
_EMPTY_SHARE = 0.2
"""Of the folders for which no files are left, this share is made all the same."""
_ODD_TREES = 0.1
_ODD_FOLDERS = 0.2
_WIDE_DEPTH = 2
_NESTED_SHARE = 0.15
_UTF8_TWINS = ("\udcfe.mp4", "\udcff.mp4")


def random_tree(rng: Random, limit: int = 100) -> Folder:
    """Return a tree whose folders often hold about as many files as a response, ``limit``."""
    return _Grower(rng, limit).grow(0)


def random_wide_tree(rng: Random, limit: int = 100) -> Folder:
    """Return a tree of folders with many sub-folders, of about one size that is below ``limit``."""
    return _grow_wide(rng, limit, 0)


def describe_tree(folder: Folder, listed: str = "video") -> str:
    """Return a tree in one line: its files of the type, of all types, and its folders.

    ``60+5 a{3} b{}`` has 60 files that are listed and 5 that are not, and two folders.
    """
    shown = len(folder.names(listed))
    hidden = len(folder.names(None)) - shown
    own = [f"{shown}+{hidden}" if hidden else str(shown)] if shown or hidden else []
    below = [f"{name}{{{describe_tree(inside, listed)}}}" for name, inside in folder.folders()]
    return " ".join([*own, *below])


def ambiguities(folder: Folder, variant: ApiVariant) -> Iterator[str]:
    """Return what no client can tell from the responses, in a few words each.

    A folder named as a member that the API writes itself; and, where folders are objects, one that
    holds folders 0, 1, 2 and so on but says nothing of itself: PHP prints it as a list.
    """
    names = set(_folder_names(folder))
    for name in sorted(names & (_OWN_MEMBERS | set(variant.extra_members))):
        yield f"a folder is named {name}"
    shapes = {variant.folder, variant.sub_folder or variant.folder}
    says_nothing = variant.loaded is not LoadFlagPlacement.EVERYWHERE and not variant.extra_members
    if FolderShape.MAPPING in shapes and "0" in names and says_nothing:
        yield "a folder named 0 makes an object a list"


def _folder_names(folder: Folder) -> Iterator[str]:
    for name, below in folder.folders():
        yield name
        yield from _folder_names(below)


class _Grower:
    """Grows one tree, with fewer and fewer files left to give out."""

    def __init__(self, rng: Random, limit: int) -> None:
        self._rng = rng
        self._limit = limit
        self._left = rng.choice([0, 20, 150, 300, MAX_FILES, MAX_FILES])
        self._breadth = rng.choice([1, 3, 5, 12])
        self._others = rng.choice([0.0, 0.0, 0.1, 0.5, 0.9])
        self._is_odd = rng.random() < _ODD_TREES

    def grow(self, depth: int) -> Folder:
        """Return a folder at this depth."""
        files = self._files(self._size())
        below = {}
        if depth < _MAX_DEPTH and self._left:
            for _ in range(self._rng.randint(0, self._breadth if depth else 2 * self._breadth)):
                if self._left or self._rng.random() < _EMPTY_SHARE:
                    below[self._name()] = self.grow(depth + 1)
        folder = Folder(files, below)
        deleted = folder.names("deleted")
        if self._is_odd and deleted:
            folder.add(deleted[0], FileType.DELETED)
        return folder

    def _size(self) -> int:
        limit = self._limit
        around = (limit // 2, limit - 1, limit, limit + 1, 2 * limit + 3)
        size = min(self._rng.choice((0, 0, 1, 2, 7, self._rng.randint(3, 60), *around)), self._left)
        self._left -= size
        return size

    def _files(self, count: int) -> dict[str, FileType]:
        files: dict[str, FileType] = {}
        for number in range(count):
            name = f"{self._rng.choice('!amz')}{number:04}.mp4"
            files[name] = FileType.VIDEO
            if self._rng.random() < self._others:
                files[f"{name}.other"] = self._rng.choice(_OTHER_TYPES)
        if self._is_odd and self._rng.random() < _ODD_FOLDERS:
            files |= dict.fromkeys(_UTF8_TWINS, FileType.VIDEO)
        return files

    def _name(self) -> str:
        """Return the name of a folder; names that could be misread are rare."""
        if self._is_odd and self._rng.random() < _ODD_FOLDERS:
            return self._rng.choice(_AMBIGUOUS_NAMES)
        usual = self._rng.choice(_NAMES)
        return f"{usual}{self._rng.choice(['', self._rng.randint(0, 99)])}"


def _grow_wide(rng: Random, limit: int, depth: int) -> Folder:
    breadth = rng.choice((0, 0, 2, 4, 8) if depth else (3, 6, 12, 25, 40))
    size = rng.choice((0, 1, 2, 3, limit // 10, limit // 4, limit // 2, limit))
    hidden = rng.choice((0, 0, 0, 1, 3))
    below = {}
    for number in range(breadth):
        name = f"{rng.choice(('a', 'm', '0', 'é'))}{number:02}"
        if depth < _WIDE_DEPTH and rng.random() < _NESTED_SHARE / (depth + 1):
            below[name] = _grow_wide(rng, limit, depth + 1)
        else:
            files = max(0, size + rng.choice((0, 0, 0, 1, -1, rng.randint(-3, 6))))
            below[name] = Folder(_wide_files(rng, files, rng.choice((0, hidden))))
    own = rng.choice((0, 0, 0, 1, 2, limit // 2, limit + 3))
    return Folder(_wide_files(rng, own, rng.choice((0, hidden))), below)


def _wide_files(rng: Random, shown: int, hidden: int) -> dict[str, FileType]:
    """Return files of which some are not videos, also before the first that is."""
    files = {f"{rng.choice('!am')}{number:03}.mp4": FileType.VIDEO for number in range(shown)}
    for number in range(hidden):
        files[f"{rng.choice('!bz')}{number:03}.other"] = rng.choice(_OTHER_TYPES)
    return files
