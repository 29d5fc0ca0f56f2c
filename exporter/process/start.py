"""Make the process ready: its environment, standard streams and signals."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from exporter.process.background_writer import BackgroundWriter
from exporter.process.ending import exit_process
from exporter.process.environment import restrict_environment
from exporter.process.free_memory import return_large_memory
from exporter.process.signals import SignalThread
from exporter.process.streams import STDERR, open_closed_descriptors, replace_streams


@dataclass(frozen=True, slots=True)
class Process:
    """What a program needs of its process.

    ``environ`` is the environment as it was at the start; ``stderr`` writes the log.
    """

    environ: Mapping[str, str]
    signals: SignalThread
    stderr: BackgroundWriter

    def exit(self, status: int) -> NoReturn:
        """End the process, whatever hangs."""
        exit_process(status, self.stderr)


def start_process(interrupted_status: int) -> Process:
    """Prepare this process, whose signals are blocked already.

    A signal ends it with ``interrupted_status`` until somebody handles signals otherwise. Raises
    RuntimeError where no thread can be started.
    """
    open_closed_descriptors()
    return_large_memory()
    environ = restrict_environment(os.environ)
    stderr = BackgroundWriter(STDERR)
    stderr.start()
    replace_streams(stderr)
    signals = SignalThread(partial(exit_process, stderr=stderr), interrupted_status)
    signals.start()
    return Process(environ, signals, stderr)
