"""What watches the exporter: a Prometheus, its Alertmanager, and a receiver."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from tests.e2e.copies import write_alertmanager, write_prometheus, write_rules
from tests.e2e.prometheus_api import PrometheusApi
from tests.e2e.receiver import Receiver, listening_receiver
from tests.support.child import Child
from tests.support.waiting import TIMEOUT, wait_until

_LISTENING: Final = r"Listening on.* address=(127\.0\.0\.1:[1-9]\d*)"


@dataclass(frozen=True, slots=True)
class Watch:
    """A Prometheus that scrapes the exporter, its Alertmanager, and a receiver."""

    name: str
    prometheus: PrometheusApi
    log: Child
    alertmanager: str
    receiver: Receiver

    def alerts(self) -> dict[str, set[str]]:
        """Return the alerts that fire, by name: each with the alerts that hold it back."""
        response = requests.get(f"http://{self.alertmanager}/api/v2/alerts", timeout=TIMEOUT)
        response.raise_for_status()
        known: Sequence[Mapping[str, Any]] = response.json()
        names = {alert["fingerprint"]: alert["labels"]["alertname"] for alert in known}
        inhibited: dict[str, set[str]] = {}
        for alert in known:
            causes = {names.get(cause, cause) for cause in alert["status"]["inhibitedBy"]}
            inhibited.setdefault(alert["labels"]["alertname"], set()).update(causes)
        return inhibited

    def sent(self) -> set[str]:
        """Return the names of the alerts that fire and that nothing holds back."""
        return {alert for alert, causes in self.alerts().items() if not causes}


@contextmanager
def watching(
    folder: Path, programs: tuple[str, str], exporter: str, *, is_demo: bool = False
) -> Iterator[Watch]:
    """Watch an exporter with a Prometheus and an Alertmanager until the block ends.

    ``programs`` are the two; the data of Prometheus stand in ``folder`` already.
    """
    prometheus, alertmanager = programs
    with ExitStack() as ending:
        receiver = ending.enter_context(listening_receiver())
        server = ending.enter_context(
            Child(
                [
                    alertmanager,
                    f"--config.file={write_alertmanager(folder, receiver.url)}",
                    f"--storage.path={folder / 'alertmanager'}",
                    "--web.listen-address=127.0.0.1:0",
                    "--cluster.listen-address=",
                ]
            )
        )
        peer = server.wait_for_line(_LISTENING)
        write_rules(folder)
        scraping = ending.enter_context(
            Child(
                [
                    prometheus,
                    f"--config.file={write_prometheus(folder, exporter, peer)}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    "--storage.tsdb.retention.time=400d",  # as compose.yaml has it
                    "--web.listen-address=127.0.0.1:0",
                ]
            )
        )
        api = PrometheusApi(f"http://{scraping.wait_for_line(_LISTENING)}")
        scraping.wait_for_line("Server is ready")
        # It looks for targets after five seconds only, and in fast motion misses them until then.
        wait_until(lambda: api.value('up{job="scaleengine"}'), lambda up: up == 1, "a first scrape")
        if not is_demo:  # what the demo shows fires alerts
            wait_until(api.firing, lambda names: not names, "no alert")
        version = api.get("status/buildinfo")["version"]
        yield Watch(f"Prometheus {version}", api, scraping, peer, receiver)
