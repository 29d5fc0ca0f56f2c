"""Make the process ready for a program: streams that never fail, signals that never get lost."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from exporter.process.background_writer import BackgroundWriter
from exporter.process.ending import exit_process
from exporter.process.signals import SignalThread
from exporter.process.streams import STDERR, open_closed_descriptors, replace_streams


@dataclass(frozen=True, slots=True)
class Process:
    """What a program needs of its process: the environment, signals, and what writes its log."""

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
    stderr = BackgroundWriter(STDERR)
    stderr.start()
    replace_streams(stderr)
    signals = SignalThread(partial(exit_process, stderr=stderr), interrupted_status)
    signals.start()
    return Process(dict(os.environ), signals, stderr)
