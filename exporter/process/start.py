"""Make the process ready: its environment, standard streams and signals."""

import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NoReturn

from exporter.process.background_writer import BackgroundWriter
from exporter.process.ending import exit_process
from exporter.process.memory import leave_out_encoding_detectors, return_large_memory
from exporter.process.signals import SignalThread
from exporter.process.streams import STDERR, open_closed_descriptors, replace_streams

_SWITCH_SECONDS: Final = 0.001
"""How long a thread that computes lets another wait (``sys.setswitchinterval``).

A scrape waits several times, once after each system call: while a thread builds a page, 99 of
100 scrapes took up to 42 ms instead of up to 150 ms with Python's own 5 ms.
"""

KEPT: Final[Mapping[str, str]] = {
    "HTTP_PROXY": "the way to the API, in capitals or not, as everywhere",
    "HTTPS_PROXY": "the same",
    "ALL_PROXY": "the same",
    "NO_PROXY": "the same",
    "REQUESTS_CA_BUNDLE": "the certificates to trust at the API",
    "CURL_CA_BUNDLE": "the same",
    "SSL_CERT_FILE": "no certificates: a failure says that it is not used",
    "SSL_CERT_DIR": "the same",
    "NO_COLOR": "no colours",
    "TERM": "what the terminal can do",
    "COLUMNS": "the width of the terminal",
    "COMP_WORDS": "the completions of a shell: the words that are written so far",
    "COMP_CWORD": "the same: which of them is to be completed",
    "PYTHON*": "the interpreter: they are set for every Python program",
    "LANG": "the C library: the encoding of standard streams",
    "LANGUAGE": "the same",
    "LC_*": "the same",
    "TZ": "the C library: the local time",
    "PATH": "where the program promtool is",
    "TMPDIR": "where temporary files go: those of a history may be large",
    "RES_OPTIONS": "the C library: how names are resolved",
    "LOCALDOMAIN": "the same",
    "HOSTALIASES": "the same",
    "OPENSSL_*": "OpenSSL: the rules of this machine for TLS",
}
"""Names, or beginnings of names before a ``*``, each with what it is read for."""

_IN_ANY_CASE: Final = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
_PATTERN: Final = re.compile("|".join(re.escape(name).replace(r"\*", ".*") for name in KEPT))


def restrict_environment(environ: MutableMapping[str, str]) -> Mapping[str, str]:
    """Remove what is not listed from the environment, and what is empty; return a copy of before.

    Some libraries treat an empty variable differently from one that is not set.
    """
    before = dict(environ)
    for name, value in before.items():
        if not value or not _is_kept(name):
            del environ[name]
    return before


def _is_kept(name: str) -> bool:
    return name.upper() in _IN_ANY_CASE or _PATTERN.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Process:
    """What a program needs of its process.

    ``environ`` is the environment as it was at the start; ``stderr`` writes the log.
    """

    environ: Mapping[str, str]
    signals: SignalThread
    stderr: BackgroundWriter

    def exit(self, status: int) -> NoReturn:
        """End the process, even if something hangs."""
        exit_process(status, self.stderr)


def start_process(interrupted_status: int) -> Process:
    """Prepare this process, whose signals are blocked already.

    A signal ends it with ``interrupted_status`` until somebody handles signals otherwise. Raises
    RuntimeError where no thread can be started.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    open_closed_descriptors()
    return_large_memory()
    leave_out_encoding_detectors()
    environ = restrict_environment(os.environ)
    stderr = BackgroundWriter(STDERR)
    stderr.start()
    replace_streams(stderr)
    signals = SignalThread(partial(exit_process, stderr=stderr), interrupted_status)
    signals.start()
    return Process(environ, signals, stderr)
