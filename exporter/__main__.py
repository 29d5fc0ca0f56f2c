"""Run the exporter, as ``scaleengine-exporter`` or ``python -m exporter``."""

from exporter.process.blocking import block_signals

# Before the other imports: until here a signal has its default action.
block_signals()

import sys  # noqa: E402
from typing import NoReturn  # noqa: E402

from exporter.process.ending import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK  # noqa: E402
from exporter.process.start import start_process  # noqa: E402


def main() -> NoReturn:
    """Run the program, and end the process with its exit status.

    Signals and streams are taken care of before all else is imported: that takes half a second, and
    longer on a busy machine.
    """
    try:
        process = start_process(EXIT_INTERRUPTED if _is_check(sys.argv) else EXIT_OK)
    except RuntimeError as error:
        sys.exit(f"{error}: raise the limit of processes or of memory (ulimit -u, pids.max)")
    try:
        # Here and not above: see the docstring.
        from exporter.cli import main as run  # noqa: PLC0415

        status = run(sys.argv[1:], process)
    except SystemExit as ended:  # argparse's way to end
        status = ended.code if isinstance(ended.code, int) else EXIT_FAILURE
    except BaseException:  # noqa: BLE001 - whatever it is, it is shown
        sys.excepthook(*sys.exc_info())
        status = EXIT_FAILURE
    process.exit(status)


def _is_check(arguments: list[str]) -> bool:
    """Guess whether a check is asked for: the command line is read properly only later."""
    return "check" in arguments or "--config.check" in arguments


if __name__ == "__main__":
    main()
