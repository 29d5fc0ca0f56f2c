"""There is one truth about a target: its last good snapshot, which is replaced as a whole."""

import threading
from collections.abc import Iterator

from exporter.metrics.publisher import Publisher
from exporter.metrics.registry import build_metrics
from exporter.polling.snapshots import FileCounts, FolderCount
from exporter.polling.store import LastGood, PollResult, Store
from exporter.polling.targets import FilesTarget
from exporter.scaleengine.clock import Clock
from tests.support.published import published
from tests.support.waiting import TIMEOUT

TARGET = FilesTarget("main", 60.0, 180.0, "sestore4/jb", "video", folder_depth=1)
LOOKS = 60


class RecordingStop:
    """A stop that lets the publisher look a number of times, and keeps what it has published."""

    def __init__(self) -> None:
        self.publisher: Publisher | None = None
        self.texts: list[str] = []
        self.polled = threading.Semaphore(0)

    def is_set(self) -> bool:
        """Return whether it is time to stop."""
        return len(self.texts) >= LOOKS

    def wait(self, _: float) -> bool:
        """Keep what is published, and go on when a poll has ended."""
        if self.publisher is not None:
            parts = published(self.publisher).text(
                {"scaleengine_files", "scaleengine_folder_files"}
            )
            self.texts.append(b"".join(parts.parts).decode())
        assert self.polled.acquire(timeout=TIMEOUT)
        return self.is_set()


def generations() -> Iterator[FileCounts]:
    """Give one tree after another, in which no folder is that of the tree before."""
    number = 0
    while True:
        number += 1
        folders = tuple(FolderCount(f"{number} {index}", number) for index in range(20))
        yield FileCounts(20 * number, 20, folders)


def test_every_publication_is_one_snapshot() -> None:
    """While folders come and go, no publication has folders of two polls, or the sum of another."""
    store = Store([TARGET])
    clock = Clock(lambda: 0.0, lambda: 0.0)
    looks = RecordingStop()
    publisher = Publisher(build_metrics(store, {"main": 158}, clock), store, clock, looks)
    looks.publisher = publisher

    def poll() -> None:
        for counts in generations():
            store.record(TARGET, PollResult(0.0, 1.0, 1), LastGood(counts, 0.0))
            looks.polled.release()
            if looks.is_set():
                return

    polls = threading.Thread(target=poll)
    polls.start()
    publisher.run()
    polls.join()

    published = [text for text in looks.texts if "{" in text]
    assert len(set(published)) > 1
    for text in published:
        samples = [line.rpartition(" ") for line in text.splitlines() if line[:1] != "#"]
        total, *folders = [float(value) for _, _, value in samples]
        assert len(folders) == 20
        assert sum(folders) == total
        assert (
            len({series.partition('folder="')[2].split()[0] for series, _, _ in samples[1:]}) == 1
        )
