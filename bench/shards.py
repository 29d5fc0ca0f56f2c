"""Go from three shards to four with 300 accounts, and check every second in a real Prometheus.

Each account must be polled by one shard before and after. Meanwhile it may be polled by two, but
none may be missing, and what is added up without the target's labels must be right all the time.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import requests

from exporter.sharding import compute_ordinal
from exporter.simulator import SimulatedAccount, Simulator, steady_usage
from tests.e2e.prometheus_api import PrometheusApi
from tests.support.child import Child
from tests.support.waiting import wait_until

ACCOUNTS: Final = 300
FIRST_CDN: Final = 1000
BYTES: Final = "scaleengine_disk_usage_bytes"
TIMEOUT: Final = 120.0
LISTENING: Final = r"(?i)msg=\"?listening.* address=(127\.0\.0\.1:[1-9]\d*)"

CHECKED: Final = {
    "accounts with a number": f"count(count by (account) ({BYTES}))",
    "sum of all bytes": f"sum(max without (instance) ({BYTES}))",
    "shards of an account, at most": f"max(count by (account) ({BYTES}))",
}


def main() -> None:
    """Run it, print what was seen, and exit with 1 where anything was wrong."""
    cdns = range(FIRST_CDN, FIRST_CDN + ACCOUNTS)
    accounts = [
        SimulatedAccount(cdn, f"key{cdn}", f"secret{cdn}", steady_usage({"web": cdn}))
        for cdn in cdns
    ]
    folder = Path(tempfile.mkdtemp(prefix="shards-"))
    try:
        with Simulator(accounts) as scaleengine, ExitStack() as ending:
            write_config(folder, scaleengine.url, cdns)
            with shards(folder, 3) as old:
                write_targets(folder, old)
                prometheus = PrometheusApi(f"http://{start_prometheus(folder, ending)}")
                wait_for(prometheus, f"count({BYTES})", ACCOUNTS)
                began = time.time()
                before = find_owners(prometheus)
                new = ending.enter_context(shards(folder, 4))
                write_targets(folder, [*old, *new])
                wait_for(prometheus, "count(scaleengine_exporter_total_shards == 4)", 4)
                wait_for(prometheus, f"count({BYTES})", 2 * ACCOUNTS)
                write_targets(folder, new)
                wait_for(prometheus, f"count({BYTES})", ACCOUNTS)
            time.sleep(3)
            seen, seconds = read_values(prometheus, began), time.time() - began
            after = find_owners(prometheus)
    finally:
        shutil.rmtree(folder)
    report(cdns, (before, after), seen, seconds)


def write_config(folder: Path, url: str, cdns: Sequence[int]) -> None:
    """Write the configuration that all shards have."""
    accounts = [
        {"name": f"a{cdn}", "cdn": cdn, "api_key": f"key{cdn}", "api_secret": f"secret{cdn}"}
        for cdn in cdns
    ]
    (folder / "config.yaml").write_text(json.dumps({"api": {"url": url}, "accounts": accounts}))


@contextmanager
def shards(folder: Path, total: int) -> Iterator[Sequence[str]]:
    """Run this number of shards; give their addresses when each has polled all of its accounts."""
    with ExitStack() as ending:
        running = [
            ending.enter_context(
                Child(
                    [
                        *(sys.executable, "-m", "exporter", "--web.listen-address=127.0.0.1:0"),
                        f"--config.file={folder / 'config.yaml'}",
                        *(f"--shard={ordinal}", f"--total-shards={total}"),
                    ]
                )
            )
            for ordinal in range(total)
        ]
        addresses = [shard.wait_for_line(LISTENING) for shard in running]
        for address in addresses:
            ready = f"http://{address}/-/ready"
            wait_until(
                lambda url=ready: requests.get(url, timeout=TIMEOUT).status_code,  # type: ignore[misc]
                lambda status: status == requests.codes.ok,
                f"{address} is ready",
                TIMEOUT,
            )
        yield addresses


def write_targets(folder: Path, addresses: Sequence[str]) -> None:
    """Write the targets of Prometheus, which notices the change."""
    written = folder / "targets.new"
    written.write_text(json.dumps([{"targets": list(addresses)}]))
    written.replace(folder / "targets.json")


def start_prometheus(folder: Path, ending: ExitStack) -> str:
    """Start a Prometheus that scrapes the targets every second; return its address."""
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        sys.exit("prometheus is not installed")
    config = folder / "prometheus.yml"
    discovery = [{"files": [str(folder / "targets.json")], "refresh_interval": "1s"}]
    scraped = {"job_name": "scaleengine", "scrape_interval": "1s", "scrape_timeout": "1s"}
    config.write_text(json.dumps({"scrape_configs": [{**scraped, "file_sd_configs": discovery}]}))
    child = Child(
        [
            *(prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"),
            "--web.listen-address=127.0.0.1:0",
        ]
    )
    ending.enter_context(child)
    address = child.wait_for_line(r"Listening on.* address=(127\.0\.0\.1:[1-9]\d*)")
    child.wait_for_line("Server is ready")
    return address


def wait_for(prometheus: PrometheusApi, expression: str, value: float) -> None:
    """Wait until an expression has a value."""
    wait_until(
        lambda: prometheus.value(expression),
        lambda seen: seen == value,
        f"{expression} is {value:g}",
        TIMEOUT,
    )


def find_owners(prometheus: PrometheusApi) -> dict[int, list[int]]:
    """Return the shards that poll each account, by its CDN number."""
    expression = f"{BYTES} * on (instance) group_left () (scaleengine_exporter_shard + 1) / {BYTES}"
    found: dict[int, list[int]] = {}
    for point in prometheus.instant(expression).points:
        found.setdefault(int(point.labels["account"][1:]), []).append(round(point.value) - 1)
    return found


def read_values(prometheus: PrometheusApi, began: float) -> dict[str, set[float]]:
    """Return the values that each expression had since then, second by second."""
    values = {}
    for name, expression in CHECKED.items():
        response = prometheus.get(
            "query_range", query=expression, start=began, end=time.time(), step=1
        )
        (series,) = response["result"]
        values[name] = {float(value) for _, value in series["values"]}
    return values


def report(
    cdns: Sequence[int],
    owners: tuple[dict[int, list[int]], dict[int, list[int]]],
    seen: dict[str, set[float]],
    seconds: float,
) -> None:
    """Print what was seen; exit with 1 where anything was wrong."""
    before, after = owners
    moved = sum(before[cdn] != after[cdn] for cdn in cdns)
    print(f"moved by a fourth shard: {moved} of {ACCOUNTS} accounts, in {seconds:.0f} s")
    for name, values in seen.items():
        print(f"{name}: {', '.join(f'{value:.0f}' for value in sorted(values))}")
    good = (
        before == {cdn: [compute_ordinal(cdn, 3)] for cdn in cdns}
        and after == {cdn: [compute_ordinal(cdn, 4)] for cdn in cdns}
        and seen["accounts with a number"] == {ACCOUNTS}
        and seen["sum of all bytes"] == {sum(cdns)}
        and max(seen["shards of an account, at most"]) <= 2  # noqa: PLR2004 - old and new
    )
    print("each account was counted once, before, meanwhile and after" if good else "WRONG")
    sys.exit(not good)


if __name__ == "__main__":
    main()
