"""A working folder that was deleted: what is named by a relative path is an error, no defect."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.support.fixtures import StartProgram, WriteConfig
from tests.support.waiting import TIMEOUT

SENTENCE = (
    "is named by a relative path, and the folder that the exporter was started in does not exist "
    "any more; name it by an absolute path, or start in another folder"
)
DELETE_AND_RUN = 'rmdir "$PWD"; exec "$@"'


@pytest.fixture
def folder(configure: WriteConfig, scaleengine: Simulator, tmp_path: Path) -> Path:
    """Return a folder that can be deleted; above it are good configurations."""
    configure(tmp_path, scaleengine.url)
    (tmp_path / "web.yaml").write_text("basic_auth_users: {}\n")
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--config.file=../config.yaml"], "../config.yaml: the configuration file"),
        (
            ["--config.check", "--config.file=../config.yaml"],
            "../config.yaml: the configuration file",
        ),
        (["check", "--config.file=../config.yaml"], "../config.yaml: the configuration file"),
        (
            ["demo", "--web.config.file=../web.yaml", "--web.listen-address=127.0.0.1:0"],
            "../web.yaml: the web configuration file",
        ),
        ([], "config.yaml: the configuration file does not exist"),
    ],
)
def test_a_deleted_folder_at_the_start_ends_with_2(
    folder: Path, arguments: list[str], line: str
) -> None:
    """The error is one sentence, and the exit status is 2."""
    ended = subprocess.run(  # noqa: S603 - the program is this project's own
        ["/bin/sh", "-c", DELETE_AND_RUN, "sh", sys.executable, "-m", "exporter", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr == (f"{line} {SENTENCE}\n" if arguments else f"{line}\n")


def test_a_deleted_folder_at_a_reload_leaves_the_configuration(
    start: StartProgram, folder: Path
) -> None:
    """What was in force stays so, and the log says why."""
    program = start(folder, "--config.file=../config.yaml", "--web.config.file=../web.yaml")
    program.wait_for(msg="listening")
    folder.rmdir()
    (folder.parent / "web.yaml").write_text("basic_auth_users: {}\n# changed\n")
    program.send(signal.SIGHUP)
    for msg in ("configuration not reloaded", "web configuration not reloaded"):
        assert str(program.wait_for(msg=msg)["problem"]).endswith(SENTENCE)
    assert program.get("/-/healthy")[0] == 200
    assert program.end() == 0
