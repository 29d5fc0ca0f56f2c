"""What is true of a simulated account, and was at every moment before."""

import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TypeAlias

from exporter.polling.folder_counts import ROOT_LABEL
from exporter.polling.targets import FilesTarget, Target
from exporter.simulator import Folder

Labels: TypeAlias = frozenset[tuple[str, str]]
Series: TypeAlias = tuple[str, Labels]
"""The name of a metric, and labels with their values."""
Numbers: TypeAlias = Mapping[Series, float]

BYTES = "scaleengine_disk_usage_bytes"
FILES = "scaleengine_files"
FOLDERS = "scaleengine_folders"
FOLDER_FILES = "scaleengine_folder_files"


class Truth:
    """The numbers of one target in the course of time, in seconds of monotonic time."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._numbers: list[Numbers] = []

    def note(self, moment: float, numbers: Numbers) -> None:
        """Take down what is true from a moment on; moments come in order."""
        self._moments.append(moment)
        self._numbers.append(numbers)

    def newest(self) -> Numbers:
        """Return what is true since the last moment that was taken down."""
        return self._numbers[-1]

    def between(self, began: float, ended: float) -> Sequence[Numbers]:
        """Return all that was true at some moment from ``began`` to ``ended``."""
        first = max(0, bisect_right(self._moments, began) - 1)
        return self._numbers[first : bisect_right(self._moments, ended)]


class Holdings:
    """What a simulated account holds: files in its storage, bytes of its CPU users.

    ``targets`` are what is polled of it, each with its truth.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self.storage = Folder()
        self.bytes_by_user: Mapping[str, int] = {}
        """Bytes by CPU user; to be replaced, not changed."""
        self.truths: Mapping[Target, Truth] = {target: Truth() for target in targets}
        self.lock = threading.RLock()

    def change(self, monotonic: Callable[[], float], change: Callable[["Holdings"], None]) -> None:
        """Change what is held, and record that it is true from now on.

        ``monotonic`` reads the clock, when no response of the simulator can be made
        until the change is done: a moment read before would be earlier than the change.
        """
        with self.lock, self.storage.lock:
            moment = monotonic()
            change(self)
            for target, truth in self.truths.items():
                truth.note(moment, self.numbers(target))

    def usage(self, _: date) -> Mapping[str, int]:
        """Return the bytes of each CPU user, on every day those of today."""
        with self.lock:
            return self.bytes_by_user

    def numbers(self, target: Target) -> Numbers:
        """Return what an exporter has to show of a target now."""
        with self.lock, self.storage.lock:
            if isinstance(target, FilesTarget):
                return _file_numbers(target, self.storage.find(target.path) or Folder())
            return {
                series(BYTES, account=target.account, cpu_user=user): bytes_total
                for user, bytes_total in self.bytes_by_user.items()
            }


def series(name: str, **labels: str) -> Series:
    """Return the series of a metric with these labels."""
    return name, frozenset(labels.items())


def _file_numbers(target: FilesTarget, top: Folder) -> Numbers:
    """Count what is below a path, by folders at the first level."""
    labels = {
        "account": target.account,
        "path": target.path,
        "file_type": target.file_type,
    }
    by_folder = {ROOT_LABEL: len(top.names(target.file_type))}
    by_folder |= {name: folder.count(target.file_type) for name, folder in top.folders()}
    return {
        series(FILES, **labels): top.count(target.file_type),
        series(FOLDERS, **labels): top.count_folders(),
        **{series(FOLDER_FILES, **labels, folder=name): files for name, files in by_folder.items()},
    }
