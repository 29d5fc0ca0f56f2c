"""The whole program as a child process, and a ScaleEngine for it to poll."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from exporter.simulator import (
    Behaviour,
    Checks,
    FileType,
    Folder,
    SimulatedAccount,
    Simulator,
    steady_usage,
)
from tests.support.credentials import CANARY_KEY, CANARY_SECRET
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.program import FREE_PORT_AND_JSON, Program

NO_REPLAY = Checks(replay=False)
"""Several programs poll one account here, so that two may ask the same in one second."""


@pytest.fixture(scope="module")
def start() -> Iterator[StartProgram]:
    """Return a function that starts the program in a folder; it ends with the module's tests.

    It listens on a free port of 127.0.0.1 and logs in JSON, where the arguments or the environment
    do not say otherwise.
    """
    programs: list[Program] = []

    def begin(folder: Path, *arguments: str, **environ: str) -> Program:
        program = Program(folder, arguments, {**FREE_PORT_AND_JSON, **environ})
        programs.append(program)
        return program

    yield begin
    for program in programs:
        program.close()


@pytest.fixture(scope="module")
def scaleengine() -> Iterator[Simulator]:
    """Run a ScaleEngine with one account: two CPU users and a path of 130 videos in folders."""
    jb = Folder(
        files={f"{number}.mp4": FileType.VIDEO for number in range(120)},
        folders={
            "séries": Folder(files={f"{number}.mp4": FileType.VIDEO for number in range(10)}),
            "empty": Folder(),
        },
    )
    account = SimulatedAccount(
        cdn=158,
        api_key=CANARY_KEY,
        api_secret=CANARY_SECRET,
        usage=steady_usage({"": 1024, "web": 5_000_000_000}),
        storage=Folder(folders={"sestore4": Folder(folders={"jb": jb})}),
    )
    with Simulator([account], Behaviour(checks=NO_REPLAY)) as running:
        yield running


@pytest.fixture(scope="module")
def configure() -> WriteConfig:
    """Return a function that writes `config.yaml` into a folder.

    Its account `main` polls the disk usage and one path each second. ``account`` replaces what is
    said of it (None: nothing is), ``others`` are further accounts, ``api`` is more of the API.
    """

    def write(
        folder: Path,
        url: str,
        *,
        account: Mapping[str, object] | None = None,
        others: tuple[Mapping[str, object], ...] = (),
        api: Mapping[str, object] | None = None,
    ) -> None:
        usual = {
            "name": "main",
            "cdn": 158,
            "api_key": CANARY_KEY,
            "api_secret": CANARY_SECRET,
            "disk_usage": {"interval": "1s", "stale_after": "1h"},
            "files": {
                "interval": "1s",
                "stale_after": "1h",
                "paths": [{"path": "sestore4/jb", "folder_depth": 1}],
            },
        }
        main = {
            key: value for key, value in {**usual, **(account or {})}.items() if value is not None
        }
        written = {
            "api": {"url": url, "requests_per_second": None, "timeout": "1m", **(api or {})},
            "accounts": [main, *others],
        }
        # JSON is YAML.
        (folder / "config.yaml").write_text(json.dumps(written))

    return write
