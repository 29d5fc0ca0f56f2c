"""Run the exporter, as ``scaleengine-exporter`` or ``python -m exporter``."""

from exporter.process.blocking import block_signals

# Before the other imports: until here a signal has its default action.
block_signals()

import os  # noqa: E402
import sys  # noqa: E402
from typing import NoReturn  # noqa: E402

from exporter.process.allocator import use_system_allocator  # noqa: E402
from exporter.process.ending import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK  # noqa: E402
from exporter.process.resource_limits import find_resource_limit  # noqa: E402
from exporter.process.start import start_process  # noqa: E402
from exporter.process.streams import STDERR  # noqa: E402


def main() -> NoReturn:
    """Run the program, and end the process with its exit status.

    Signals and streams are taken care of before all else is imported: that takes half a second, and
    longer on a busy machine.
    """
    if not _ends_soon(sys.argv):
        use_system_allocator()
    try:
        process = start_process(EXIT_INTERRUPTED if _has_verdict(sys.argv) else EXIT_OK)
    except RuntimeError as error:
        # Straight to the descriptor: what writes to it otherwise may be a thread that is missing.
        os.write(STDERR, f"{find_resource_limit(error) or error}\n".encode())
        sys.exit(EXIT_FAILURE)
    try:
        # Here and not above: see the docstring.
        from exporter.cli import main as run  # noqa: PLC0415

        status = run(sys.argv[1:], process)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else EXIT_FAILURE
    except BaseException as error:  # noqa: BLE001 - it is shown, and decides the exit status
        limit = find_resource_limit(error)
        if limit is None:
            sys.excepthook(*sys.exc_info())
        else:
            sys.stderr.write(f"{limit}\n")
        status = EXIT_FAILURE
    process.exit(status)


def _ends_soon(arguments: list[str]) -> bool:
    """Guess whether the command ends before its memory matters.

    It would take half as long again to start it twice.
    """
    words = {"check", "files", "healthcheck", "--config.check", "--help", "--version"}
    return not words.isdisjoint(arguments)


def _has_verdict(arguments: list[str]) -> bool:
    """Guess whether the command is a check or a backfill: the command line is read later."""
    return not {"check", "backfill", "--config.check"}.isdisjoint(arguments)


if __name__ == "__main__":
    main()
