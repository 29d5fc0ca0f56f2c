"""The exporter as a child process, with its configuration in a folder."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.accounts import Polled, Samples, series
from tests.support.child import Child
from tests.support.ports import choose_port
from tests.support.waiting import TIMEOUT, wait_until

POLL_SECONDS: Final = 3
"""How often everything is polled."""

_LISTENING: Final = r"msg=listening .*address=(127\.0\.0\.1:\d+)"


class Exporter:
    """The exporter that polls the simulated accounts; it can be ended and started again.

    It listens at the same ``address``, host and port, each time. The keys of the accounts stand in
    files of their own, ``NAME.key``.
    """

    def __init__(self, folder: Path, api_url: str, polled: Sequence[Polled]) -> None:
        self._folder = folder
        self._api_url = api_url
        self._polled = polled
        self._child: Child | None = None
        self.address = f"127.0.0.1:{choose_port()}"
        (folder / "web.yml").write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
        for account in polled:
            self.write_key(account, account.account.api_key)
        self.write_configuration()

    def write_key(self, polled: Polled, key: str) -> None:
        """Put another key in the place of an account's."""
        (self._folder / f"{polled.name}.key").write_text(key)

    def write_configuration(self, quotas: Mapping[str, Mapping[str, int]] | None = None) -> None:
        """Write the configuration; with other quotas if given, by account and CPU user."""
        accounts = [
            _configured(account, (quotas or {}).get(account.name, {})) for account in self._polled
        ]
        # A limit that holds nothing back: without one, there is no share of it to show.
        api = {"url": self._api_url, "requests_per_second": 1000, "timeout": "5s"}
        # JSON is YAML.
        (self._folder / "config.yaml").write_text(json.dumps({"api": api, "accounts": accounts}))

    def start(self) -> None:
        """Start it, and wait until it has polled everything."""
        self._child = Child(
            [
                *(sys.executable, "-W", "error", "-m", "exporter"),
                f"--config.file={self._folder / 'config.yaml'}",
                f"--web.config.file={self._folder / 'web.yml'}",
                f"--web.listen-address={self.address}",
                "--web.enable-lifecycle",
            ]
        )
        self.address = self._child.wait_for_line(_LISTENING)
        wait_until(lambda: self._status("/-/ready"), lambda status: status == 200, "a poll of all")

    def end(self) -> int:
        """End it with SIGTERM; return its exit status, 0 if it does not run."""
        child, self._child = self._child, None
        return child.end() if child is not None else 0

    def reload(self) -> None:
        """Put the configuration in force that is written now."""
        response = requests.post(f"http://{self.address}/-/reload", timeout=TIMEOUT)
        assert response.status_code == 200, response.text

    def metrics(self) -> str:
        """Return the text of /metrics."""
        response = requests.get(f"http://{self.address}/metrics", timeout=TIMEOUT)
        response.raise_for_status()
        return response.text

    def samples(self) -> Samples:
        """Return all samples of /metrics; an empty label is none, as Prometheus has it."""
        return {
            series(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(self.metrics())
            for sample in family.samples
        }

    def _status(self, path: str) -> int:
        return requests.get(f"http://{self.address}{path}", timeout=TIMEOUT).status_code


@contextmanager
def running_exporter(folder: Path, api_url: str, polled: Sequence[Polled]) -> Iterator[Exporter]:
    """Run an exporter until the block ends."""
    exporter = Exporter(folder, api_url, polled)
    try:
        exporter.start()
        yield exporter
    finally:
        exporter.end()


def _configured(polled: Polled, quotas: Mapping[str, int]) -> Mapping[str, object]:
    own = {name: user.quota for name, user in polled.users.items() if user.quota is not None}
    return {
        "name": polled.name,
        "cdn": polled.account.cdn,
        "api_key_file": f"{polled.name}.key",
        "api_secret": polled.account.api_secret,
        "disk_usage": {"interval": f"{POLL_SECONDS}s", "quotas": {**own, **quotas}},
        "files": {
            "interval": f"{POLL_SECONDS}s",
            "paths": [
                {
                    "path": path.path,
                    "file_types": path.file_types,
                    "folder_depth": 1 if path.by_folder else None,
                }
                for path in polled.paths
            ],
        },
    }
