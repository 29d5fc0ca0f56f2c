"""The exporter as a child process, and what it serves."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.waiting import END_SECONDS, TIMEOUT, wait_until

FREE_PORT_AND_JSON: Final = {
    "SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
    "SCALEENGINE_EXPORTER_LOG_FORMAT": "json",
}
"""What the program's environment must have for ``Program`` to find its address."""

Event = dict[str, object]
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Program:
    """The exporter as a child process whose log, in JSON, is read as it is written."""

    def __init__(
        self, folder: Path, arguments: tuple[str, ...], environ: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.lines: list[str] = []
        """The lines on standard error."""
        self._events: list[Event] = []
        self._silent = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(  # noqa: S603 - the program is this project's own
            [sys.executable, "-W", "error", "-m", "exporter", *arguments],
            cwd=folder,
            env=_environment(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def events(self) -> list[Event]:
        """The log so far; a line that is no log line stands as what was ``blurted`` out."""
        with self._changed:
            return list(self._events)

    def forget_log(self) -> None:
        """Leave out of ``lines`` and ``events`` what has been read so far.

        Its ``address`` must have been asked for: the log has it once.
        """
        assert "address" in vars(self)
        with self._changed:
            self.lines.clear()
            self._events.clear()

    def wait_for(self, times: int = 1, /, **facts: object) -> Event:
        """Wait until ``times`` log lines have these facts; return the last of them."""

        def found() -> list[Event]:
            return [event for event in self.events if facts.items() <= event.items()]

        self._wait(lambda: len(found()) >= times)
        assert len(found()) >= times, f"no {times} lines with {facts} in {self.lines}"
        return found()[times - 1]

    def read_until(self, part: str) -> None:
        """Wait for a line on standard error that has this part, whatever the log's form."""
        self._wait(lambda: any(part in line for line in self.lines))
        assert any(part in line for line in self.lines), f"no {part!r} in {self.lines}"

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

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; return its exit status, or fail where it hangs."""
        self._process.send_signal(number)
        return self.wait(END_SECONDS)

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait ``timeout`` seconds at most for its end, and return its exit status."""
        status = self._process.wait(timeout)
        self._reader.join(TIMEOUT)
        return status

    @property
    def printed(self) -> str:
        """What it wrote to standard output; it must have ended."""
        assert self._process.stdout is not None
        return self._process.stdout.read()

    def close(self) -> None:
        """End it by force if it still runs."""
        self._process.kill()
        self.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _wait(self, enough: Callable[[], bool]) -> None:
        """Wait until it has written enough, or will write no more."""
        with self._changed:
            self._changed.wait_for(lambda: enough() or self._silent, TIMEOUT)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._events.append(_event(self.lines[-1]))
                self._changed.notify_all()
        with self._changed:
            self._silent = True
            self._changed.notify_all()


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
        return {"blurted": line}
    return event


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this environment without what would change the exporter, and with more.

    The log has every poll, if nothing else is asked for.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SCALEENGINE_") and name.lower() not in _PROXIES
    }
    return {**kept, "SCALEENGINE_EXPORTER_LOG_LEVEL": "debug", **more}
