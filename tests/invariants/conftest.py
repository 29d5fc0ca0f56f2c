"""The whole program as its users run it, and a ScaleEngine for it to poll."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from exporter.simulator import FileType, Folder, SimulatedAccount, Simulator, steady_usage
from tests.support.credentials import KEY, SECRET
from tests.support.fixtures import StartPolling
from tests.support.program import FREE_PORT_AND_JSON, Program


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPolling]:
    """Return a function that starts the program to poll accounts; it ends with the module."""
    with ExitStack() as stack:

        def begin(simulator: Simulator, *accounts: Mapping[str, object]) -> Program:
            folder = tmp_path_factory.mktemp("program")
            known = {"api_key": KEY, "api_secret": SECRET}
            written = {
                "api": {"url": simulator.url},
                "accounts": [{**known, **account} for account in accounts],
            }
            (folder / "config.yaml").write_text(json.dumps(written))  # JSON is YAML
            program = Program(folder, (), FREE_PORT_AND_JSON)
            stack.callback(program.close)
            return program

        yield begin


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
