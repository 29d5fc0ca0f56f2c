"""How the process ends, and with which status."""

import os
from typing import Final, NoReturn

from exporter.process.background_writer import BackgroundWriter

FLUSH_SECONDS: Final = 0.5
EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
"""As a shell says it of SIGINT: a check that is not finished has no verdict."""


def exit_process(status: int, stderr: BackgroundWriter) -> NoReturn:
    """End the process at once with this status, from any thread; what was logged is written before.

    That may take ``FLUSH_SECONDS``. Python's own way to end would wait for threads that hang in the
    network, in a file or in a password's check, and would change the status where a standard stream
    cannot be flushed.
    """
    stderr.flush(FLUSH_SECONDS)
    os._exit(status)
