"""The same series for every server: as a tree to poll, as text to push, as a family to render.

``python -m bench.series 10000`` serves them by prometheus_client's own server, and prints where.
"""

import random
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from exporter.simulator import FileType, Folder

NAME: Final = "scaleengine_folder_files"
STORE_PATH: Final = "sestore4/jb"
CDN: Final = 158

_MOST_FILES: Final = 9


def tree(count: int) -> Folder:
    """Return the storage whose folders make ``count`` series: one of them is the path's own."""
    storage = Folder()
    storage.make(STORE_PATH)
    for folder, files in _counts(count):
        for number in range(files):
            storage.add(f"{STORE_PATH}/{folder}/{number}.mp4", FileType.VIDEO)
    return storage


def text(count: int) -> bytes:
    """Return the series in Prometheus' text format."""
    return generate_latest(_registry(count))


class _Made(Collector):
    """Holds a family that is made once: rendering and compressing is all that a scrape pays."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def _registry(count: int) -> CollectorRegistry:
    family = GaugeMetricFamily(
        NAME, "Files of each folder.", labels=("account", "path", "folder", "file_type")
    )
    family.add_metric((str(CDN), STORE_PATH, ".", "video"), 0)
    for folder, files in _counts(count):
        family.add_metric((str(CDN), STORE_PATH, folder, "video"), files)
    registry = CollectorRegistry()
    registry.register(_Made(family))
    return registry


def _counts(count: int) -> Iterator[tuple[str, int]]:
    """Return each sub-folder and the number of its files.

    At random, the same at every run: names in sequence would compress as no real storage does.
    """
    rng = random.Random(CDN)  # noqa: S311 - it makes up names, it keeps no secret
    for _ in range(count - 1):
        yield f"{rng.getrandbits(48):012x}", rng.randint(1, _MOST_FILES)


def main() -> None:
    """Serve the series until the process is ended."""
    server, _ = start_http_server(0, "127.0.0.1", _registry(int(sys.argv[1])))
    sys.stderr.write(f"listening address=127.0.0.1:{server.server_port}\n")
    threading.Event().wait()


if __name__ == "__main__":
    main()
