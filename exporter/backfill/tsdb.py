"""Let ``promtool`` make blocks of an OpenMetrics file, check them, and move them to their folder.

Source: https://prometheus.io/docs/prometheus/latest/storage/#backfilling-from-openmetrics-format
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from exporter.backfill.openmetrics import WriteResult
from exporter.backfill.work_folder import build_unwritable_error
from exporter.polling.threads import Stop, StopRequestedError

BLOCK_DURATION: Final = "486h"
"""The longest block: promtool reads the file once for each, and has 2h, 6h, 18h and so on."""

_LEAVING: Final = ".tmp-for-deletion"
"""How Prometheus names a block while it removes it; it removes leftovers of this name.

Source: https://github.com/prometheus/prometheus/blob/main/tsdb/db.go
"""

_LOOK_SECONDS: Final = 0.2
_SHOWN: Final = 500
"""Characters of promtool's output that an error shows: its end."""


class PromtoolError(Exception):
    """There is no usable promtool, or it failed; the text says why, and the next step."""


def find_promtool(program: str) -> str:
    """Return the path of promtool, by its name or path; raises PromtoolError."""
    found = shutil.which(program)
    if found is None:
        raise PromtoolError(
            f"{program!r} is no program that can be run: install Prometheus' promtool, "
            "or name its path with --promtool"
        )
    return found


def make_blocks(
    promtool: str, text: Path, work: Path, written: WriteResult, stop: Stop
) -> list[Path]:
    """Make blocks of a text in ``work``, a folder that is made; return them.

    The blocks must hold all that was ``written``. Raises PromtoolError, OutputError, and
    StopRequestedError when it is time to stop.
    """
    try:
        work.mkdir()
        _run([promtool, *_build_arguments(text, work)], work.parent / "promtool.log", stop)
        blocks = sorted(file.parent for file in work.glob("*/meta.json"))
    except OSError as error:
        raise build_unwritable_error(work, error) from None
    _check(blocks, written)
    return blocks


def move_blocks(
    blocks: Sequence[Path], folder: Path, record: Callable[[Sequence[Path]], object]
) -> None:
    """Move blocks to a folder on the same file system: all of them, or none where that fails.

    ``record`` is called with their new paths before the first of them exists. Where the process
    ends too early to take blocks back, ``remove_blocks`` of these paths does it later. Raises
    OutputError.
    """
    # The names are unique, so that nothing is replaced, and only these blocks are taken back.
    targets = [folder.absolute() / block.name for block in blocks]
    record(targets)
    try:
        folder.mkdir(exist_ok=True)
        for block, target in zip(blocks, targets, strict=True):
            block.rename(target)
    except BaseException as error:
        remove_blocks(targets)
        if isinstance(error, OSError):
            raise build_unwritable_error(folder, error) from None
        raise


def remove_blocks(blocks: Iterable[Path]) -> None:
    """Remove those blocks that exist; raises OutputError where one cannot be removed.

    A Prometheus that runs never sees half a block.
    """
    for block in blocks:
        leaving = block.with_name(block.name + _LEAVING)
        try:
            with suppress(FileNotFoundError):
                block.rename(leaving)
            with suppress(FileNotFoundError):
                shutil.rmtree(leaving)
        except OSError as error:
            raise build_unwritable_error(block, error) from None


def _build_arguments(text: Path, work: Path) -> Sequence[str]:
    longest = f"--max-block-duration={BLOCK_DURATION}"
    return ("tsdb", "create-blocks-from", "openmetrics", longest, str(text), str(work))


def _run(command: Sequence[str], output: Path, stop: Stop) -> None:
    """Run a program to its end, or until it is time to stop; raises where it fails."""
    with output.open("w+b") as said:
        try:
            running = subprocess.Popen(  # noqa: S603 - the operator names the program
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise PromtoolError(
                f"{command[0]} cannot be run ({error.strerror or error}): name another promtool "
                "with --promtool, then run again with --resume"
            ) from None
        with running:
            while _is_running(running):
                if stop.is_set():
                    # It may be a script: what that has started must not write to the folder later.
                    os.killpg(running.pid, signal.SIGKILL)
                    raise StopRequestedError
        if running.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace")[-_SHOWN:].strip()
            how = running.returncode
            raise PromtoolError(
                f"{command[0]} failed with {f'signal {-how}' if how < 0 else f'status {how}'} "
                f"({last or 'it printed nothing'}): run again with --resume when the cause is gone"
            )


def _is_running(process: "subprocess.Popen[bytes]") -> bool:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_LOOK_SECONDS)
        return False
    return True


def _check(blocks: Sequence[Path], written: WriteResult) -> None:
    """Raise PromtoolError where the blocks do not hold what was written."""
    try:
        found = list(_read_blocks(blocks))
    except (ValueError, KeyError, TypeError):
        raise PromtoolError("a block has no readable meta.json: use another promtool") from None
    samples = sum(count for count, _, _ in found)
    first = min((start for _, start, _ in found), default=None)
    last = max((end for _, _, end in found), default=None)
    if (samples, first, last) != (written.samples, written.first, written.last):
        raise PromtoolError(
            f"the blocks hold {samples} samples from {first} to {last}, and {written.samples} from "
            f"{written.first} to {written.last} were written: use another promtool"
        )


def _read_blocks(blocks: Sequence[Path]) -> Iterator[tuple[int, int, int]]:
    """Return the samples of each block, and the unix time of its first and last one."""
    for block in blocks:
        meta = json.loads((block / "meta.json").read_bytes())
        # In milliseconds; the maximum is one after the last sample.
        yield (
            int(meta["stats"]["numSamples"]),
            int(meta["minTime"]) // 1000,
            (int(meta["maxTime"]) - 1) // 1000,
        )
