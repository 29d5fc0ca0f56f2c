"""The types of fixtures that are functions."""

import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import requests

from exporter.check.runner import CheckOptions
from exporter.config import LoadedConfig
from exporter.polling.session import PolledAccount
from exporter.scaleengine.client import Client
from exporter.scaleengine.connecting import PeerAddress
from exporter.scaleengine.message_body import HttpResponse
from exporter.scaleengine.transport import Transport
from exporter.settings import Settings
from exporter.simulator import Simulator
from tests.support.clocks import LeapingClock
from tests.support.credentials import SECRET
from tests.support.program import Program

if TYPE_CHECKING:
    from exporter.scaleengine.clock import Clock
    from tests.check.conftest import Checked

Field: TypeAlias = str | int | list[str]
Account: TypeAlias = Mapping[str, object]
"""An account as the configuration has it."""


class StartProgram(Protocol):
    """Start the program in a folder, with an environment."""

    def __call__(self, folder: Path, *arguments: str, **environ: str) -> Program: ...


class StartPolling(Protocol):
    """Start the program, which polls these accounts of a simulator."""

    def __call__(self, simulator: Simulator, *accounts: Account) -> Program: ...


class RunMain(Protocol):
    """Run a command in this process, and return the exit status."""

    def __call__(self, *arguments: str, **environ: str) -> int: ...


class ReadWrongFlags(Protocol):
    """Read a wrong command line, and return the sentence that says what is wrong."""

    def __call__(self, *arguments: str, **environ: str) -> str: ...


class WriteConfig(Protocol):
    """Write ``config.yaml`` into a folder, with an account and others."""

    def __call__(
        self,
        folder: Path,
        url: str,
        *,
        account: Account | None = None,
        others: tuple[Account, ...] = (),
        api: Mapping[str, object] | None = None,
    ) -> None: ...


class LoadText(Protocol):
    """Load a text as ``config.yaml``."""

    def __call__(
        self, text: str | bytes, environ: Mapping[str, str] | None = None
    ) -> LoadedConfig: ...


class ReadMistakes(Protocol):
    """Load a wrong text as ``config.yaml``, and return the lines of the error."""

    def __call__(
        self, text: str | bytes, environ: Mapping[str, str] | None = None
    ) -> list[str]: ...


class DescribeAccount(Protocol):
    """Return a good account as the configuration has it, with changes."""

    def __call__(self, **changes: object) -> Account: ...


class WriteAccounts(Protocol):
    """Write a configuration of these accounts, and return its file."""

    def __call__(self, url: str, *accounts: Account, **api: object) -> Path: ...


class MakeSettings(Protocol):
    """Return the settings of a configuration of these accounts."""

    def __call__(self, url: str, *accounts: Account, **api: object) -> Settings: ...


class CheckAccounts(Protocol):
    """Check a configuration of these accounts."""

    def __call__(
        self, url: str, *accounts: Account, options: CheckOptions = ..., **api: object
    ) -> "Checked": ...


class OpenAccount(Protocol):
    """Return an account that polls a simulator."""

    def __call__(  # noqa: PLR0913 - each test names the few that matter to it
        self,
        simulator: Simulator,
        *,
        cdn: int = 158,
        max_concurrency: int = 4,
        max_requests: int = 3000,
        per_second: float | None = None,
        timeout: float = 60.0,
        leaping: LeapingClock | None = None,
        clock: "Clock | None" = None,
    ) -> AbstractContextManager[PolledAccount]: ...


class StartServer(Protocol):
    """Start a server that calls ``serve`` for each request, and return its URL."""

    def __call__(
        self,
        serve: Callable[[socket.socket, bytes], object],
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> str: ...


class StartFixedServer(Protocol):
    """Start a server that sends these bytes for each request and then closes or resets."""

    def __call__(self, data: bytes, *, reset: bool = False) -> str: ...


class MakeTransport(Protocol):
    """Return a transport for a URL; it is closed at the end of the test."""

    def __call__(
        self, url: str, timeout: float = 60.0, connections: int = 2, ca_file: Path | None = None
    ) -> Transport: ...


class MakeClient(Protocol):
    """Return a client for a URL."""

    def __call__(self, url: str, timeout: float = 60.0) -> Client: ...


class SendRequest(Protocol):
    """Send one request to a URL, and return the response."""

    def __call__(
        self, url: str, timeout: float = 60.0, ca_file: Path | None = None
    ) -> HttpResponse: ...


class FindDroppingAddress(Protocol):
    """Return an address where attempts to connect get no response."""

    def __call__(self, family: int = socket.AF_INET) -> PeerAddress: ...


class SetAddresses(Protocol):
    """Give every name these addresses."""

    def __call__(self, *addresses: PeerAddress) -> None: ...


class PostText(Protocol):
    """Post the text of a json field."""

    def __call__(self, url: str, text: str, timeout: float = 60.0) -> requests.Response: ...


class SignCommand(Protocol):
    """Return the text of a signed command; no two are the same."""

    def __call__(self, command: str, *, secret: str = SECRET, **fields: Field) -> str: ...


class SendCommand(Protocol):
    """Send a signed command to the simulator, and return the decoded response."""

    def __call__(self, command: str, **fields: Field) -> dict[str, object]: ...


class ListFiles(Protocol):
    """Ask the simulator for the listing of ``sestore4/jb``."""

    def __call__(self, offset: int = 0, timeout: float = 60.0) -> requests.Response: ...
