"""The web configuration as it is now: the file and its certificates are read again on change."""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from weakref import WeakSet

import structlog

from exporter.process.log_limit import LogLimit
from exporter.process.resource_limits import find_resource_limit
from exporter.web.config_file.loosening import Loosening, find_loosenings, is_tls_stricter
from exporter.web.config_file.web_config import WebConfig, load_web_config
from exporter.yamlfile.problems import ConfigError, Problem

log: Final = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_BACKOFF_FACTOR: Final = 10  # times as long as the last look took
_MAX_BACKOFF_SECONDS: Final = 60.0

_CONFIRM_SECONDS: Final = 1.0
"""Seconds for which the files must not change before they may loosen what is in force."""

_UNSETTLED_SECONDS: Final = 10.0
"""Seconds after which files that keep changing are worth a warning."""

_SETS_NOTHING: Final = (
    "sets nothing, and would end protection that is in force; to end it all the same, write "
    "basic_auth_users: {}, or restart the exporter"
)

_DEFECT: Final = "was not read: the exporter has a bug; the log has the traceback"

_Fingerprint = tuple[tuple[int, ...] | None, ...]
"""Identifies a state of files."""


@dataclass(frozen=True, slots=True)
class _Unconfirmed:
    """A loosened configuration that was read: its contents, its files, and when, in seconds.

    ``since`` is when the files began to ask for less protection, also where they have changed
    since.
    """

    digest: bytes
    fingerprint: _Fingerprint
    read_at: float
    since: float


class LiveWebConfig:
    """A web configuration that follows its file.

    ``current`` is replaced as a whole, never changed. While the file is bad, or switches TLS
    on or off, which sockets that listen cannot do, the old configuration stays in force, and the
    log and ``last_reload_successful`` say so. ``clock`` gives monotonic time in seconds,
    ``wall_clock`` the seconds since 1970.

    An editor or a copy empties a file in place before it writes it. So a change that loosens
    (``find_loosenings`` says what does) is accepted only when the files were the same at two looks
    at least a second apart, and never from a file that sets nothing. All else is accepted at once.

    Making one reads the file; raises ConfigError when it is bad.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._problems: tuple[Problem, ...] = ()
        self._unconfirmed: _Unconfirmed | None = None
        self._log_limit = LogLimit(clock)
        # Not known: a file may change while it is read, so that the first look reads once more.
        self._fingerprint: _Fingerprint | None = None
        self.current = load_web_config(path, wall_clock)
        """The configuration in force."""
        self.last_success = clock()
        """When it was last read well, in seconds of monotonic time."""
        self._warn()
        context = self.current.context
        self.ssl_context = NewestContext(ssl.PROTOCOL_TLS_SERVER, context) if context else None
        """What sockets listen with; None for plain HTTP."""
        self._valid_contexts = WeakSet([context] if context else ())

    @property
    def last_reload_successful(self) -> bool:
        """Return whether the configuration in force is that of the current file."""
        return not self._problems and self._unconfirmed is None

    def refresh(self) -> tuple[Problem, ...]:
        """Look at the files, and read them if they changed or are not in force as they are.

        Return what is wrong with them now. Where memory is short, or in case of a defect, that is
        said there too: the next look tries again.
        """
        with self._lock:
            began, fingerprint = self._clock(), _take_fingerprint(self.current.files)
            if fingerprint != self._fingerprint or not self.last_reload_successful:
                try:
                    self._read_again(began, fingerprint)
                except Exception as error:  # noqa: BLE001 - the next look tries again
                    self._reject_for(error)
            return self._problems

    def is_valid(self, connection: ssl.SSLObject | None) -> bool:
        """Return whether a connection may still be used; None is one without TLS.

        It may not when the TLS settings have become stricter since its handshake: it might be
        refused now.
        """
        return connection is None or connection.context in self._valid_contexts

    def watch(self, stop: threading.Event) -> None:
        """Refresh once a second, or less often where that takes long, until stopped."""
        pause = _POLL_SECONDS
        while not stop.wait(pause):
            began = self._clock()
            self.refresh()
            # A bad file is read at each look: a huge one must not keep scrapes from the processor.
            rest = _BACKOFF_FACTOR * (self._clock() - began)
            pause = min(max(rest, _POLL_SECONDS), _MAX_BACKOFF_SECONDS)

    def _read_again(self, began: float, fingerprint: _Fingerprint) -> None:
        try:
            config = load_web_config(self._path, self._wall_clock)
        except ConfigError as error:
            self._reject(error.problems)
            return
        if (config.context is None) != (self.current.context is None):
            message = "cannot be switched on or off while the exporter runs; restart it"
            self._reject((self._build_problem("tls_server_config", message),))
            return
        loosenings = tuple(find_loosenings(self.current, config))
        if loosenings and config.sets_nothing:
            self._reject((self._build_problem("", _SETS_NOTHING),))
        elif not loosenings or self._is_confirmed(config, began):
            self._accept(config, fingerprint, loosenings)

    def _is_confirmed(self, config: WebConfig, began: float) -> bool:
        """Return whether the files were the same a second before this look began."""
        fingerprint, before = _take_fingerprint(config.files), self._unconfirmed
        if before and (before.digest, before.fingerprint) == (config.digest, fingerprint):
            return began - before.read_at >= _CONFIRM_SECONDS
        now = self._clock()
        since = now if before is None else before.since
        if before is None:
            log.info("web configuration would be loosened, waiting")
        elif now - since >= _UNSETTLED_SECONDS and self._log_limit.is_due("unsettled"):
            log.warning(
                "web configuration keeps changing, not reloaded",
                file=str(self._path),
                seconds=round(now - since),
                advice="what was read before is in force; stop writing the file for two seconds",
            )
        self._unconfirmed = _Unconfirmed(config.digest, fingerprint, now, since)
        self._problems = ()
        return False

    def _accept(
        self, config: WebConfig, fingerprint: _Fingerprint, loosenings: tuple[Loosening, ...]
    ) -> None:
        before, self.current = self.current, config
        # Some programs write the same file again and again: that is no news.
        has_changed = config.digest != before.digest or not self.last_reload_successful
        if has_changed:
            log.info("web configuration reloaded", file=str(self._path))
        if has_changed or config.warnings != before.warnings:
            self._warn()
        for key, change in loosenings:
            log.warning("web configuration loosened", key=key, change=change)
        self._fingerprint = fingerprint if config.files == before.files else None
        self._problems = ()
        self._unconfirmed = None
        self.last_success = self._clock()
        if self.ssl_context and config.context:
            if is_tls_stricter(before, config):
                self._valid_contexts = WeakSet()
            self._valid_contexts.add(config.context)
            self.ssl_context.newest = config.context

    def _reject_for(self, error: Exception) -> None:
        """Keep the old configuration where an error that is not the file's ended the reading."""
        limit = find_resource_limit(error)
        problems = (
            self._build_problem("", _DEFECT if limit is None else f"was not read: {limit}"),
        )
        if limit is None and problems != self._problems:
            log.error("reload crashed; please report it", exc_info=error)
        self._reject(problems)

    def _build_problem(self, key: str, message: str) -> Problem:
        return Problem(str(self._path), None, None, key, message)

    def _warn(self) -> None:
        for warning in self.current.warnings:
            log.warning("web configuration may be wrong", warning=str(warning))

    def _reject(self, problems: tuple[Problem, ...]) -> None:
        if problems != self._problems:
            for problem in problems:
                log.error("web configuration not reloaded", problem=str(problem))
        self._problems = problems
        self._unconfirmed = None


class NewestContext(ssl.SSLContext):
    """Lets each new connection be wrapped by the newest context; older ones keep theirs.

    A running context takes a new certificate, but nothing else: who may connect is fixed when a
    connection is wrapped. asyncio wraps each by ``wrap_bio``.
    """

    def __init__(self, _protocol: int, newest: ssl.SSLContext) -> None:
        self.newest = newest

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature is SSLContext's
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Wrap a connection by the newest context."""
        return self.newest.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def _take_fingerprint(files: tuple[Path, ...]) -> _Fingerprint:
    return tuple(map(_read_state, files))


def _read_state(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
