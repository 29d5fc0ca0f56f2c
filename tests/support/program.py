"""The exporter as a child process, and what it serves."""

import http.client
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.child import Child
from tests.support.waiting import TIMEOUT, wait_until

FREE_PORT_AND_JSON: Final = {
    "SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
    "SCALEENGINE_EXPORTER_LOG_FORMAT": "json",
}
"""What the program's environment must have for ``Program`` to find its address."""

Event = dict[str, object]


class Program(Child):
    """The exporter as a child process whose log, in JSON, is read as it is written."""

    def __init__(
        self, folder: Path, arguments: tuple[str, ...], environ: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self._events: list[Event] = []
        super().__init__(
            [sys.executable, "-W", "error", "-m", "exporter", *arguments],
            folder=folder,
            # The log has every poll, if nothing else is asked for.
            environ={"SCALEENGINE_EXPORTER_LOG_LEVEL": "debug", **environ},
            keep_stdout=True,
        )

    @property
    def events(self) -> list[Event]:
        """The log so far; a line that is no log line is the field ``unstructured``."""
        with self._changed:
            return list(self._events)

    def forget_log(self) -> None:
        """Leave out of ``lines`` and ``events`` what has been read so far.

        Its ``address`` must have been asked for: the log has it once.
        """
        assert "address" in vars(self)
        with self._changed:
            self._lines.clear()
            self._events.clear()

    def wait_for(self, times: int = 1, /, **facts: object) -> Event:
        """Wait until ``times`` log lines have these facts; return the last of them."""

        def found() -> list[Event]:
            return [event for event in self.events if facts.items() <= event.items()]

        self._wait(lambda: len(found()) >= times)
        assert len(found()) >= times, f"no {times} lines with {facts} in {self.lines}"
        return found()[times - 1]

    @cached_property
    def address(self) -> tuple[str, int]:
        """Where it listens, as its log says."""
        host, _, port = str(self.wait_for(msg="listening")["address"]).rpartition(":")
        return host, int(port)

    def get(self, path: str, timeout: float = TIMEOUT) -> tuple[int, str]:
        """Send a request; return the status and the text."""
        with closing(http.client.HTTPConnection(*self.address, timeout=timeout)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def wait_until_ready(self) -> None:
        """Wait until each target has finished a poll."""
        wait_until(lambda: self.get("/-/ready"), lambda response: response[0] == 200, "ready")

    def value(self, metric: str, **labels: str) -> float | None:
        """Scrape, and return the value of the one series of the metric that has these labels."""
        return self.scrape().value(metric, **labels)

    def wait_for_value(self, expected: float | None, metric: str, **labels: str) -> None:
        """Scrape until a series has this value, or until there is no such series."""
        wait_until(
            lambda: self.value(metric, **labels),
            lambda found: found == expected,
            f"{metric} of {labels} is {expected}",
        )

    def scrape(self) -> "Scrape":
        """Scrape until all polls in the log have been published: that takes a second."""
        polls = sum("result" in event for event in self.events)
        text = wait_until(
            lambda: self.get("/metrics")[1],
            lambda text: _count_polls(text) >= polls,
            f"{polls} polls that are published",
        )
        families = text_string_to_metric_families(text)
        return Scrape([sample for family in families for sample in family.samples])

    def _record(self, line: str) -> None:
        super()._record(line)
        self._events.append(_event(line))


@dataclass(frozen=True, slots=True)
class Scrape:
    """The samples of one scrape."""

    samples: Sequence[Sample]

    def value(self, metric: str, **labels: str) -> float | None:
        """Return the value of the one series of the metric that has these labels."""
        values = [
            sample.value
            for sample in self.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        ]
        assert len(values) <= 1, f"{labels} do not say which of {len(values)} series is meant"
        return values[0] if values else None


def _count_polls(metrics: str) -> float:
    """Return how many polls are published; to read all of the text would take longer."""
    counters = re.findall(r"^scaleengine_polls_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, counters))


def _event(line: str) -> Event:
    try:
        event: Event = json.loads(line)
    except ValueError:
        return {"unstructured": line}
    return event
