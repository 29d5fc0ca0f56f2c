"""The credentials of an account: read, accepted, or blocked after a refusal."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.polling.recovery import CONVINCING_REFUSALS
from exporter.polling.targets import Target
from exporter.polling.workers import Workers
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import AuthError, ScaleEngineError

MAX_HANGING_READS: Final = 8
"""Threads that may hang in the files of one folder."""
MAX_HANGING_IN_ALL: Final = 64
"""Threads that may hang in the files of all folders: each account may have one of its own."""
_SLOT_SECONDS: Final = 1.0
"""Seconds after which a hanging read no longer blocks other accounts."""


class FileReads:
    """The reads of files with secrets that are in progress, by folder.

    A read that hangs is likely to hang for each file of its folder: it may be on a mount whose
    server does not respond. So a folder has at most ``MAX_HANGING_READS`` threads that hang, and
    the others of its files wait for one of these to end. All folders together have at most
    ``MAX_HANGING_IN_ALL``.
    """

    def __init__(self) -> None:
        self._reads: dict[Path, set[asyncio.Task[Credentials]]] = {}

    def add(self, folders: Collection[Path], read: "asyncio.Task[Credentials]") -> None:
        """Add a read of files in these folders, until it ends."""
        for folder in folders:
            self._reads.setdefault(folder, set()).add(read)
        read.add_done_callback(lambda _: self._remove(folders, read))

    def find_blocking(self, folders: Collection[Path]) -> "set[asyncio.Task[Credentials]]":
        """Return the reads of which one must end before another of these folders may begin."""
        loop = asyncio.get_running_loop()
        for folder in folders:
            reads = {read for read in self._reads.get(folder, ()) if read.get_loop() is loop}
            if len(reads) >= MAX_HANGING_READS:
                return reads
        in_all = {read for reads in self._reads.values() for read in reads}
        in_loop = {read for read in in_all if read.get_loop() is loop}
        return in_loop if len(in_loop) >= MAX_HANGING_IN_ALL else set()

    def _remove(self, folders: Collection[Path], read: "asyncio.Task[Credentials]") -> None:
        for folder in folders:
            reads = self._reads[folder]
            reads.discard(read)
            if not reads:
                del self._reads[folder]


class CredentialReader:
    """Reads the credentials of an account at each poll, for a secret may change.

    ``read`` raises AuthError where they cannot be read. Where it reads files, which may hang, it is
    called in a thread of ``workers``. A poll waits ``timeout`` seconds for it; while a read hangs,
    the account starts no second one. ``folders`` are those of the files, ``reads`` the reads of all
    accounts.
    """

    def __init__(
        self,
        read: Callable[[], Credentials],
        workers: Workers | None = None,
        timeout: float = 30.0,
        folders: Collection[Path] = (),
        reads: FileReads | None = None,
    ) -> None:
        self._read = read
        self._workers = workers
        self._timeout = timeout
        self._folders = folders
        self._reads = reads or FileReads()
        self._reading: asyncio.Task[Credentials] | None = None

    async def read(self) -> Credentials:
        """Return the credentials as they are now; raises AuthError."""
        if self._workers is None:
            return self._read()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while (reading := self._find_reading() or await self._begin(self._workers)) is None:
            left = deadline - loop.time()
            if left <= 0:
                raise self._late_error()
            if blocking := self._reads.find_blocking(self._folders):
                await asyncio.wait(blocking, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            await asyncio.wait([reading], timeout=self._timeout)
        if reading.done():
            return reading.result()
        raise self._late_error()

    async def _begin(self, workers: Workers) -> "asyncio.Task[Credentials] | None":
        """Return the read of this account, after a second at most; None where it is blocked."""
        async with workers.slot():
            reading = self._find_reading()  # another poll may have begun one meanwhile
            if reading is None:
                if self._reads.find_blocking(self._folders):
                    return None
                reading = asyncio.create_task(workers.run(self._read))
                reading.add_done_callback(_retrieve)
                self._reads.add(self._folders, reading)
                self._reading = reading
            await asyncio.wait([reading], timeout=min(self._timeout, _SLOT_SECONDS))
            return reading

    def _late_error(self) -> AuthError:
        return AuthError(
            "credentials",
            f"a file with a secret was not read within {self._timeout:g} s",
            "check for a pipe without a writer, or a mount whose server does not respond",
        )

    def _find_reading(self) -> "asyncio.Task[Credentials] | None":
        """Return the read that is in progress in this event loop."""
        reading = self._reading
        if reading is None or reading.done():
            return None
        return reading if reading.get_loop() is asyncio.get_running_loop() else None


def _retrieve(task: "asyncio.Task[Credentials]") -> None:
    """Take the error of a read that every poll has given up."""
    if not task.cancelled():
        task.exception()


@dataclass(frozen=True, slots=True)
class _Record:
    credentials: Credentials
    refusals: int = 0
    error: ScaleEngineError | None = None
    until: float = 0.0


class CredentialBreaker:
    """Remembers that credentials were refused, for the other targets of an account.

    An account with a hundred paths would be refused a hundred times otherwise, and be locked. One
    refusal is enough for credentials that were never accepted; later it may be of one path only. It
    is remembered by collector, since a command may be denied alone.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, _Record] = {}

    def record_acceptance(self, collector: str, credentials: Credentials) -> None:
        """Record that the credentials were accepted."""
        self._known[collector] = _Record(credentials)

    def record_refusal(
        self, collector: str, credentials: Credentials, error: ScaleEngineError, seconds: float
    ) -> None:
        """Record that the credentials were refused; if that counts, block them for ``seconds``."""
        until = self._clock.monotonic() + seconds
        known = self._known.get(collector)
        if known is not None and known.credentials == credentials:
            refusals = known.refusals + 1
        else:
            refusals = CONVINCING_REFUSALS
        self._known[collector] = _Record(credentials, refusals, error, until)

    def find_refusal(self, collector: str, credentials: Credentials) -> ScaleEngineError | None:
        """Return why these credentials are blocked now, or None; others may be right."""
        known = self._known.get(collector)
        if known is None or known.credentials != credentials:
            return None
        if known.refusals < CONVINCING_REFUSALS or self._clock.monotonic() >= known.until:
            return None
        return known.error


@dataclass(frozen=True, slots=True)
class CredentialVerdict:
    """What one attempt to poll a target has shown of the account and its credentials.

    ``credentials`` are those of the attempt, None where they could not be read; ``read_at`` is when
    they were, in seconds of monotonic time. ``accepted`` is None where ScaleEngine did not check
    them: it did not respond, or was out of order. ``asked`` is False where no request was made,
    because the credentials could not be read or were refused before.
    """

    target: Target
    credentials: Credentials | None
    read_at: float
    accepted: bool | None
    asked: bool = True


def ignore(_: CredentialVerdict) -> None:
    """Do nothing with a verdict."""
