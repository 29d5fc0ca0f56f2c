"""The credentials of an account: read, accepted, or blocked after a refusal."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.polling.recovery import CONVINCING_REFUSALS
from exporter.polling.targets import Target
from exporter.polling.workers import WorkerPool, Workers
from exporter.scaleengine.client import Credentials
from exporter.scaleengine.clock import Clock
from exporter.scaleengine.errors import AuthError, ScaleEngineError

MAX_HANGING_READS: Final = 8
"""Threads that may hang in the files of one folder."""
MAX_HANGING_IN_ALL: Final = 64
"""Threads that may hang in the files of all folders, before folders take turns."""
MAX_HANGING_WITH_TURNS: Final = 128
"""Threads that may hang in all, with those of folders that took turns."""
_SLOT_SECONDS: Final = 1.0
"""Seconds after which a hanging read no longer blocks other accounts."""
_TURN_SECONDS: Final = 0.1
"""The same for reads that begin one after the other, though ``MAX_HANGING_IN_ALL`` hang."""


class FileReads:
    """The reads of files with secrets that are in progress, by folder.

    A read that hangs is likely to hang for each file of its folder: it may be on a mount whose
    server does not respond. So a folder has at most ``MAX_HANGING_READS`` threads that hang, and
    the others of its files wait for one of these to end.

    While ``MAX_HANGING_IN_ALL`` hang, only folders where none hangs are read: one read at a time,
    in the order of asking, which has its turn until it ends or hangs. A read that hangs in its turn
    is the only one of its folder, and counts: no folder has a turn while ``MAX_HANGING_WITH_TURNS``
    hang, so that enough threads are left for requests.
    """

    def __init__(self) -> None:
        self._reads: dict[Path, set[asyncio.Task[Credentials]]] = {}
        self._hanging: set[asyncio.Task[Credentials]] = set()
        self._turns = WorkerPool(1)

    def add(self, folders: Collection[Path], read: "asyncio.Task[Credentials]") -> None:
        """Add a read of files in these folders, until it ends."""
        for folder in folders:
            self._reads.setdefault(folder, set()).add(read)
        read.add_done_callback(lambda _: self._remove(folders, read))

    def record_hanging(self, read: "asyncio.Task[Credentials]") -> None:
        """Record that a read that was added hangs."""
        self._hanging.add(read)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for a turn to read though ``MAX_HANGING_IN_ALL`` hang, and hold it."""
        return self._turns.slot()

    def find_blocking(
        self, folders: Collection[Path], *, has_turn: bool = False
    ) -> "set[asyncio.Task[Credentials]]":
        """Return the reads of which one must end before another of these folders may begin."""
        for folder in folders:
            reads = _select_own(self._reads.get(folder, set()))
            if len(reads) >= MAX_HANGING_READS or (has_turn and reads & self._hanging):
                return reads
        all_reads = _select_own({read for reads in self._reads.values() for read in reads})
        limit = MAX_HANGING_WITH_TURNS if has_turn else MAX_HANGING_IN_ALL
        return all_reads if len(all_reads) >= limit else set()

    def _remove(self, folders: Collection[Path], read: "asyncio.Task[Credentials]") -> None:
        self._hanging.discard(read)
        for folder in folders:
            reads = self._reads[folder]
            reads.discard(read)
            if not reads:
                del self._reads[folder]


def _select_own(reads: "set[asyncio.Task[Credentials]]") -> "set[asyncio.Task[Credentials]]":
    """Return the reads of the running event loop; another one has crashed."""
    loop = asyncio.get_running_loop()
    return {read for read in reads if read.get_loop() is loop}


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
                raise self._build_blocked_error()
            if not self._reads.find_blocking(self._folders, has_turn=True):
                reading = await self._begin_in_turn(self._workers, left)
                if reading is not None:
                    break
            elif blocking := self._reads.find_blocking(self._folders):
                await asyncio.wait(blocking, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            await asyncio.wait([reading], timeout=self._timeout)
        if reading.done():
            return reading.result()
        raise self._build_late_error()

    async def _begin_in_turn(
        self, workers: Workers, left: float
    ) -> "asyncio.Task[Credentials] | None":
        """Return the read of this account; None where there was no turn within ``left`` seconds."""
        try:
            async with asyncio.timeout(left) as limit, self._reads.turn():
                limit.reschedule(None)
                return await self._begin(workers, has_turn=True)
        except TimeoutError:
            return None

    async def _begin(
        self, workers: Workers, *, has_turn: bool = False
    ) -> "asyncio.Task[Credentials] | None":
        """Return the read of this account, after a second at most; None where it is blocked."""
        async with workers.slot():
            reading = self._find_reading()  # another poll may have begun one meanwhile
            if reading is None:
                if self._reads.find_blocking(self._folders, has_turn=has_turn):
                    return None
                reading = asyncio.create_task(workers.run(self._read))
                reading.add_done_callback(_retrieve)
                self._reads.add(self._folders, reading)
                self._reading = reading
            seconds = min(self._timeout, _TURN_SECONDS if has_turn else _SLOT_SECONDS)
            try:
                await asyncio.wait([reading], timeout=seconds)
            finally:
                if not reading.done():
                    self._reads.record_hanging(reading)
            return reading

    def _build_late_error(self) -> AuthError:
        return AuthError(
            "credentials",
            f"a file with a secret was not read within {self._timeout:g} s",
            "check for a pipe without a writer, or a mount whose server does not respond",
        )

    def _build_blocked_error(self) -> AuthError:
        return AuthError(
            "credentials",
            f"no file with a secret was opened within {self._timeout:g} s, because too many reads "
            "of such files hang",
            "look for accounts whose files are not read, and check these files for a pipe without "
            "a writer, or a mount whose server does not respond",
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
    them: it did not respond, or was out of order. ``request_sent`` is False where the credentials
    could not be read, or were refused before.
    """

    target: Target
    credentials: Credentials | None
    read_at: float
    accepted: bool | None
    request_sent: bool = True


def ignore_verdict(_: CredentialVerdict) -> None:
    """Do nothing with a verdict."""
