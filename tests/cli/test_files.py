"""The files that come with the program are listed, printed and written."""

import os
import subprocess
from pathlib import Path
from shutil import which

import pytest

from exporter import cli
from exporter.command_line import Flag
from exporter.packaged_files import NAMES, PACKAGED, PackagedFile
from exporter.process.background_writer import BackgroundWriter
from exporter.process.signals import SignalThread
from exporter.process.start import Process
from tests.support.fixtures import RunMain

ROOT = Path(__file__).parents[2]


@pytest.fixture
def main() -> RunMain:
    """Return a function that runs the program."""

    def run(*arguments: str, **environ: str) -> int:
        process = Process(environ, SignalThread(lambda _: None), BackgroundWriter(2))
        return cli.main(arguments, process)

    return run


def test_packaged_files_are_listed(main: RunMain, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its name and what it is for."""
    assert main("files") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == [*NAMES]
    assert all(len(line.split()) > 1 for line in lines)


@pytest.mark.parametrize("packaged", PACKAGED, ids=lambda packaged: packaged.name)
def test_a_packaged_file_is_printed_unchanged(
    main: RunMain, capsys: pytest.CaptureFixture[str], packaged: PackagedFile
) -> None:
    """It is the file of the repository, byte for byte."""
    assert main("files", packaged.name) == 0
    assert capsys.readouterr().out == (ROOT / packaged.source).read_text()


def test_all_packaged_files_are_written_to_a_folder(main: RunMain, tmp_path: Path) -> None:
    """The folder is made; who reads the files need not be who wrote them."""
    assert main("files", f"--output={tmp_path}/new/folder") == 0
    written = {path.name: path for path in (tmp_path / "new" / "folder").iterdir()}
    assert written.keys() == set(NAMES)
    assert {path.stat().st_mode & 0o777 for path in written.values()} == {0o644}
    assert main("files", f"--output={tmp_path}/new/folder") == 0  # the same again does no harm


def test_a_changed_file_is_not_replaced(
    main: RunMain, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without --overwrite what the operator has changed stays, and nothing else is written."""
    mine = tmp_path / "scaleengine-alerts.yml"
    mine.write_text("mine")
    assert main("files", f"--output={tmp_path}") == 1
    assert capsys.readouterr().err == (
        f"scaleengine-exporter: error: {mine}: exists and differs; move it away, or replace it "
        "with --overwrite\n"
    )
    assert [*tmp_path.iterdir()] == [mine]
    assert mine.read_text() == "mine"
    assert main("files", mine.name, f"--output={tmp_path}", "--overwrite") == 0
    assert mine.read_text() == (ROOT / "monitoring" / "alerts.yml").read_text()
    assert [*tmp_path.iterdir()] == [mine]


def test_a_folder_that_cannot_be_written_is_an_error(
    main: RunMain, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A file in the way is named."""
    (tmp_path / "file").touch()
    assert main("files", f"--output={tmp_path}/file") == 1
    assert capsys.readouterr().err == (
        f"scaleengine-exporter: error: {tmp_path}/file: file exists\n"
    )


def test_an_unknown_name_is_an_error_with_the_names(
    main: RunMain, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error has the names that there are."""
    assert main("files", "alert.yml") == 2
    assert "'scaleengine-alerts.yml'" in capsys.readouterr().err


def test_the_manual_has_every_flag(main: RunMain, capsys: pytest.CaptureFixture[str]) -> None:
    """It is made of the commands and flags themselves."""
    assert main("files", "scaleengine-exporter.1") == 0
    text = capsys.readouterr().out.replace("\\-", "-")
    commands = {"": cli.serve, **cli.program.commands}
    for name, command in commands.items():
        section = text.partition(f"\n.SS {name}" if name else "\n.SH FLAGS\n")[2]
        section = section.partition("\n.SS ")[0].partition("\n.SH ")[0]
        for param in command.params:
            assert not isinstance(param, Flag) or f"\n.B {param.opts[0]}" in section


@pytest.mark.skipif(
    which("mandoc") is None and not os.environ.get("CI"),
    reason="mandoc is not installed; CI installs it",
)
def test_mandoc_finds_no_mistake_in_the_manual(
    main: RunMain, capsys: pytest.CaptureFixture[str]
) -> None:
    """It finds no mistake, and shows what a user looks for."""
    assert main("files", "scaleengine-exporter.1") == 0
    text = capsys.readouterr().out
    checked = subprocess.run(
        ["mandoc", "-T", "utf8", "-W", "error"],  # noqa: S607 - found on the path
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    shown = checked.stdout.replace("\b", "")
    assert (checked.stderr, checked.returncode) == ("", 0)
    assert "SCALEENGINE_EXPORTER_WEB_LISTEN_ADDRESS" in shown
