"""Compare the numbers of every publication with the truth during their polls."""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from bench.faults.truth import (
    BYTES,
    FILES,
    FOLDER_FILES,
    FOLDERS,
    Labels,
    Numbers,
    Series,
    Truth,
    series,
)
from exporter.metrics.exposition import Exposition
from exporter.metrics.family_text import FamilyText
from exporter.metrics.self_metrics import WallTime
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import Target

_NUMBERS: Final = frozenset({BYTES, FILES, FOLDERS, FOLDER_FILES})
_REMEMBERED: Final = 100
_MAX_WRONG: Final = 20


@dataclass(frozen=True, slots=True)
class Window:
    """When a good poll began and ended, in monotonic time."""

    began: float
    ended: float


class WatchedStore(Store):
    """A store that remembers when the newest good polls began and ended.

    They are found by the target and by when they finished, in monotonic time.
    """

    def __init__(self, targets: Collection[Target]) -> None:
        super().__init__(targets)
        self.windows: Mapping[Target, dict[float, Window]] = {target: {} for target in targets}

    def record(self, target: Target, result: PollResult, good: LastGood | None) -> bool:
        """Take in the end of a poll, as every store does."""
        if good is not None:
            windows = self.windows[target]
            windows[good.finished] = Window(good.finished - result.seconds, good.finished)
            for oldest in list(windows)[:-_REMEMBERED]:
                del windows[oldest]
        return super().record(target, result, good)


@dataclass(frozen=True, slots=True)
class Shown:
    """The samples of one publication, without those of the process."""

    samples: Mapping[Series, float]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a series, or None where it is absent."""
        return self.samples.get(series(name, **labels))

    def of_poll(self, name: str, target: Target) -> float | None:
        """Return the value of a gauge of the polls for a target."""
        return self.value(name, **poll_labels(target))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all series of a metric that have these labels."""
        wanted = labels.items()
        return sum(
            value
            for (found, held), value in self.samples.items()
            if found == name and wanted <= held
        )

    def numbers(self, target: Target) -> Numbers:
        """Return the numbers of a target, none of them where they are absent."""
        labels = {"account": target.account}
        if target.path:
            labels |= {"path": target.path, "file_type": target.file_type}
        names = _NUMBERS - {BYTES} if target.path else {BYTES}
        return {
            (name, held): value
            for (name, held), value in self.samples.items()
            if name in names and labels.items() <= held
        }


def poll_labels(target: Target) -> dict[str, str]:
    """Return the labels of the gauges of a target's polls."""
    return {
        "account": target.account,
        "collector": target.collector,
        "path": target.path,
        "file_type": target.file_type,
    }


class MetricsObserver:
    """Sees every publication: ``look`` is called with each, in the publisher's thread.

    ``wrong`` are sentences about numbers that were never true while their poll went on; of many
    the first. Others may wait for a publication of a kind.
    """

    def __init__(
        self, store: WatchedStore, truths: Mapping[Target, Truth], wall_time: WallTime
    ) -> None:
        self._store = store
        self._wall_time = wall_time
        self._truths = truths
        self._families: dict[bytes, tuple[FamilyText, Mapping[Series, float]]] = {}
        self._newest = Shown({})
        self._seen = threading.Condition()
        self.publications = 0
        self.wrong_count = 0
        self.wrong: list[str] = []

    @property
    def newest(self) -> Shown:
        """Return what was published last."""
        return self._newest

    def look(self, exposition: Exposition) -> None:
        """Check a publication, and show it to those who wait."""
        samples: dict[Series, float] = {}
        for family in exposition.accounts.families.values():
            samples |= self._samples(family)
        shown = Shown(samples)
        for target in self._truths:
            for sentence in self._wrong(target, shown):
                self.wrong_count += 1
                if sentence not in self.wrong and len(self.wrong) < _MAX_WRONG:
                    self.wrong.append(sentence)
        with self._seen:
            self._newest = shown
            self.publications += 1
            self._seen.notify_all()

    def wait_for(self, condition: Callable[[Shown], bool], timeout: float) -> Shown | None:
        """Return the first publication from now on of which something holds.

        It is None after ``timeout`` real seconds.
        """
        found: list[Shown] = []

        def holds() -> bool:
            if not found and condition(self._newest):
                found.append(self._newest)
            return bool(found)

        with self._seen:
            self._seen.wait_for(holds, timeout)
        return found[0] if found else None

    def _samples(self, family: FamilyText) -> Mapping[Series, float]:
        """Read the text of a family, unless it was read last."""
        kept = self._families.get(family.head)
        if kept is None or kept[0] is not family:
            text = b"".join(family.texts).decode()
            kept = self._families[family.head] = (family, _read(text))
        return kept[1]

    def _wrong(self, target: Target, shown: Shown) -> Iterator[str]:
        numbers = shown.numbers(target)
        if not numbers:
            return
        finished = shown.of_poll("scaleengine_poll_last_success_timestamp_seconds", target)
        windows = tuple(self._store.windows[target].items())  # polls that end go on adding
        window = next((seen for at, seen in windows if self._wall_time.unix(at) == finished), None)
        if window is None:
            yield f"{target}: numbers of no poll that is known to have been good"
            return
        true = self._truths[target].between(window.began, window.ended)
        for (name, labels), value in numbers.items():
            if value not in {moment.get((name, labels)) for moment in true}:
                yield f"{target}: {name}{sorted(labels)} {value:g} was never true"
        if not any(moment.keys() == numbers.keys() for moment in true):
            yield f"{target}: a series is missing or too much"
        if not _adds_up(numbers):
            yield f"{target}: the files of the folders are not the files in all"


def _adds_up(numbers: Numbers) -> bool:
    sums: dict[str, float] = defaultdict(float)
    for (name, _), value in numbers.items():
        sums[name] += value
    return FOLDER_FILES not in sums or sums[FOLDER_FILES] == sums[FILES]


def _read(text: str) -> Mapping[Series, float]:
    return {
        (sample.name, _labels(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _labels(labels: Mapping[str, str]) -> Labels:
    return frozenset(labels.items())
