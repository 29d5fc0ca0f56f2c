"""Measure a whole poll of a large tree: requests, seconds and peak memory of the exporter.

The exporter runs as its users run it, in a process of its own, against the simulator in this one.
"""

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.machine import peak_memory
from exporter.simulator import Behaviour, FileType, Folder, SimulatedAccount, Simulator
from tests.support.child import Child

KEY, SECRET = "BENCH", "nobodys-secret"
TIMEOUT = 600.0
LISTENING = r" address=(\S+)"
"""The log line of a server with the address at which it listens."""

CONFIGURATION = """\
api:
  url: {url}
  concurrency: {max_concurrency}
  requests_per_second: {per_second}
  max_requests_per_poll: 100000
accounts:
  - cdn: 158
    api_key: {key}
    api_secret: {secret}
    disk_usage: {{enabled: false}}
    files: {{interval: 1h, paths: [sestore4/jb]}}
"""


def spread_tree(files: int, folders: int) -> Folder:
    """Return files spread at random over folders, which are in sixty others."""
    rng = random.Random(158)  # noqa: S311 - it makes up a tree, it keeps no secret
    storage = Folder()
    places = [f"sestore4/jb/{number % 60:02}/folder {number:05}" for number in range(folders)]
    for place in places or ["sestore4/jb"]:
        storage.make(place)
    for number in range(files):
        folder = rng.choice(places) if places else "sestore4/jb"
        storage.add(f"{folder}/recording {number:07}.mp4", FileType.VIDEO)
    return storage


@contextmanager
def running_exporter(
    url: str, max_concurrency: int, per_second: float | None
) -> Iterator[tuple[int, str]]:
    """Run the exporter against the API at ``url``; give its process and where it listens."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.write_text(
            CONFIGURATION.format(
                url=url,
                max_concurrency=max_concurrency,
                per_second="null" if per_second is None else per_second,
                key=KEY,
                secret=SECRET,
            )
        )
        command = [sys.executable, "-m", "exporter", f"--config.file={config}"]
        command += ["--web.listen-address=127.0.0.1:0"]
        with Child(command) as child:
            yield child.pid, child.wait_for_line(LISTENING)


def sample(text: str, name: str) -> float | None:
    """Return the value of the only series of this name."""
    found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def even_tree(files: int, folders: int) -> Folder:
    """Return folders in one other, with the same number of files in each."""
    storage = Folder()
    for number in range(folders):
        storage.make(f"sestore4/jb/folder {number:05}")
    for number in range(files):
        folder = f"sestore4/jb/folder {number % folders:05}"
        storage.add(f"{folder}/recording {number:07}.mp4", FileType.VIDEO)
    return storage


def measure(
    storage: Folder, latency: float, max_concurrency: int, per_second: float | None
) -> None:
    """Poll a tree once and print what it took."""
    account = SimulatedAccount(cdn=158, api_key=KEY, api_secret=SECRET, storage=storage)
    with (
        Simulator([account], Behaviour(latency=latency)) as simulator,
        running_exporter(simulator.url, max_concurrency, per_second) as (pid, address),
    ):
        text = polled_metrics(address)
        peak = peak_memory(pid) / 2**20
    stored = storage.find("sestore4/jb") or storage
    print(
        f"files {sample(text, 'scaleengine_files')} of {stored.count('video')}, "
        f"folders {sample(text, 'scaleengine_folders')} of {stored.count_folders()}, "
        f"requests {sample(text, 'scaleengine_poll_requests')}, "
        f"seconds {sample(text, 'scaleengine_poll_duration_seconds')}, "
        f"peak memory {peak:.0f} MiB"
    )


def polled_metrics(address: str) -> str:
    """Return the metrics once the first poll has ended."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        text = requests.get(f"http://{address}/metrics", timeout=10).text
        if sample(text, "scaleengine_poll_success") is not None:
            return text
        time.sleep(0.5)
    raise SystemExit(f"no poll has ended after {TIMEOUT:.0f} s")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folders", type=int, default=3_000)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds a request takes")
    parser.add_argument("--max-concurrency", type=int, default=4, help="api.concurrency")
    parser.add_argument(
        "--per-second", type=float, help="api.requests_per_second; no limit without"
    )
    parser.add_argument("--even", action="store_true", help="as many files in each folder")
    given = parser.parse_args()
    tree = (even_tree if given.even else spread_tree)(given.files, given.folders)
    measure(tree, given.latency, given.max_concurrency, given.per_second)


if __name__ == "__main__":
    main()
