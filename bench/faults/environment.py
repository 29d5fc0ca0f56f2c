"""A simulated account, the way to it and its configuration: all that a fault can change."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.faults.fast_time import FastTime, fast_time
from bench.faults.tls_proxy import HOST, Certificates, Names, TlsProxy
from bench.faults.truth import Holdings
from exporter.config import load
from exporter.polling.targets import DiskUsageTarget, FilesTarget
from exporter.scaleengine.clock import Clock
from exporter.settings import Settings, build_settings
from exporter.simulator import Behaviour, FaultRule, SimulatedAccount, Simulator

KEY, SECRET = "BENCHKEY0123456789", "nobodys-secret-0123456789"
CDN: Final = 158
PATH: Final = "sestore4/jb"
START: Final = 1_790_000_000.0
INTERVAL: Final = 300.0
SPEED: Final = 60.0
"""A minute of the exporter's passes in a second; only the time for one request is real."""
_DRIP: Final = 0.2

_CONFIGURATION: Final = """\
api:
  url: {url}
  timeout: {timeout}ms
  ca_file: {ca_file}
accounts:
  - name: {name}
    cdn: {cdn}
    api_key: {key}
    api_secret_file: secret
    disk_usage: {{interval: {interval}s, stale_after: {stale_after}s}}
    files:
      interval: {interval}s
      stale_after: {stale_after}s
      paths: [{{path: {path}, folder_depth: 1}}]
"""


class Way(Enum):
    """How the exporter reaches the simulator."""

    STRAIGHT = auto()
    BY_NAME = auto()
    BY_PROXY = auto()
    BY_TLS = auto()


@dataclass(frozen=True, slots=True)
class Overrides:
    """What all environments share: names that are resolved here, certificates if there are any."""

    names: Names
    certificates: Certificates | None


@dataclass(slots=True)
class Environment:
    """One account that is polled; ``restore`` undoes all that a fault has done."""

    name: str
    time: FastTime
    settings: Settings
    holdings: Holdings
    simulator: Simulator
    proxy: TlsProxy | None
    overrides: Overrides
    secret: Path
    clock_off: float = 0.0
    mid_walk: Sequence[Callable[[Holdings], None]] = ()
    """What happens to the account, one after another, in the middle of the next walk of its
    files."""
    _changes: int = field(default=0)

    @property
    def clock(self) -> Clock:
        """Return the clock of the exporter's machine."""
        return Clock(lambda: self.time.now() + self.clock_off, self.time.monotonic, self.time.sleep)

    def spoil(self, *faults: FaultRule) -> None:
        """Break responses from now on."""
        self.simulator.behave(Behaviour(faults=faults, drip=_DRIP))

    def lose_name(self) -> None:
        """Remove the name, and break off the connections that were made by it."""
        self.overrides.names.known.discard(self._host)
        self._open_again()

    def show_certificate(self, choose: Callable[[Certificates], Path]) -> None:
        """Let the proxy show another certificate."""
        if self.proxy is not None and self.overrides.certificates is not None:
            self.proxy.shut()
            self.proxy.open(choose(self.overrides.certificates))

    def refuse(self) -> None:
        """Refuse connections."""
        if self.proxy is not None:
            self.proxy.shut()

    def hide_secret(self) -> None:
        """Take the file of the secret away."""
        self.secret.unlink(missing_ok=True)

    def restore(self) -> None:
        """Undo all faults."""
        self.simulator.behave(Behaviour())
        self.clock_off = 0.0
        self.mid_walk = ()
        new = self.secret.with_suffix(".new")
        new.write_text(SECRET)
        new.replace(self.secret)  # a poll may read it at any time
        self.overrides.names.known.add(self._host)
        if self.settings.endpoint.ca_file is not None:
            self.show_certificate(lambda certificates: certificates.good)
        else:
            self._open_again()

    def move_on(self) -> None:
        """Change what the account holds, so that new numbers differ from old ones.

        The tree changes in two places, one after the other, and a walk that goes on meanwhile may
        see one of them without the other: so each state in between is true, too.
        """
        self._changes += 1
        number = self._changes

        def add_folder(held: Holdings) -> None:
            held.storage.add(f"{PATH}/new {number}/recording.mp4")

        def add_file(held: Holdings) -> None:
            held.storage.add(f"{PATH}/00 {number}.mp4")
            held.bytes_by_user = {user: size + 4096 for user, size in held.bytes_by_user.items()}

        for change in (add_folder, add_file):
            self.holdings.change(self.time.monotonic, change)

    def walk_on(self) -> None:
        """Do what is to happen in the middle of a walk, if one has begun."""
        happens = self.mid_walk
        walks = [request for request in self.simulator.requests if request.command == "files.list"]
        if happens and walks and walks[-1].path == PATH and not walks[-1].offset:
            self.mid_walk = ()
            for change in happens:
                self.holdings.change(self.time.monotonic, change)

    def _open_again(self) -> None:
        if self.proxy is not None:
            self.proxy.shut()
            self.proxy.open()

    @property
    def _host(self) -> str:
        return f"{self.name}.invalid"


@contextmanager
def set_up_environment(
    name: str, way: Way, timeout: float, stale_after: float, overrides: Overrides
) -> Iterator[Environment]:
    """Set up an environment in which nothing fails.

    ``timeout`` is that of a request, in real seconds.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        time = fast_time(SPEED, START)
        targets = (
            DiskUsageTarget(name, INTERVAL, stale_after),
            FilesTarget(name, INTERVAL, stale_after, PATH, "video", folder_depth=1),
        )
        holdings = Holdings(targets)
        holdings.change(time.monotonic, _fill)
        set_up: list[Environment] = []

        def refresh(_: float) -> None:
            for environment in set_up:
                environment.walk_on()

        account = SimulatedAccount(
            cdn=CDN,
            api_key=KEY,
            api_secret=SECRET,
            usage=holdings.usage,
            storage=holdings.storage,
            refresh=refresh,
        )
        simulator = stack.enter_context(Simulator([account], clock=time.now))
        proxy = _proxy(way, simulator, overrides)
        if proxy is not None:
            stack.callback(proxy.stop)
        config, secret = Path(folder, "config.yaml"), Path(folder, "secret")
        secret.write_text(SECRET)
        tls = overrides.certificates if way is Way.BY_TLS else None
        config.write_text(
            _CONFIGURATION.format(
                url=_url(way, name, simulator, proxy),
                timeout=round(timeout * 1000),
                ca_file="null" if tls is None else tls.authority,
                name=name,
                cdn=CDN,
                key=KEY,
                interval=round(INTERVAL),
                stale_after=round(stale_after),
                path=PATH,
            )
        )
        settings = build_settings(load(config, {}).config)
        made = Environment(name, time, settings, holdings, simulator, proxy, overrides, secret)
        made.restore()
        set_up.append(made)
        yield made


def _fill(held: Holdings) -> None:
    """Fill the account with more files than a response or two can list."""
    places: Mapping[str, int] = {"": 30, "archive/": 60, "live/": 150, "news/": 20, "tests/old/": 5}
    for place, files in places.items():
        for number in range(files):
            held.storage.add(f"{PATH}/{place}recording {number:03}.mp4")
    held.bytes_by_user = {"": 1_000_000, "live": 7_000_000, "news": 30_000}


def _proxy(way: Way, simulator: Simulator, overrides: Overrides) -> TlsProxy | None:
    if way is Way.STRAIGHT:
        return None
    proxy = TlsProxy(urlsplit(simulator.url).port or 0)
    proxy.open(
        overrides.certificates.good if way is Way.BY_TLS and overrides.certificates else None
    )
    return proxy


def _url(way: Way, name: str, simulator: Simulator, proxy: TlsProxy | None) -> str:
    if proxy is None:
        return simulator.url
    scheme = "https" if way is Way.BY_TLS else "http"
    host = f"{name}.invalid" if way is Way.BY_NAME else HOST
    return f"{scheme}://{host}:{proxy.port}/stable/"
