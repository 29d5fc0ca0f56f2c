"""The whole program as its users run it, and a ScaleEngine for it to poll."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO

import pytest

from exporter.simulator import FileType, Folder, SimulatedAccount, Simulator, steady_usage
from tests.support.credentials import KEY, SECRET
from tests.support.waiting import TIMEOUT, wait_until


class Program:
    """The exporter, listening on loopback."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get(self, path: str, timeout: float = TIMEOUT) -> tuple[int, str]:
        """Make a request; return the status and the text."""
        with closing(http.client.HTTPConnection(self._address, timeout=timeout)) as line:
            line.request("GET", path)
            answer = line.getresponse()
            return answer.status, answer.read().decode()

    def wait_until_ready(self) -> None:
        """Wait until each target has finished a poll."""
        wait_until(lambda: self.get("/-/ready"), lambda response: response[0] == 200, "it is ready")


Start = Callable[..., Program]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Give a function that starts the program to poll accounts; it ends with the module's tests."""
    with ExitStack() as stack:

        def begin(simulator: Simulator, *accounts: Mapping[str, object]) -> Program:
            folder = tmp_path_factory.mktemp("program")
            return stack.enter_context(_running(folder, simulator.url, accounts))

        yield begin


@contextmanager
def _running(
    folder: Path, url: str, accounts: tuple[Mapping[str, object], ...]
) -> Iterator[Program]:
    known = {"api_key": KEY, "api_secret": SECRET}
    written = {"api": {"url": url}, "accounts": [{**known, **account} for account in accounts]}
    (folder / "config.yaml").write_text(json.dumps(written))  # JSON is YAML
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "--web.listen-address=127.0.0.1:0"],
        cwd=folder,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            address = _address(process.stderr)
            # What it writes later is read to nowhere, so that it never has to wait for a reader.
            reader = threading.Thread(target=process.stderr.read)
            reader.start()
            yield Program(address)
        finally:
            process.terminate()
        reader.join(TIMEOUT)


def _address(log: IO[str]) -> str:
    lines = []
    for line in log:
        lines.append(line)
        if found := re.search(r" address=(\S+)", line):
            return found[1]
    raise AssertionError("it did not start:\n" + "".join(lines))


@pytest.fixture
def scaleengine() -> Iterator[Simulator]:
    """Run a ScaleEngine with two accounts of one key, 158 and 159, which hold the same."""
    with Simulator([_account(158), _account(159)]) as running:
        yield running


def _account(cdn: int) -> SimulatedAccount:
    folder = Folder(
        files={f"{number}.mp4": FileType.VIDEO for number in range(130)},
        folders={"below": Folder(files={"a.mp3": FileType.AUDIO})},
    )
    storage = Folder(folders={"sestore4": Folder(folders={"jb": folder, "other": Folder()})})
    usage = steady_usage({"": 1024, "web": 4096})
    return SimulatedAccount(cdn=cdn, api_key=KEY, api_secret=SECRET, usage=usage, storage=storage)
