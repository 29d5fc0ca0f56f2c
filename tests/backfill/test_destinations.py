"""Where a history is written, and what is there already."""

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from exporter.backfill.command import BackfillError, BackfillUsageError
from exporter.backfill.options import Destination
from exporter.backfill.work_folder import place_file
from exporter.simulator import FaultRule
from tests.backfill.conftest import (
    DENIED,
    FIRST,
    NO_REPLAY,
    YESTERDAY,
    Runner,
    truth,
)

COMMAND = "exporter.backfill.command"


def test_an_existing_file_is_kept_without_overwrite(runner: Runner) -> None:
    """It is kept unless it may be overwritten, and then replaced at the end only."""
    runner.file.write_text("mine")
    with pytest.raises(BackfillUsageError, match=r"h\.om exists: name another file, or set --ov"):
        runner.run()
    assert (runner.file.read_text(), runner.left) == ("mine", {"h.om"})
    assert runner.simulator.request_count == 0

    runner.simulator.behave(replace(NO_REPLAY, faults=(FaultRule(DENIED, requests=(2,)),)))
    assert runner.run(overwrite=True) == 1
    assert runner.file.read_text() == "mine"
    runner.simulator.behave(NO_REPLAY)
    assert runner.run(overwrite=True) == 0
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_a_file_that_appears_meanwhile_is_not_replaced(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not replaced, and nothing needs to be requested again."""

    def late(text: Path, destination: Destination, file: Path) -> None:
        file.write_text("mine")
        place_file(text, destination, file)

    monkeypatch.setattr(f"{COMMAND}.place_file", late)
    with pytest.raises(BackfillError, match="exists now: set --overwrite and --resume"):
        runner.run()
    assert runner.file.read_text() == "mine"
    monkeypatch.undo()
    before = runner.simulator.request_count
    assert runner.run(overwrite=True, resume=True) == 0
    assert (runner.values(), runner.simulator.request_count) == (truth(FIRST, YESTERDAY), before)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing/h.om", "missing cannot be written (No such file or directory)"),
        ("file/h.om", "file cannot be written (Not a directory)"),
    ],
)
def test_a_path_that_cannot_be_written_fails_before_any_request(
    name: str, sentence: str, runner: Runner
) -> None:
    """It is found before anything is requested."""
    (runner.folder / "file").touch()
    with pytest.raises(BackfillError) as caught:
        runner.run(file=runner.folder / name)
    assert sentence in str(caught.value)
    assert runner.simulator.request_count == 0


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_a_file_is_followed(exists: bool, runner: Runner) -> None:  # noqa: FBT001 - a case
    """The file that it leads to is written, and the link stays."""
    link = runner.folder / "link"
    link.symlink_to("h.om")
    if exists:
        runner.file.write_text("mine")
        with pytest.raises(BackfillUsageError, match=r"h\.om exists"):
            runner.run(file=link)
    assert runner.run(file=link, overwrite=exists) == 0
    assert link.is_symlink()
    assert not runner.file.is_symlink()
    assert runner.values() == truth(FIRST, YESTERDAY)


def test_standard_output_gets_the_text_of_a_file(
    runner: Runner, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the same text as a file, and there is no file that could be left behind."""
    monkeypatch.chdir(runner.folder)
    with structlog.testing.capture_logs():  # they would go to standard output too
        assert runner.run(file=None, stream=True) == 0
    assert runner.left == set()
    text = capfd.readouterr().out
    assert runner.run() == 0
    assert text == runner.file.read_text()


@pytest.mark.parametrize(
    ("output", "cause"),
    [("/dev/full", r"\(No space left on device\)"), (None, r"\(Broken pipe\)")],
)
def test_standard_output_that_cannot_be_written_fails_the_run(
    output: str | None, cause: str, runner: Runner
) -> None:
    """The run fails: the text was not written."""
    reader, writer = os.pipe()
    os.close(reader)
    kept = os.dup(1)
    try:
        with open(output or writer, "wb") as target:  # noqa: PTH123 - a path or a descriptor
            os.dup2(target.fileno(), 1)
        with pytest.raises(BackfillError, match=f"standard output cannot .* {cause}"):
            runner.run(file=None, stream=True)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        if output is not None:
            os.close(writer)


def test_standard_output_that_is_closed_fails_before_any_request(tmp_path: Path) -> None:
    """It is found before anything is requested."""
    command = f"exec {sys.executable} -m exporter backfill --demo --from=40d --output=- >&-"
    ended = subprocess.run(  # noqa: S603 - a command of this test
        ["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "error: standard output is closed: open it, or name a file with --output" in ended.stderr
    assert "window complete" not in ended.stderr


def test_an_output_that_is_no_file_is_an_error(runner: Runner) -> None:
    with pytest.raises(BackfillUsageError, match="is no regular file"):
        runner.run(file=runner.folder)


def test_the_file_has_usual_permissions(runner: Runner) -> None:
    """Only the folder of the run is private."""
    before = os.umask(0o022)
    try:
        assert runner.run() == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(runner.file.stat().st_mode) == 0o644
